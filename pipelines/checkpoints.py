"""Model directories in diffusers' layout: what is in them, whether it is whole, and loading it with errors for people."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .defaults import GenerationDefaults
from .errors import WeightsDamaged, WeightsMissing
from .image_models import image_defaults, is_image_model, load_image_model

if TYPE_CHECKING:
    import torch

    from .text_to_video import TextToVideoPipeline

REMEDY = "Get the directory again, or choose another model with --model."


def read_index(path: str | Path) -> dict[str, Any]:
    """The model's `model_index.json`.

    Raises:
        WeightsMissing: no directory or no index there.
        WeightsDamaged: the index is not JSON.
    """
    index = Path(path) / "model_index.json"
    if not index.is_file():
        raise WeightsMissing(f"There is no model in {str(path)!r} (no model_index.json).", REMEDY)
    try:
        return json.loads(index.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsDamaged(f"{str(index)!r} is not readable as JSON.", REMEDY) from error


def read_defaults(path: str | Path) -> GenerationDefaults:
    """The model's own settings, without loading it."""
    index = read_index(path)
    return image_defaults(path) if is_image_model(index) else GenerationDefaults.from_dict(index.get("generation") or {})


def weight_files(path: str | Path) -> list[Path]:
    """Every safetensors file of the components that the index names, sorted.

    Raises:
        WeightsMissing: a component's folder, or a model's weights, are not there.
    """
    files: list[Path] = []
    for name, entry in read_index(path).items():
        if name.startswith("_") or not isinstance(entry, list) or entry[0] is None:
            continue
        folder = Path(path) / name
        if not folder.is_dir():
            raise WeightsMissing(f"The model in {str(path)!r} has no folder {name!r}.", REMEDY)
        found = sorted(folder.glob("*.safetensors"))
        if not found and (folder / "config.json").exists():
            raise WeightsMissing(f"{str(folder)!r} holds no safetensors file.", REMEDY)
        files += found
    return files


def weight_hashes(path: str | Path) -> dict[str, str]:
    """Component file -> the first 16 hex digits of its SHA-256."""
    return {str(file.relative_to(path)): file_hash(file) for file in weight_files(path)}


def file_hash(file: Path) -> str:
    """The first 16 hex digits of a file's SHA-256; read in pieces, for it may be larger than the memory."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()[:16]


def check_weights(path: str | Path) -> None:
    """Reads every weight file's header, so that a cut-off download is named before anything is loaded.

    Raises:
        WeightsMissing, WeightsDamaged: naming the file.
    """
    from safetensors import SafetensorError, safe_open

    for file in weight_files(path):
        try:
            with safe_open(file, framework="np") as tensors:  # its header alone, without torch
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise WeightsDamaged(f"{str(file)!r} is not a whole safetensors file ({error}).", REMEDY) from error


def load_text_to_video(path: str | Path, device: str = "cpu", dtype: torch.dtype | None = None) -> TextToVideoPipeline:
    """The pipeline of a model directory, on a device; a text-to-image model is inflated (`image_models`).

    Raises:
        WeightsMissing, WeightsDamaged: with the file that is wrong.
    """
    from .text_to_video import TextToVideoPipeline

    check_weights(path)
    try:
        if is_image_model(read_index(path)):
            return load_image_model(path, device, dtype)
        pipe = TextToVideoPipeline.from_pretrained(str(path), dtype=dtype)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsDamaged(f"The model in {str(path)!r} cannot be loaded ({error}).", REMEDY) from error
    return pipe.to(device)
