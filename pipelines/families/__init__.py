"""Families of checkpoints: each file one family, `load(path)` any of them. Imports no torch until something is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from ..errors import UnknownFamily
from .animatediff import AnimateDiff
from .cogvideox import CogVideoX
from .easyanimate import EasyAnimate
from .family import FEATURES, Capabilities, Directory, Family, FrameRule
from .hunyuan import HunyuanVideo, HunyuanVideo15
from .i2vgen import I2VGenXL
from .kandinsky import Kandinsky5
from .latte import Latte
from .loading import check_safe, load_model, read_directory
from .ltx import Ltx
from .ltx2 import Ltx2
from .mochi import Mochi
from .model_scope import ModelScope, limited
from .own import Own
from .sana_video import SanaVideo
from .skyreels import SkyReels
from .stable_diffusion import StableDiffusion
from .svd import StableVideoDiffusion
from .wan import Wan
from .wan_vace import WanVace

if TYPE_CHECKING:
    from ..text_to_video import TextToVideoPipeline
    from .video_model import VideoModel

__all__ = [
    "FAMILIES",
    "FEATURES",
    "Capabilities",
    "Directory",
    "Family",
    "FrameRule",
    "capabilities",
    "check_safe",
    "defaults",
    "family_of",
    "load",
    "read_directory",
]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Own(),
        StableDiffusion(),
        AnimateDiff(),
        ModelScope(),
        I2VGenXL(),
        StableVideoDiffusion(),
        Wan(),
        WanVace(),
        SkyReels(),
        SanaVideo(),
        Ltx(),
        Ltx2(),
        CogVideoX(),
        HunyuanVideo(),
        HunyuanVideo15(),
        Kandinsky5(),
        Mochi(),
        EasyAnimate(),
        Latte(),
    )
}


def family_of(directory: Directory) -> Family:
    """The family that a directory belongs to.

    Raises:
        UnknownFamily: naming its pipeline.
    """
    for family in FAMILIES.values():
        if family.accepts(directory):
            return family
    said = f"is of a kind ({directory.pipeline}) that the studio does not know" if directory.pipeline else "does not say which kind it is"
    known = ", ".join(family.title for family in FAMILIES.values())
    raise UnknownFamily(f"The model in {str(directory.path)!r} {said}.", f"Choose one of these families: {known}.")


def capabilities(path: str | Path) -> Capabilities:
    """What the model in a directory can do, and why not; nothing is loaded. Raises as `family_of` and `read_directory`."""
    directory = read_directory(path)
    return family_of(directory).capabilities(directory)


def defaults(path: str | Path) -> GenerationDefaults:
    """The settings that its authors recommend, with its limits; nothing is loaded. Raises as `family_of` and `read_directory`."""
    directory = read_directory(path)
    return limited(family_of(directory), directory)


def load(
    path: str | Path, device: str = "cpu", dtype: Any = None, components: Mapping[str, Any] | None = None
) -> VideoModel | TextToVideoPipeline:
    """The model in a directory, on a device, under the studio's common call. See `loading.load_model`."""
    directory = read_directory(path)
    return load_model(directory, family_of(directory), device, dtype, components)
