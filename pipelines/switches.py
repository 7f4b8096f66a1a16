"""Which switches of `speed` a model in a directory can have, before it is loaded: its networks are built without weights, and asked.

refused("models/Wan2.1-T2V-1.3B-Diffusers", "cuda")["cache"]     # {"mag": "Its magnitudes have not been measured: ..."}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import torch
from torch import nn

from . import families
from .caches import CACHES
from .errors import WeightsDamaged
from .families.family import DiffusersFamily, Family
from .forms import denoisers
from .image_models import is_image_model
from .inflation import VideoUNet
from .pocket.autoencoder import PatchAutoencoder
from .speed import Offload, Precision, Speed, Weights, attentions, cannot
from .text_to_video import TextToVideoPipeline

# Beside "", which is the family's own; a switch that is on or off has one.
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "precision": tuple(filter(None, get_args(Precision))),
    "weights": tuple(filter(None, get_args(Weights))),
    "attention": attentions(),
    "cache": tuple(CACHES),
    "compiled": (True,),
    "tiled": (True,),
    "sliced": (True,),
    "offload": tuple(filter(None, get_args(Offload))),
}
OURS = {"VideoUNet": VideoUNet, "PatchAutoencoder": PatchAutoencoder}


@dataclass(frozen=True)
class Outline:
    """What `speed.cannot` takes for a model: its family, and its denoisers and autoencoder on torch's meta device."""

    family: Family
    pipe: SimpleNamespace


def refused(path: str | Path, device: str) -> dict[str, dict[Any, str]]:
    """Switch -> choice -> why the model in a directory cannot have it; a choice that it can have is not named.

    Args:
        path: a directory of a known family.
        device: where it is to compute.

    Raises:
        ModelError: when the directory cannot be read, or its networks cannot be built.
    """
    model = outline(path)
    found: dict[str, dict[Any, str]] = {switch: {} for switch in CHOICES}
    for switch, choices in CHOICES.items():
        for choice in choices:
            # Magnitudes can be measured later.
            speed = Speed(**{switch: choice}, ratios=(1.0,) if choice == "mag" else ())
            if speed.dtype:
                for network in denoisers(model):
                    nn.Module.to(network, speed.dtype)
            if reason := cannot(model, speed, device).get(switch):
                found[switch][choice] = reason
    return found


def outline(path: str | Path) -> Outline:
    """A model's networks without weights. Raises as `refused`."""
    directory = families.read_directory(path)
    family = families.family_of(directory)
    families.check_safe(directory)
    parts = {place: _network(directory, place) for place in (*family.places, "vae") if directory.has(place)}
    return Outline(family, SimpleNamespace(**{"vae": None, "model_cpu_offload_seq": _order(directory, family), **parts}))


def _network(directory: families.Directory, place: str) -> Any:
    """A denoiser or the autoencoder, as it will be once it is loaded."""
    import diffusers

    name = str((directory.index.get(place) or ["", ""])[1])
    kind = OURS.get(name) or getattr(diffusers, name, None)
    if kind is None:
        raise WeightsDamaged(f"The network {name!r} in {str(directory.path)!r} is not known.", "Choose another version of this model.")
    try:
        with torch.device("meta"):
            network = kind.from_config(kind.load_config(directory.path / place))
            inflated = place == "unet" and is_image_model(dict(directory.index)) and directory.pipeline != "AnimateDiffPipeline"
            return VideoUNet.from_image_unet(network) if inflated else network
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise WeightsDamaged(f"The network in {str(directory.path / place)!r} cannot be built ({error}).", "Download it again.") from error


def _order(directory: families.Directory, family: Family) -> str:
    """In which order its parts are needed, as its pipeline's class says; "" where it does not."""
    import diffusers

    pipeline = getattr(diffusers, directory.pipeline, None) if isinstance(family, DiffusersFamily) else TextToVideoPipeline
    return getattr(pipeline, "model_cpu_offload_seq", None) or ""
