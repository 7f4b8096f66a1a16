"""What tells a model that can be tuned from any other, read from its files. The same in full and in half precision; no torch.

signature("models/stable-diffusion-1.5")        # of all its network's weights: of each tensor the first row
stored_base("assets/pocket")                    # `tuned_model.base_hash` of the network in these files
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .catalog import one_form, tensors_of
from .errors import WeightsDamaged
from .families import read_directory

QUERIES, CROSS, TEMPORAL = TRAINED = (".attn1.to_q.", ".attn2.to_q.", ".temporal_attention.attention.")  # Tune-A-Video, section 3.2


def is_trained(name: str) -> bool:
    """Whether tuning would replace the parameter of that name."""
    return any(part in name for part in TRAINED)


def signature(path: str | Path) -> str:
    """The first 16 hex digits of a SHA-256 over the network of a model directory: what its weights are called, their shapes and first
    rows, and what the weights do not say. Two that were trained apart differ in it; a few megabytes are read.

    Raises:
        WeightsMissing, WeightsDamaged: when it cannot be read.
    """
    directory = read_directory(path)
    heads, kind = directory.config("unet").get("attention_head_dim"), directory.config("scheduler").get("prediction_type", "epsilon")
    digest = hashlib.sha256(json.dumps([heads, kind]).encode())
    for name, shape, row in _tensors(Path(path), whole=False):
        digest.update(json.dumps([name, shape]).encode() + row)
    return digest.hexdigest()[:16]


def stored_base(path: str | Path) -> str:
    """What `tuned_model.base_hash` is of a network whose files have all that tuning would replace: one of the studio's own.

    Raises:
        WeightsDamaged: when it cannot be read.
    """
    digest = hashlib.sha256()
    for name, _, numbers in _tensors(Path(path), whole=True):
        digest.update(name.encode() + numbers)
    return digest.hexdigest()[:16]


def learning_parameters(path: str | Path) -> int:
    """How many parameters a tuning of the model in a directory changes; of an image model, with those that inflation adds.

    Raises:
        WeightsDamaged: when its files cannot be read.
    """
    shapes = {name: shape for file in one_form(Path(path) / "unet") for name, (shape, _) in tensors_of(file).items() if is_trained(name)}
    stored = sum(math.prod(shape) for shape in shapes.values())
    if any(TEMPORAL in name for name in shapes):
        return stored
    # Four matrices as large as the query of self-attention, and a bias.
    return stored + sum(4 * math.prod(shape) + shape[0] for name, shape in shapes.items() if QUERIES in name)


def _tensors(path: Path, whole: bool) -> Iterator[tuple[str, tuple[int, ...], bytes]]:
    """(name, shape, numbers in half precision) by name: of those tensors that are trained, or of all the first row."""
    from safetensors import SafetensorError, safe_open

    told = {name: (file, *about) for file in one_form(path / "unet") for name, about in tensors_of(file).items()}
    framework = "pt" if any(dtype == "BF16" for _, _, dtype in told.values()) else "np"  # numpy knows no bfloat16
    opened: dict[Path, Any] = {}
    for name, (file, shape, _) in sorted(told.items()):
        if whole and not is_trained(name):
            continue
        try:
            opened[file] = opened.get(file) or safe_open(file, framework=framework)
            tensor = opened[file].get_slice(name)
            read = tensor[...] if whole or len(shape) < 2 else tensor[:1]
        except (SafetensorError, OSError) as error:
            raise WeightsDamaged(f"{str(file)!r} cannot be read ({error}).", "Get the file again.") from error
        with np.errstate(over="ignore"):
            yield name, shape, (read.astype(np.float16) if framework == "np" else read.half().numpy()).tobytes()
