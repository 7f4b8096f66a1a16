"""The models that the studio knows by name (`assets/catalog.toml`), and what can be said of any other directory or LoRA. No torch.

catalog = load_catalog()
catalog["wan-2.1-t2v-1.3b"].parameters            # 1419000000
describe("models/my-wan").capabilities.cannot      # {"fps": "It was told no frame rate ...", ...}
describe("loras/look.safetensors").rank            # 16
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import families
from .checkpoints import weight_files
from .defaults import GenerationDefaults
from .errors import CatalogError, InvalidInput, UnsafeModel, WeightsDamaged, WeightsMissing

CATALOG = Path(__file__).resolve().parent.parent / "assets" / "catalog.toml"
MODULE = "diffusion_pytorch_model*.safetensors"  # a motion module's own files, beside which its LoRA may lie
Role = Literal["text-to-video", "image-to-video", "image-base", "one-shot", "prior", "adapter"]
HUB_ID = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
Side = Annotated[int, Field(ge=8, multiple_of=8)]


class CatalogEntry(BaseModel):
    """A model that the studio knows. None is "not known", and is shown as such."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="In the catalog.")
    title: str = Field(min_length=1, description="For people.")
    hub: str = Field(pattern=f"^{HUB_ID}$", description="Repository on the Hub.")
    revision: str = Field("main", min_length=1, description="Branch, tag or commit of the repository.")
    family: str = Field(description="One of `families.FAMILIES`.")
    base: str = Field("", description="For a module alone: the entry whose parts it needs.")
    roles: tuple[Role, ...] = Field(min_length=1, description="What it can be in the studio.")
    parameters: int | None = Field(None, gt=0, description="Of the denoiser, all networks together.")
    latent_group: str = Field(description="Models of one group have latents that mean the same: a necessary condition to compose them.")
    prediction: Literal["epsilon", "v_prediction", "flow"] | None = Field(None, description="What the denoiser predicts.")
    width: Side | None = Field(None, description="Native width in pixels.")
    height: Side | None = Field(None, description="Native height in pixels.")
    frames: int | None = Field(None, gt=0, description="Native length.")
    fps: float | None = Field(None, gt=0, description="Frames a second that it was made for.")
    guidance_scale: float | None = Field(None, ge=1, description="Recommended guidance.")
    steps: int | None = Field(None, gt=0, description="Recommended denoising steps.")
    sampler: str | None = Field(None, description="Recommended sampler; its own if there is none.")
    memory_gb: float | None = Field(None, gt=0, description="Memory of the GPU that it is said to need, in GB.")
    memory_note: str = Field("", description="For which way of running it that is said, and by whom.")
    licence: str | None = Field(None, description="Name of its licence.")
    licence_note: str = Field("", description="What its name does not tell: a condition on commerce, countries left out.")
    gated: bool | None = Field(None, description="Whether the Hub asks for consent and a token.")
    non_commercial: bool | None = Field(None, description="Whether the licence forbids commercial use.")
    verified: bool = Field(True, description="Whether the repository is known to be there under this name.")

    def settings(self, own: GenerationDefaults) -> GenerationDefaults:
        """A model's own defaults, with what the catalog knows better."""
        known = {
            "num_frames": self.frames,
            "fps": self.fps,
            "guidance_scale": self.guidance_scale,
            "num_inference_steps": self.steps,
            "sampler": self.sampler,
            "width": self.width,
            "height": self.height,
        }
        values: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
        return replace(own, **values)


