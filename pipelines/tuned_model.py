"""A tuned model as one small file to keep and to share: the tuned tensors alone, and in the file's header where they belong.

save_tuned_model(path, tuned, TunedModel(name="skier", caption="a man is skiing", base=base_hash(pipe.unet), ...))
about = read_tuned_model(path)              # the header only, no tensors
tuned = load_tuned_model(path, pipe.unet)   # refuses another base
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from .errors import IncompatibleModels, StorageError, WeightsDamaged, WeightsMissing
from .inflation import VideoUNet
from .tuned_network import Tuned, trainable_parameters

FORMAT = "prior-studio tuned model 1"
REMEDY = "Choose a file that one-shot tuning wrote."


@dataclass(frozen=True)
class TunedModel:
    """What a tuned model's file says of it.

    Args:
        name: for people.
        caption: of the clip.
        base: `base_hash` of the network it was tuned on.
        base_name: of that model, for people.
        steps: of tuning.
        sparse_causal: as it was tuned.
        settings: everything else that decided it, as JSON values.
        thumbnail: PNG of a frame of the clip; empty where there is none.
        signature: `signatures.signature` of the base's files; empty in files of older versions.
    """

    name: str
    caption: str
    base: str
    base_name: str = ""
    steps: int = 0
    sparse_causal: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    thumbnail: bytes = b""
    signature: str = ""


def base_hash(unet: VideoUNet) -> str:
    """The first 16 hex digits of the SHA-256 over the parameters that tuning would replace, in half precision.

    In half precision, so that a model is the same one whether it was loaded in 16 or in 32 bits.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(trainable_parameters(unet).items()):
        digest.update(name.encode())
        digest.update(parameter.detach().half().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_tuned_model(path: str | Path, tuned: Tuned, about: TunedModel) -> None:
    """Writes the file whole or not at all; tensors in half precision.

    Raises:
        StorageError: when it cannot be written.
    """
    path = Path(path)
    header = asdict(about) | {"thumbnail": base64.b64encode(about.thumbnail).decode(), "sparse_causal": tuned.sparse_causal}
    tensors = {name: tensor.detach().half().cpu().contiguous() for name, tensor in tuned.tensors.items()}
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, unfinished, {"format": FORMAT, "about": json.dumps(header)})
        os.replace(unfinished, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # the folder itself may be what is wrong
            unfinished.unlink(missing_ok=True)
        raise StorageError(
            f"The tuned model {str(path)!r} cannot be written ({error}).", "Check that the folder is writable and has free space."
        ) from error


def read_tuned_model(path: str | Path) -> TunedModel:
    """What a file says of its tuned model; no tensor is read.

    Raises:
        WeightsMissing: there is no such file.
        WeightsDamaged: it is not a tuned model.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsMissing(f"There is no tuned model {str(path)!r}.", REMEDY)
    try:
        with safe_open(path, framework="pt") as tensors:
            header = tensors.metadata() or {}
        values = json.loads(header["about"])
        known = {f.name: values[f.name] for f in fields(TunedModel) if f.name in values}
        return TunedModel(**known | {"thumbnail": base64.b64decode(values.get("thumbnail", ""))})
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise WeightsDamaged(f"{str(path)!r} is not a tuned model, or not a whole one.", REMEDY) from error


def load_tuned_model(path: str | Path, unet: VideoUNet) -> Tuned:
    """The tuned tensors, for this network.

    Raises:
        WeightsMissing, WeightsDamaged: as `read_tuned_model`.
        IncompatibleModels: when it was tuned on another network.
    """
    about = read_tuned_model(path)
    if about.base != base_hash(unet):
        happened = f"The tuned model {about.name!r} belongs to another model ({about.base_name or about.base})."
        raise IncompatibleModels(happened, "Choose the model that it was tuned on.")
    tensors: dict[str, torch.Tensor] = load_file(path)
    return Tuned({name: tensor.float() for name, tensor in tensors.items()}, about.sparse_causal)
