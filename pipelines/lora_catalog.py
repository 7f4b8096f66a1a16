"""The LoRAs that the studio knows by name (`assets/loras.toml`), and the settings that a LoRA was made for. No torch.

load_loras()["lcm-sd-1.5"].advice        # LoraAdvice(steps=4, guidance_scale=1.0, sampler='lcm', strength=1.0)
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .catalog import HUB_ID, Catalog
from .errors import CatalogError, InvalidInput
from .samplers import SAMPLERS

LORAS = Path(__file__).resolve().parent.parent / "assets" / "loras.toml"


class LoraAdvice(BaseModel):
    """What clips are to be asked for with a LoRA. None is whatever they would be asked for without it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int | None = Field(None, ge=1, le=200, description="Denoising steps.")
    guidance_scale: float | None = Field(None, ge=1, le=30, description="Guidance; 1 is none.")
    sampler: str | None = Field(None, description="One of `samplers.SAMPLERS`.")
    strength: float | None = Field(None, ge=0, le=2, description="Of the LoRA itself.")

    def settings(self) -> dict[str, Any]:
        """As fields of a request, without those that it says nothing of."""
        known = {"steps": self.steps, "guidance_scale": self.guidance_scale, "sampler": self.sampler, "lora_strength": self.strength}
        return {name: value for name, value in known.items() if value is not None}


class LoraEntry(LoraAdvice):
    """A LoRA that the studio knows. None is "not known", and is shown as such."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="In the list.")
    title: str = Field(min_length=1, description="For people.")
    hub: str = Field(pattern=f"^{HUB_ID}$", description="Repository on the Hub.")
    file: str = Field(pattern=r"^[\w./-]+\.safetensors$", description="The file in it.")
    revision: str = Field("main", min_length=1, description="Branch, tag or commit of the repository.")
    bases: tuple[str, ...] = Field(min_length=1, description="Entries of the catalog of models that it was made for.")
    verified: bool = Field(True, description="Whether the file is known to be there under this name.")

    @property
    def advice(self) -> LoraAdvice:
        return LoraAdvice(**{name: getattr(self, name) for name in LoraAdvice.model_fields})


def advice_of(values: Mapping[str, Any]) -> LoraAdvice:
    """Settings that a person gives for a LoRA. Raises InvalidInput naming the one that is wrong."""
    try:
        advice = LoraAdvice.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field, given = str(first["loc"][0]), first["input"]
        raise InvalidInput(f"The {field.replace('_scale', '')} of the LoRA is {given!r}.", f"{first['msg']}.") from error
    _check_sampler(advice)
    return advice


def _check_sampler(advice: LoraAdvice) -> None:
    if advice.sampler and advice.sampler not in SAMPLERS:
        raise InvalidInput(f"There is no sampler {advice.sampler!r}.", f"Choose one of {', '.join(SAMPLERS)}.")


def load_loras(models: Catalog, path: str | Path = LORAS) -> dict[str, LoraEntry]:
    """The entries of a TOML file, in its order.

    Args:
        models: the catalog in which their bases are.

    Raises:
        CatalogError: naming the file, the entry and the field that is wrong.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{str(path)!r} is not readable as TOML ({error}).", "Restore the file.") from error
    entries = {}
    for name, table in tables.items():
        try:
            entry = entries[name] = LoraEntry.model_validate({"name": name, **table})
            _check_sampler(entry)
        except (ValidationError, TypeError, InvalidInput) as error:
            said = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            field = ".".join(map(str, said["loc"]))
            raise CatalogError(f"{path.name}, [{name}], {field}: {said['msg']}.", "Correct the file.") from error
        if unknown := [base for base in entry.bases if base not in models]:
            raise CatalogError(f"{path.name}, [{name}], bases: there is no model {unknown[0]!r}.", "Name one of the catalog.")
    return entries
