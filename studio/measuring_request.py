"""The request that a model's magnitudes be measured, on one short clip which is not kept. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .fields import Text
from .model_fields import ModelName


class MeasuringRequest(BaseModel):
    """What the step cache "magnitudes" goes by, measured for a model that is here."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["measuring"] = Field("measuring", title="Kind", description="Which kind of job this is.")
    model: ModelName = ""
    prompt: Text = Field("A person walks along a beach at sunset.", title="Prompt", description="Of the clip.", max_length=2000)
    seed: int = Field(0, title="Seed", description="Of the clip.", ge=0)
    frames: int = Field(title="Length", description="Of the clip: a short one tells as much.", ge=1)
    steps: int = Field(
        title="Steps", description="As many as clips of this model have; the cache follows calls that have others.", ge=2, le=200
    )
    threshold: float = Field(0.05, title="Threshold", description="Of the cache, once it is measured.", ge=0, le=1)

    @property
    def headline(self) -> str:
        """What the queue calls it."""
        return f"measuring {self.model}" if self.model else "measuring the studio's own model"
