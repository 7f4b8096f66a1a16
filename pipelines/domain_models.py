"""Domain models: small video models of one look, to be composed with a frozen prior (Video Adapter, arXiv 2306.01872).

A domain model is a folder: `domain_model.json`, `unet/` (a `DomainUNet`, safetensors, half precision), `README.md`, `curve.svg`.
It has no text encoder, autoencoder or schedule of its own: it reads its base's, and only works beside that base.
Listing and reading need no torch; the page does it at start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import IncompatibleModels, InvalidInput, ModelError, WeightsDamaged, WeightsMissing

if TYPE_CHECKING:
    import torch

    from .inflation import VideoUNet
    from .text_to_video import TextToVideoPipeline

FILE = "domain_model.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
REMEDY = "Get the folder again, or train it with `python -m pipelines.training.domain`."
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DomainModel:
    """What a domain model's folder says of it.

    Args:
        name: of its folder; letters, digits, "-" and "_".
        title: for people.
        description: one sentence.
        style: the pocket world's style that it draws, or None for a look of its own.
        caption: words that belong in a prompt for it, or None.
        base: name of the model whose text encoder, autoencoder and schedule it reads.
        latent_space: of that base, as `LatentSpace.to_dict` writes it.
        text_encoder: hash of that base's text encoder.
        parameters: how many.
        objects, backgrounds: of the pocket world, that it has seen.
        made: ISO date.
        folder: where it is.
    """

    name: str
    title: str
    description: str = ""
    style: str | None = None
    caption: str | None = None
    base: str = ""
    latent_space: dict[str, Any] = field(default_factory=dict)
    text_encoder: str = ""
    parameters: int = 0
    objects: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    made: str = ""
    folder: Path = Path()

    def to_dict(self) -> dict[str, Any]:
        """Everything but the folder, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    @classmethod
    def from_dict(cls, values: dict[str, Any], folder: Path) -> DomainModel:
        """Unknown keys, from a newer version, are left alone. Raises InvalidInput where the name or title is missing."""
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values and f.name != "folder"}
        if not all(isinstance(known.get(name), str) and known[name] for name in ("name", "title")):
            raise InvalidInput(f"{str(folder / FILE)!r} names no domain model (name and title).", REMEDY)
        seen = {name: tuple(known.get(name) or ()) for name in ("objects", "backgrounds")}
        return cls(**{**known, **seen, "folder": folder})


def read_domain_model(folder: str | Path) -> DomainModel:
    """What a folder says of its domain model; the weights are not touched.

    Raises:
        WeightsMissing: no folder, or no `domain_model.json` in it.
        WeightsDamaged: that file is not readable.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        raise WeightsMissing(f"There is no domain model in {str(folder)!r} (no {FILE}).", REMEDY)
    try:
        return DomainModel.from_dict(json.loads(file.read_text()), Path(folder))
    except (OSError, ValueError, TypeError, AttributeError, InvalidInput) as error:
        raise WeightsDamaged(f"{str(file)!r} does not describe a domain model ({error}).", REMEDY) from error


def list_domain_models(*parents: str | Path) -> list[DomainModel]:
    """The domain models in these folders, each folder's by name. Of two with one name the first counts; unreadable ones are logged."""
    found: dict[str, DomainModel] = {}
    for folder in _candidates(parents):
        try:
            model = read_domain_model(folder)
            _weights_file(folder)
        except ModelError as error:
            logger.warning("%s", error)
            continue
        found.setdefault(model.name, model)
    return list(found.values())


def load_domain_model(folder: str | Path, device: str = "cpu", dtype: torch.dtype | None = None) -> VideoUNet:
    """The network of a domain model, in float32 unless told otherwise.

    Raises:
        WeightsMissing: there are no safetensors weights.
        WeightsDamaged: they cannot be read, or are another network's.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from .domain_unet import DomainUNet

    file = _weights_file(Path(folder))
    try:
        with safe_open(file, framework="pt") as tensors:
            stored = set(tensors.keys())
        unet = DomainUNet.from_config(DomainUNet.load_config(file.parent))
        if missing := sorted(set(unet.state_dict()) - stored):
            raise WeightsDamaged(f"{str(file)!r} lacks {len(missing)} of the network's weights, {missing[0]!r} among them.", REMEDY)
        unet = DomainUNet.from_pretrained(file.parent, use_safetensors=True, torch_dtype=dtype or torch.float32)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsDamaged(f"The weights in {str(file)!r} cannot be read as safetensors ({error}).", REMEDY) from error
    return unet.to(device).eval()


def save_domain_model(folder: str | Path, unet: VideoUNet, model: DomainModel, card: str = "", curve: str = "") -> DomainModel:
    """Writes the folder; `domain_model.json` comes last, so that a folder that has it is whole.

    Args:
        unet: is left as it is; a copy in half precision is stored.
        model: its parameters and folder are filled in.
        card: README.md, Markdown; empty for a short one.
        curve: an SVG of the training loss, or empty.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    (folder / "unet").mkdir(parents=True, exist_ok=True)
    unet.save_config(folder / "unet")
    halves = {name: value.detach().half().cpu().contiguous() for name, value in unet.state_dict().items()}
    save_file(halves, folder / "unet" / WEIGHTS, {"format": "pt"})
    count = sum(p.numel() for p in unet.parameters())
    model = DomainModel(**{**vars(model), "parameters": count, "folder": folder})
    if curve:
        (folder / "curve.svg").write_text(curve)
    (folder / "README.md").write_text(card or _short_card(model))
    (folder / FILE).write_text(json.dumps(model.to_dict(), indent=2) + "\n")
    return model


def check_fits(model: DomainModel, pipe: TextToVideoPipeline) -> None:
    """A domain model only works beside the base whose latents and text it was trained on.

    Raises:
        IncompatibleModels: when the resident model's latent space or text encoder is another one.
    """
    from .latent_space import LatentSpace, check_same_space, weights_hash

    check_same_space(LatentSpace.of(pipe.vae), LatentSpace.from_dict(model.latent_space))
    if model.text_encoder != weights_hash(pipe.text_encoder):
        raise IncompatibleModels(
            f"The domain model {model.name!r} reads the text encoder of {model.base!r}, and the resident model has another one.",
            "Choose a domain model that was trained beside the resident model, or train it again.",
        )


def _candidates(parents: tuple[str | Path, ...]) -> Iterator[Path]:
    """Folders that hold a description or weights; a folder of anything else is none of ours."""
    for parent in map(Path, parents):
        if parent.is_dir():
            yield from (f for f in sorted(parent.iterdir()) if (f / FILE).exists() or (f / "unet" / WEIGHTS).exists())


def _weights_file(folder: Path) -> Path:
    """Raises WeightsMissing, which says so where there are weights of another format."""
    file = folder / "unet" / WEIGHTS
    if file.is_file():
        return file
    others = [f.name for f in (folder / "unet").glob("*") if f.suffix in (".bin", ".pt", ".pth", ".ckpt")]
    found = f" ({others[0]!r} is not safetensors, and is not loaded)" if others else ""
    raise WeightsMissing(f"There are no weights at {str(file)!r}{found}.", REMEDY)


def _short_card(model: DomainModel) -> str:
    words = f"\n\nWords for its prompts: {model.caption}." if model.caption else ""
    return f"# {model.title}\n\n{model.description}\n\n{model.parameters:,} parameters; works beside the model {model.base!r}.{words}\n"
