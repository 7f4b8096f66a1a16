"""Which model a request means: the studio's own, or another that is here; what it can do, and what it does unless told otherwise. No torch.

A model is named as a person would: "" is the studio's own, owner/name what was downloaded, the folder's name a directory of one's own.
Where two folders have one name, the one that was added later needs as much of its path as tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import families
from pipelines.catalog import DescribedLora, DescribedModel, describe, why_lora_does_not_fit
from pipelines.defaults import GenerationDefaults
from pipelines.errors import InvalidInput, ModelError, WeightsMissing
from pipelines.families import Capabilities
from pipelines.families.family import DiffusersFamily
from pipelines.families.own import Own

from .model_here import ModelHere
from .models import Models

LOOK = "Look at the tab of models."
INDEPENDENT = "independent"


@dataclass(frozen=True)
class Chosen:
    """A model that a request names.

    Args:
        name: as in the request.
        title: for people.
        path: its directory.
        family: name of its family.
        capabilities: what it can do, and why not.
        defaults: what it does unless told otherwise: its own, and what the catalog knows better.
        about: what its files say; None for the studio's own, which is not looked into before it is loaded.
        latent_group: what the catalog calls its latents; "" where it does not know the model.
    """

    name: str
    title: str
    path: Path
    family: str
    capabilities: Capabilities
    defaults: GenerationDefaults
    about: DescribedModel | None = None
    latent_group: str = ""

    @property
    def own(self) -> bool:
        """Whether it is the studio's, which has the domain models and what finishes clips."""
        return not self.name

    @property
    def of_diffusers(self) -> bool:
        """Whether a pipeline of diffusers runs it, and not ours."""
        return isinstance(families.FAMILIES[self.family], DiffusersFamily)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a clip, where 0 is the model's own."""
        return width or self.defaults.width, height or self.defaults.height

    def settings(self) -> dict[str, Any]:
        """What a request is to ask for unless told otherwise; of the studio's own kind, nothing: a request's defaults are for it."""
        own = self.defaults
        if self.own and self.family == Own.name:
            return {}
        correlated = self.capabilities.can("noise_prior") and own.noise_kind != INDEPENDENT
        return {
            "frames": own.num_frames,
            "fps": own.fps,
            "steps": own.num_inference_steps,
            "guidance_scale": own.guidance_scale,
            "sampler": own.sampler if self.capabilities.can("sampler") else "",
            "noise_kind": own.noise_kind if correlated else INDEPENDENT,
            "noise_alpha": own.noise_alpha if correlated else 0.0,
        }


