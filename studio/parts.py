"""The parts of loaded models: what they weigh, where they are, and which two models have in common, so that each exists once.

Two parts are the same when their files are: configuration and weights, byte for byte, in one precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import families
from pipelines.checkpoints import file_hash

if TYPE_CHECKING:
    from torch import nn

SHARED = ("text_encoder", "text_encoder_2", "image_encoder", "vae")  # a denoiser is a model's own, and may be changed in its place


def parts_of(pipe: Any) -> dict[str, nn.Module]:
    """The networks of a loaded model, by name."""
    from torch import nn

    return {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}


def bytes_of(parts: Iterable[nn.Module]) -> int:
    """Of all parameters, each part once."""
    unique = {id(part): part for part in parts}
    return sum(p.numel() * p.element_size() for part in unique.values() for p in part.parameters())


def move(parts: Iterable[nn.Module], device: str) -> None:
    """To the device, or to the machine's own memory ("cpu")."""
    from torch import nn

    for part in parts:
        nn.Module.to(part, device)  # a model's own method warns of half precision on a CPU, where these only wait


def prints(path: Path, weights: Mapping[str, str]) -> dict[str, str]:
    """Part -> what tells it from any other: class, configuration and weights.

    Args:
        path: the model's directory.
        weights: its files -> their hashes.
    """
    index = families.read_directory(path).index
    found: dict[str, str] = {}
    for name in SHARED:
        files = sorted(f"{file.partition('/')[2]} {one}" for file, one in weights.items() if file.startswith(f"{name}/"))
        config = path / name / "config.json"
        if files and config.is_file():
            found[name] = " ".join([str(index.get(name)), file_hash(config), *files])
    return found


def common(
    path: Path, weights: Mapping[str, str], device: str, others: Iterable[tuple[Mapping[str, str], Any]], dtype: Any = None
) -> dict[str, nn.Module]:
    """Parts that the model in a directory can take from loaded ones instead of loading them.

    Args:
        path: the directory.
        weights: its files -> their hashes.
        device: where it is to be.
        others: (prints, pipe) of the loaded models that are on the device.
        dtype: of the weights, as `families.load` takes it.
    """
    from pipelines.families.loading import dtype_of

    family = families.family_of(families.read_directory(path))
    wanted = dtype_of(family, device, dtype)
    given: dict[str, nn.Module] = {}
    for name, told in prints(path, weights).items():
        precision = wanted.get(name, wanted["default"]) if isinstance(wanted, dict) else wanted
        for known, pipe in others:
            part: Any = parts_of(pipe).get(next((other for other, found in known.items() if found == told), ""))
            if part is not None and part.dtype == precision:
                given[name] = part
    return given
