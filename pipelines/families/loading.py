"""From a directory in diffusers' layout to a model: what must hold before anything in it is run, and loading with errors for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import REMEDY, check_weights, read_index
from ..errors import InvalidInput, ModelError, UnsafeModel, WeightsDamaged, WeightsMissing
from .family import DiffusersFamily, Directory, Family
from .model_scope import limited

if TYPE_CHECKING:
    from ..text_to_video import TextToVideoPipeline
    from .video_model import VideoModel

# An index names a module for each part, and naming it imports it: these, and no others.
LIBRARIES = {"diffusers", "transformers", "stable_diffusion", "ltx2", "pipelines.inflation", "pipelines.pocket.autoencoder"}
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
SAFE = "Choose a version of this model in safetensors and in diffusers' layout."


def read_directory(path: str | Path) -> Directory:
    """A model directory, or that of a motion module alone.

    Raises:
        WeightsMissing, WeightsDamaged: when there is none, or it cannot be read.
    """
    path = Path(path)
    alone = path / "config.json"
    if alone.is_file() and not (path / "model_index.json").exists():
        index = _json(alone)
        if index.get("_class_name") == "MotionAdapter":
            return Directory(path, index)
    return Directory(path, read_index(path))


def check_safe(directory: Directory) -> None:
    """Refuses what would run code of the directory's own, and weights that are not all there.

    Raises:
        UnsafeModel: for code in the model, or pickled weights.
        WeightsMissing: a part, or a shard of its weights, is not there.
        WeightsDamaged: a file that is not whole.
    """
    name = directory.path.name
    if not isinstance(directory.index.get("_class_name", ""), str):
        raise UnsafeModel(f"{name!r} brings a pipeline of its own, which would have to be run.", SAFE)
    for part, library in _libraries(directory):
        if library not in LIBRARIES:
            raise UnsafeModel(f"The part {part!r} of {name!r} is of the module {library!r}, which is no library of models.", SAFE)
    for folder in _folders(directory):
        if any("auto_map" in _json(file) for file in folder.glob("*config.json")):
            raise UnsafeModel(f"The configuration in {str(folder)!r} asks to run code that comes with the model.", SAFE)
        _check_files(folder)
    if directory.pipeline != "MotionAdapter":
        check_weights(directory.path)


def load_model(
    directory: Directory,
    family: Family,
    device: str = "cpu",
    dtype: Any = None,
    components: Mapping[str, Any] | None = None,
) -> VideoModel | TextToVideoPipeline:
    """The model of a directory, on a device.

    Args:
        directory: of the family.
        family: of the directory (`family_of`).
        dtype: of the weights; None is float32 on a CPU, and on a GPU the family's own choice.
        components: parts that are resident already, shared instead of loaded; a motion module alone needs those of its base.

    Raises:
        UnsafeModel, WeightsMissing, WeightsDamaged: as `check_safe`, and when diffusers cannot build it.
    """
    check_safe(directory)
    precision = dtype_of(family, device, dtype)
    try:
        pipe = family.load(directory, precision, dict(components or {}))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise WeightsDamaged(f"The model in {str(directory.path)!r} cannot be loaded ({error}).", REMEDY) from error
    pipe = pipe.to(device)
    if not isinstance(family, DiffusersFamily):
        return pipe
    from .video_model import VideoModel

    return VideoModel(pipe, family, limited(family, directory), family.capabilities(directory))


def dtype_of(family: Family, device: str, dtype: Any = None) -> Any:
    """What diffusers takes as `dtype`: one, or a dictionary by part with a "default".

    Raises:
        InvalidInput: for something else than a precision of torch.
    """
    import torch

    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise InvalidInput(f"The precision is {dtype!r}.", "Give float32, bfloat16 or float16 of torch.")
    if dtype == torch.float32 or (dtype is None and torch.device(device).type == "cpu"):
        return torch.float32
    half = dtype or getattr(torch, family.half)
    return {"default": half, **dict.fromkeys(family.precise, torch.float32)}


def _libraries(directory: Directory) -> Iterator[tuple[str, str]]:
    for part, entry in directory.index.items() if directory.pipeline != "MotionAdapter" else ():
        if not part.startswith("_") and isinstance(entry, list) and len(entry) == 2 and entry[0] is not None:
            yield part, str(entry[0])


def _folders(directory: Directory) -> list[Path]:
    parts = [directory.path / part for part, _ in _libraries(directory)]
    return [folder for folder in parts if folder.is_dir()] or [directory.path]


def _check_files(folder: Path) -> None:
    """No pickles where there are no safetensors, and all shards that an index of weights names."""
    weights = list(folder.glob("*.safetensors"))
    pickled = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    if pickled and not weights:
        raise UnsafeModel(f"{str(folder / pickled[0])!r} is a pickle, which can run code when it is read.", SAFE)
    for index in folder.glob("*.safetensors.index*.json"):
        for shard in sorted(set(_json(index).get("weight_map", {}).values())):
            if not (folder / shard).is_file():
                raise WeightsMissing(f"{str(folder / shard)!r} is missing: the model is not wholly here.", "Download the model again.")


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsDamaged(f"{str(file)!r} is not readable as JSON.", REMEDY) from error
    if not isinstance(values, dict):
        raise ModelError(f"{str(file)!r} holds no configuration.", REMEDY)
    return values