class Choosing:
    """The models and LoRAs that a request can name.

    Args:
        models: those of the studio.
    """

    def __init__(self, models: Models) -> None:
        self.models = models

    def named(self) -> dict[str, ModelHere]:
        """Name in requests -> model or LoRA; also those that cannot be used, which say why when they are chosen."""
        return _named(self.models.here())

    def models_here(self) -> list[tuple[str, str]]:
        """(title, name) of all models that can be chosen, the studio's own first."""
        return _titled(
            {name: one for name, one in self.named().items() if not name or (isinstance(one.about, DescribedModel) and not one.alone)}
        )

    def loras_here(self) -> list[tuple[str, str]]:
        """(title, name) of all LoRAs."""
        return _titled({name: one for name, one in self.named().items() if isinstance(one.about, DescribedLora)})

    def model(self, name: str) -> Chosen:
        """The model that a request names.

        Raises:
            WeightsMissing: when it is not here, or half of it.
            InvalidInput: when it is no model.
            ModelError: when it cannot be used, or there is none to ask.
        """
        if not name:
            return self._own()
        one = self._find(name, "model")
        if one.origin == "studio":
            return self._own()  # which may be called by its folder, too
        if isinstance(one.about, DescribedLora):
            raise InvalidInput(f"{name!r} is a LoRA.", "Choose it beside the model that it was trained on.")
        if one.about is None:
            raise ModelError(one.problem)
        if one.alone:
            raise InvalidInput(
                f"{one.title!r} is a motion module alone.", "Choose it with the model that it moves, or get one in the tab of models."
            )
        about = one.about
        own = one.entry.settings(about.defaults) if one.entry else about.defaults
        group = one.entry.latent_group if one.entry else ""
        return Chosen(name, one.title, one.path, about.family, about.capabilities, _limited(own, about.capabilities), about, group)

    def lora(self, name: str, chosen: Chosen) -> Path:
        """The file of a LoRA for a model.

        Raises:
            WeightsMissing: when it is not here.
            InvalidInput: when it is none, or not for this model.
        """
        if not chosen.capabilities.can("lora"):
            raise InvalidInput(f"The LoRA {name!r} was chosen for {chosen.title!r}.", chosen.capabilities.cannot["lora"])
        one = self._find(name, "LoRA")
        if one.problem:
            raise ModelError(one.problem)
        if not isinstance(one.about, DescribedLora):
            raise InvalidInput(f"{name!r} is no LoRA.", LOOK)
        about = chosen.about or describe(chosen.path)
        if isinstance(about, DescribedModel) and (why := why_lora_does_not_fit(one.about, about)):
            raise InvalidInput(f"The LoRA {name!r} is not for {chosen.title!r}.", why)
        return one.path

    def advised(self, lora: str, chosen: Chosen) -> dict[str, Any]:
        """The settings that a LoRA was made for, as fields of a request, without those that the model does not take.

        Raises:
            WeightsMissing: when it is not here.
            StorageError: when the person's own settings are not readable.
        """
        settings = self.models.advice(self._find(lora, "LoRA")).settings() if lora else {}
        needs = {"sampler": "sampler", "guidance_scale": "guidance"}
        return {name: value for name, value in settings.items() if chosen.capabilities.can(needs.get(name, "lora"))}

    # -----------------------------------------------------------------------------------------------------------------------

    def _own(self) -> Chosen:
        path = self.models.settings.model_dir
        directory = families.read_directory(path)
        family = families.family_of(directory)
        return Chosen("", path.name, path, family.name, family.capabilities(directory), families.defaults(path))

    def _find(self, name: str, what: str) -> ModelHere:
        """By its name, or by so much of its path as only it has."""
        named = self.named()
        ending = [one for one in named.values() if not one.stored and one.path.as_posix().endswith(f"/{name}")]
        one = named.get(name) or (ending[0] if len(ending) == 1 else None)
        if one is None:
            raise WeightsMissing(f"There is no {what} {name!r} here.", "Choose another, or add it in the tab of models.")
        if one.total:
            raise WeightsMissing(f"The model {one.title!r} is only half here.", "Finish its download in the tab of models.")
        return one


def named_by_path(here: Sequence[ModelHere]) -> dict[str, str]:
    """What a model is called in the tab of models -> its name in requests."""
    return {one.name: name for name, one in _named(here).items()}


def _named(here: Sequence[ModelHere]) -> dict[str, ModelHere]:
    found: dict[str, ModelHere] = {}
    for one in here:
        found[name_of(one, found)] = one
    return found


def name_of(one: ModelHere, taken: Sequence[str] | dict[str, ModelHere]) -> str:
    """What a model or LoRA is called in requests.

    Args:
        taken: names of those before it in the list.
    """
    if one.origin == "studio":
        return ""
    if one.stored:
        return one.stored.hub if one.path == one.stored.folder else f"{one.stored.hub}/{one.path.relative_to(one.stored.folder).as_posix()}"
    parts = one.path.parts
    names = ("/".join(parts[-count:]) for count in range(1, len(parts)))
    return next((name for name in names if name not in taken), one.path.as_posix())


def _titled(named: dict[str, ModelHere]) -> list[tuple[str, str]]:
    """(title, name); where two have one title, the name is added."""
    titles = [one.title for one in named.values()]
    return [(one.title if titles.count(one.title) == 1 or not name else f"{one.title} ({name})", name) for name, one in named.items()]


def _limited(own: GenerationDefaults, can: Capabilities) -> GenerationDefaults:
    from dataclasses import replace

    return replace(own, num_frames=can.frames.nearest(own.num_frames))