class Catalog(Mapping[str, CatalogEntry]):
    """Entries by name, in the order of the file."""

    def __init__(self, entries: Mapping[str, CatalogEntry]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> CatalogEntry:
        if name not in self._entries:
            raise InvalidInput(f"The catalog has no model {name!r}.", f"Choose one of {', '.join(self._entries)}.")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def of_hub(self, hub: str) -> CatalogEntry | None:
        """The entry of a repository; None where it is not in the catalog."""
        return next((entry for entry in self.values() if entry.hub.lower() == hub.lower()), None)

    def with_role(self, role: Role) -> list[CatalogEntry]:
        return [entry for entry in self.values() if role in entry.roles]

    def priors_for(self, adapter: CatalogEntry) -> list[CatalogEntry]:
        """Entries that may be composed with this one: of its latent group, with the role of a prior."""
        return [entry for entry in self.with_role("prior") if entry.latent_group == adapter.latent_group]


def load_catalog(path: str | Path = CATALOG) -> Catalog:
    """The catalog in a TOML file.

    Raises:
        CatalogError: naming the file, the entry and the field that is wrong.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{str(path)!r} is not readable as TOML ({error}).", "Restore the file.") from error
    entries: dict[str, CatalogEntry] = {}
    for name, table in tables.items():
        try:
            entries[name] = CatalogEntry.model_validate({"name": name, **table})
        except (ValidationError, TypeError) as error:
            raise _wrong(path, name, error) from error
    for entry in entries.values():
        if entry.family not in families.FAMILIES:
            raise CatalogError(f"{path.name}, [{entry.name}], family: there is no {entry.family!r}.", "Name one of the families.")
        if entry.base and entry.base not in entries:
            raise CatalogError(f"{path.name}, [{entry.name}], base: there is no entry {entry.base!r}.", "Name another entry.")
    return Catalog(entries)


def _wrong(path: Path, name: str, error: ValidationError | TypeError) -> CatalogError:
    if isinstance(error, TypeError):
        return CatalogError(f"{path.name}, [{name}]: it is not a table of fields.", "Put the fields under the entry's name.")
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    given = "" if first["type"] == "missing" else f" (it is {first['input']!r})"
    return CatalogError(f"{path.name}, [{name}], {field}: {first['msg'].lower()}{given}.", "Correct the file.")


def check_hub_id(hub: str) -> str:
    """A repository's name as the Hub has it, owner/name; also from its address.

    Raises:
        InvalidInput: when it is none.
    """
    named = re.fullmatch(rf"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/)?({HUB_ID})/?(?:tree/[\w./-]+)?", hub.strip())
    if not named or ".." in named[1] or named[1].startswith(("datasets/", "spaces/")):
        raise InvalidInput(f"{hub!r} is no name of a model on the Hub.", "Give it as owner/name, 'Wan-AI/Wan2.1-T2V-1.3B-Diffusers' say.")
    return named[1]


# -- what is on the disk ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DescribedModel:
    """A model directory, read but not loaded.

    Args:
        path: the directory.
        family: name of its family.
        capabilities: what it can do, and why not.
        defaults: what its authors recommend.
        parameters: of the denoiser, all networks together, counted in the headers of its files.
        bytes: of all its weights.
        autoencoder: (class, latent channels) of its latent space; models that differ here cannot be composed.
    """

    path: Path
    family: str
    capabilities: families.Capabilities
    defaults: GenerationDefaults
    parameters: int
    bytes: int
    autoencoder: tuple[str, int]


@dataclass(frozen=True)
class DescribedLora:
    """A LoRA in one safetensors file, read but not loaded.

    Args:
        path: the file.
        rank: the largest of its matrices.
        layers: that it changes.
        widths: inputs of these layers; a base has layers of all these widths.
        bytes: of the file.
        metadata: what its trainer wrote into it.
    """

    path: Path
    rank: int
    layers: int
    widths: frozenset[int]
    bytes: int
    metadata: Mapping[str, str]


def describe(path: str | Path) -> DescribedModel | DescribedLora:
    """A model directory in diffusers' layout, a motion module, or a LoRA in one file; nothing is loaded.

    Raises:
        WeightsMissing, WeightsDamaged, UnsafeModel, UnknownFamily: naming what is wrong with it.
    """
    path = Path(path)
    if path.is_file():
        return describe_lora(path)
    directory = families.read_directory(path)
    family = families.family_of(directory)
    families.check_safe(directory)
    files = weight_files(path) if directory.pipeline != "MotionAdapter" else one_form(path, MODULE)
    # A full and a half precision of the same weights count once.
    counted = [file for place in family.places for file in one_form(path / place)] or files
    vae = directory.config("vae")
    return DescribedModel(
        path=path,
        family=family.name,
        capabilities=family.capabilities(directory),
        defaults=families.defaults(path),
        parameters=sum(math.prod(shape) for file in counted for shape, _ in tensors_of(file).values()),
        bytes=sum(file.stat().st_size for file in files),
        autoencoder=(str(vae.get("_class_name", "")), int(vae.get("latent_channels") or vae.get("z_dim") or 0)),
    )


def describe_lora(path: str | Path) -> DescribedLora:
    """A LoRA in one safetensors file, whichever trainer wrote it.

    Raises:
        UnsafeModel: for a pickle.
        WeightsMissing, WeightsDamaged: when it is not there, not whole, or no LoRA.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsMissing(f"There is no file {str(path)!r}.", "Give the path of a LoRA in safetensors.")
    if path.suffix != ".safetensors":
        raise UnsafeModel(f"{path.name!r} is no safetensors file, and may be a pickle, which can run code.", "Convert it to safetensors.")
    metadata: dict[str, str] = {}
    shapes = {name: shape for name, (shape, _) in tensors_of(path, metadata).items()}
    # peft: lora_A.weight; kohya: lora_down.weight; older diffusers: lora.down.weight. Each (rank, inputs), or a convolution's.
    down = {name: shape for name, shape in shapes.items() if re.search(r"lora(_A|_down|\.down)\b", name) and len(shape) >= 2}
    if not down:
        raise WeightsDamaged(f"{path.name!r} holds no LoRA ({len(shapes)} tensors, none of them of one).", "Choose another file.")
    return DescribedLora(
        path=path,
        rank=max(shape[0] for shape in down.values()),
        layers=len(down),
        widths=frozenset(shape[1] for shape in down.values() if len(shape) == 2),
        bytes=path.stat().st_size,
        metadata=metadata,
    )


def why_lora_does_not_fit(lora: DescribedLora, model: DescribedModel) -> str:
    """A sentence on why a LoRA is not for this model; "" where nothing speaks against it (`load_lora_weights` has the last word)."""
    if not model.capabilities.can("lora"):
        return model.capabilities.cannot["lora"]
    family = families.FAMILIES[model.family]
    parts = [*family.places, "text_encoder", "text_encoder_2"]
    widths = {
        shape[1]
        for part in parts
        for file in one_form(model.path / part)
        for shape, _ in tensors_of(file).values()
        if len(shape) in (2, 4)  # 4 is a 1 x 1 convolution, which LoRAs treat as linear
    }
    foreign = sorted(lora.widths - widths)
    if not foreign:
        return ""
    return f"It changes layers of {foreign[0]} inputs, and this model has none of that width: it was trained on another base."


def tensors_of(file: Path, metadata: dict[str, str] | None = None) -> dict[str, tuple[tuple[int, ...], str]]:
    """Tensor -> (shape, dtype) of a safetensors file, from its header alone.

    Args:
        metadata: takes the file's own notes.

    Raises:
        WeightsDamaged: when it is not whole.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as tensors:
            if metadata is not None:
                metadata.update(tensors.metadata() or {})
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 (it is no dictionary)
            return {name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsDamaged(f"{str(file)!r} is not a whole safetensors file ({error}).", "Get the file again.") from error


def one_form(folder: Path, pattern: str = "*.safetensors") -> list[Path]:
    """The safetensors files of a folder without those in half precision that double others."""
    files = sorted(folder.glob(pattern))
    return [file for file in files if not in_half(file)] or files


def in_half(file: Path) -> bool:
    """Whether a file of weights says that it is a second form of others, in half precision."""
    return ".fp16" in file.name or ".bf16" in file.name
