"""Requests of trainings: a domain model from clips, and a model tuned on one clip. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .fields import Text, must_be_name, must_be_visible
from .model_fields import MOST_DRAWN, Height, ModelName, Width
from .video_request import MAX_PROMPT, SEEDS

Fitting = Literal["crop", "fit"]


class DomainTrainingRequest(BaseModel):
    """A small domain model of one's own, from a folder of clips."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["domain_training"] = Field("domain_training", title="Kind", description="Which kind of job this is.")
    name: Annotated[Text, AfterValidator(must_be_name)] = Field(
        title="Name", description="What the domain model is called.", min_length=1, max_length=60
    )
    clips: str = Field(title="Clips", description="A folder of clips on the studio's machine: MP4, MOV, WebM or GIF.", min_length=1)
    caption: Text = Field(
        "",
        title="Caption",
        description="One description for all clips; empty where each has its own in a text file beside it.",
        max_length=MAX_PROMPT,
    )
    minutes: float = Field(
        5.0,
        title="Time",
        description="How long it learns; it can be stopped earlier, and what it has learned is kept.",
        gt=0,
        le=24 * 60,
        json_schema_extra={"unit": "minutes"},
    )
    share: float = Field(
        0.1,
        title="Size",
        description="Of the domain model, as a share of the prior's parameters; the paper went down to 0.0125.",
        ge=0.005,
        le=0.5,
        json_schema_extra={"unit": "of the prior"},
    )

    @property
    def headline(self) -> str:
        """What the queue calls it."""
        return f"domain model {self.name}"


class TuningRequest(BaseModel):
    """A model tuned on one clip, and which frames of the clip it sees."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["one_shot_tuning"] = Field("one_shot_tuning", title="Kind", description="Which kind of job this is.")
    name: Annotated[Text, AfterValidator(must_be_name)] = Field(
        title="Name", description="What the tuned model is called.", min_length=1, max_length=60
    )
    clip: str = Field(title="Clip", description="The clip on the studio's machine: MP4, MOV, WebM or GIF.", min_length=1)
    caption: Annotated[Text, AfterValidator(must_be_visible)] = Field(
        title="Caption", description="What the clip shows, in a few words that the edits will change.", max_length=MAX_PROMPT
    )
    edit: Text = Field(
        "",
        title="First edit",
        description="A prompt that is tried out while the model learns; empty tries none.",
        max_length=MAX_PROMPT,
    )
    start: float = Field(
        0.0, title="Start", description="Where in the clip the first frame is.", ge=0, json_schema_extra={"unit": "seconds"}
    )
    stride: int = Field(
        1,
        title="Stride",
        description="Every so many frames of the clip one is taken: more shows a longer part of it.",
        ge=1,
        le=240,
        json_schema_extra={"unit": "frames of the clip"},
    )
    frames: int = Field(
        16,
        title="Length",
        description="How many frames the model sees; its edits have as many.",
        ge=2,
        le=MOST_DRAWN,
        json_schema_extra={"unit": "frames"},
    )
    fit: Fitting = Field("crop", title="Shape", description="Cut to the model's shape, or shown whole between black bars.")
    steps: int = Field(
        0,
        title="Steps",
        description="How long it learns; earlier steps are kept as checkpoints. 0 is what suits the model.",
        ge=0,
        le=5000,
    )
    learning_rate: float = Field(
        0.0, title="Learning rate", description="How much each step changes; 0 is what suits the model.", ge=0, lt=1
    )
    rank: int = Field(
        0,
        title="LoRA rank",
        description="Learns low-rank updates of this rank instead of full matrices, which changes less; 0 learns full ones.",
        ge=0,
        le=256,
    )
    sparse_causal: bool = Field(
        True,
        title="Sparse-causal attention",
        description="Each frame looks at the first and the one before it (Tune-A-Video, section 3.2).",
    )
    seed: int = Field(0, title="Seed", description="Of the noise that it learns with.", ge=0, le=SEEDS - 1)

    model: ModelName = ""
    width: Width = 0
    height: Height = 0

    @property
    def headline(self) -> str:
        """What the queue calls it."""
        return f"tuned model {self.name}"
