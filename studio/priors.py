"""A model as the prior of another that is here: which may be one, why the others may not, and the two borrowed for a job. No torch.

Yang et al., "Probabilistic Adaptation of Text-to-Video Models" (Video Adapter), arXiv 2306.01872. The model of a request is the adapter,
with its LoRA if one is set; its `prior_model` is the prior. A model under a LoRA may be its own prior: with the LoRA off.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines import families
from pipelines.catalog import tensors_of
from pipelines.checkpoints import file_hash
from pipelines.errors import IncompatibleModels, InvalidInput, StudioError

from .choosing import Choosing, Chosen
from .video_request import TextToVideoRequest

# What an autoencoder's configuration says of its latents; diffusers spells some of it in two ways.
OF_LATENTS = (
    *("_class_name", "latent_channels", "z_dim", "scaling_factor", "shift_factor", "latents_mean", "latents_std", "patch_size"),
    *("block_out_channels", "dim_mult", "temperal_downsample"),
)
STEPS_ARE_OWN = "Its sampler remembers earlier steps, which corrections would change behind its back: leave them at 0."


def check(request: TextToVideoRequest, chosen: Chosen, choosing: Choosing) -> None:
    """Refuses a prior that the request's model cannot have.

    Args:
        request: that names one.
        chosen: its model.
        choosing: knows the others.

    Raises:
        InvalidInput: naming what does not go together with a prior.
        WeightsMissing, ModelError: when there is no such model, or it cannot be used.
        IncompatibleModels: when the two do not share one latent space.
    """
    name = request.prior_model
    for other, what in ((request.domain_model, "domain model"), (request.tuned_model, "tuned model")):
        if other:
            raise InvalidInput(f"The prior {name!r} and the {what} {other!r} were both chosen.", f"A {what} has its own: leave one out.")
    prior = choosing.model(name)
    happened = f"The prior {name!r} was chosen for {chosen.title!r}."
    for one in (chosen, prior):
        if not one.capabilities.can("composition"):
            raise InvalidInput(happened, f"{one.title!r} cannot be composed. {one.capabilities.cannot['composition']}")
    if prior.path == chosen.path and not request.lora:
        raise InvalidInput(happened, "A model is its own prior under a LoRA alone: choose a LoRA, or another prior.")
    if why := why_not(prior, chosen):
        raise IncompatibleModels(happened, why)
    if prior.capabilities.frames.nearest(request.frames) != request.frames:
        raise InvalidInput(
            happened, f"It does not make {request.frames} frames; the nearest is {prior.capabilities.frames.nearest(request.frames)}."
        )
    prior.capabilities.check_size(*chosen.size(request.width, request.height))
    if request.langevin_steps and chosen.of_diffusers:
        raise InvalidInput(f"{request.langevin_steps} Langevin steps were asked for {chosen.title!r}.", STEPS_ARE_OWN)


def why_not(prior: Chosen, adapter: Chosen) -> str:
    """Why a model cannot be the prior of another; "" where nothing speaks against it, before their weights are compared in memory."""
    for one in (adapter, prior):
        if reason := one.capabilities.cannot.get("composition"):
            return reason
        if one.capabilities.picture == "needed":
            return f"{one.title!r} starts from a picture."
    if prior.path == adapter.path:
        return ""
    groups = {prior.latent_group, adapter.latent_group}
    if "" not in groups and len(groups) == 2:
        return f"It works in the latents of {prior.latent_group!r}, and {adapter.title!r} in those of {adapter.latent_group!r}."
    if _latents(prior.path) != _latents(adapter.path) or not _same_weights(prior.path / "vae", adapter.path / "vae"):
        return f"Its autoencoder is another than that of {adapter.title!r}: their latents do not mean the same."
    if _network(prior) != _network(adapter):
        return f"Its network takes other inputs than that of {adapter.title!r}."
    return ""


def priors_of(adapter: Chosen, choosing: Choosing) -> list[tuple[str, str]]:
    """(title, name) of the models here that can be the prior of another; of itself where there is a LoRA to take off."""
    found = []
    for title, name in choosing.models_here():
        try:
            one = choosing.model(name)
        except StudioError:
            continue  # what cannot be used says so in the tab of models
        if one.path == adapter.path:
            if adapter.capabilities.can("lora") and choosing.loras_here() and not why_not(one, adapter):
                found.append((f"{title}, without its LoRA", name))
        elif not why_not(one, adapter):
            found.append((title, name or one.path.name))  # where "" means none, the studio's own is called by its folder
    return found


def _latents(path: Path) -> dict[str, Any]:
    config = families.read_directory(path).config("vae")
    return {name: config[name] for name in OF_LATENTS if name in config}


def _network(chosen: Chosen) -> tuple[str, Any]:
    """(where the denoiser stands, its channels)."""
    directory = families.read_directory(chosen.path)
    place = families.family_of(directory).places[0]
    return place, directory.config(place).get("in_channels")


def _same_weights(one: Path, other: Path) -> bool:
    """Whether two autoencoders have the same weights, as far as their files tell: one may be stored in another precision."""
    mine, theirs = _told(one), _told(other)
    return mine == theirs or {dtype for _, dtype in mine} != {dtype for _, dtype in theirs}


def _told(folder: Path) -> set[tuple[str, str]]:
    """(hash, precisions) of each weight file."""
    stamps = [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(folder.glob("*.safetensors"))]
    return {_file_told(*stamp) for stamp in stamps}


@lru_cache(maxsize=256)
def _file_told(file: Path, changed: int, size: int) -> tuple[str, str]:
    return file_hash(file), " ".join(sorted({dtype for _, dtype in tensors_of(file).values()}))
