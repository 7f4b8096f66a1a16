"""What every family of checkpoints says of itself, and what its own file fills in. Imports no torch.

A family knows which diffusers pipelines its directories are made for, what they can do and why not, and how our common arguments become
those of its pipeline. `video_model.VideoModel` is the same call over all of them.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..defaults import GenerationDefaults
from ..errors import InvalidInput, UnsupportedFrames

if TYPE_CHECKING:
    import torch
    from PIL import Image

Picture = Literal["none", "optional", "needed"]
FEATURES = ("text", "negative_prompt", "guidance", "fps", "size", "sampler", "noise_prior", "composition", "lora", "one_shot")
INDEPENDENT_NOISE = "It was trained with independent noise: with correlated noise its videos may move less or fall apart."
NO_FRAME_RATE = "It was told no frame rate in training; the number only says how fast the video plays."
OWN_SAMPLER = "It is sampled the way it was trained for."
NO_LORA = "Its pipeline loads no LoRAs."
NEEDS_VIDEO_UNET = "One-shot tuning takes image models (Stable Diffusion 1.x and 2.x) and the studio's own."


@dataclass(frozen=True)
class FrameRule:
    """Which numbers of frames a model makes: `first` + k * `step`, from `least` to `most`.

    Args:
        step: pixel frames a latent frame.
        first: pixel frames of the first latent frame.
        least: fewest.
        most: the most that are offered; memory decides earlier, usually.
    """

    step: int = 1
    first: int = 0
    least: int = 1
    most: int = 64

    def check(self, frames: int) -> None:
        """Raises UnsupportedFrames for a number that cannot be made, naming the nearest that can."""
        if isinstance(frames, bool) or not isinstance(frames, int) or not self.least <= frames <= self.most:
            raise UnsupportedFrames(f"{frames!r} frames were asked for.", f"This model makes {self.least} to {self.most} frames.")
        if (frames - self.first) % self.step:
            raise UnsupportedFrames(f"{frames} frames were asked for.", f"The nearest that this model makes is {self.nearest(frames)}.")

    def nearest(self, frames: int) -> int:
        """The number of frames it can make that is closest."""
        lowest, highest = -(-(self.least - self.first) // self.step), (self.most - self.first) // self.step
        return self.first + self.step * min(max(round((frames - self.first) / self.step), lowest), highest)


@dataclass(frozen=True)
class Capabilities:
    """What a model can do, and why not.

    Args:
        frames: how many it makes.
        size_unit: width and height are multiples of this, in pixels.
        picture: whether it takes one to start from.
        cannot: a feature (one of `FEATURES`) -> a sentence that says why it is missing.
        noise_warning: what to say where a correlated noise prior is chosen; "" where it was trained with one.
    """

    frames: FrameRule
    size_unit: int
    picture: Picture = "none"
    cannot: Mapping[str, str] = field(default_factory=dict)
    noise_warning: str = INDEPENDENT_NOISE

    def __post_init__(self) -> None:
        if unknown := set(self.cannot) - set(FEATURES):
            raise InvalidInput(f"There is no feature {sorted(unknown)[0]!r}.", f"Name one of {', '.join(FEATURES)}.")

    def can(self, feature: str) -> bool:
        return feature not in self.cannot

    def need(self, feature: str) -> None:
        """Raises InvalidInput with the reason where the feature is missing."""
        if feature in self.cannot:
            raise InvalidInput(f"This model has no {feature.replace('_', ' ')}.", self.cannot[feature])

    def check_size(self, width: int, height: int) -> None:
        """Raises InvalidInput for a size that the model's latents cannot have."""
        unit = self.size_unit
        if not all(isinstance(side, int) and side >= unit and side % unit == 0 for side in (width, height)):
            raise InvalidInput(f"The size is {width} x {height} pixels.", f"Width and height must be multiples of {unit}.")


@dataclass(frozen=True)
class Directory:
    """A model directory in diffusers' layout, read but not loaded."""

    path: Path
    index: Mapping[str, Any]

    @property
    def pipeline(self) -> str:
        """The class that the index names; "" where it names none."""
        name = self.index.get("_class_name", "")
        return name if isinstance(name, str) else ""

    @property
    def variant(self) -> str | None:
        """ "fp16" where some part has its weights in that form alone."""
        for folder in (self.path / part for part in self.index if self.has(part)):
            files = [file.name for file in folder.glob("*.safetensors")]
            if files and all(".fp16." in name or ".fp16-" in name for name in files):
                return "fp16"
        return None

    def has(self, part: str) -> bool:
        """Whether the index names a class for this part."""
        entry = self.index.get(part)
        return isinstance(entry, list) and entry[-1] is not None

    def config(self, part: str) -> dict[str, Any]:
        """The part's configuration; empty where it has none that can be read."""
        for name in ("config.json", "scheduler_config.json"):
            file = self.path / part / name
            if file.is_file():
                try:
                    return json.loads(file.read_text(encoding="utf-8"))
                except (json.JSONDecodeError, UnicodeDecodeError):
                    return {}
        return {}


@dataclass(frozen=True)
class Order:
    """One call, checked, with nothing left open.

    Args:
        prompts: one a video.
        negatives: one a video, or None.
        picture: to start from.
        width: pixels.
        height: pixels.
        frames: of each video.
        fps: frames a second that the motion is meant for.
        steps: denoising steps.
        guidance_scale: 1 is none.
        generator: of all randomness; one, or one a video.
    """

    prompts: list[str]
    negatives: list[str] | None
    picture: Image.Image | None
    width: int
    height: int
    frames: int
    fps: float
    steps: int
    guidance_scale: float
    generator: torch.Generator | list[torch.Generator] | None


class Family(ABC):
    """A family of checkpoints. Subclasses fill in what differs; one instance serves all directories of the family.

    Attributes:
        name: in the catalog.
        title: for people.
        pipelines: diffusers' pipeline classes whose directories belong to it.
        places: parts in which a denoiser stands, the first being the one that a composition takes.
        precise: parts that stay in float32 where the rest is in half precision.
        half: half precision on a GPU.
        own_noise: why the initial noise cannot be given together with a picture; "" where it can.
    """

    name = ""
    title = ""
    pipelines: tuple[str, ...] = ()
    places: tuple[str, ...] = ("transformer",)
    precise: tuple[str, ...] = ()
    half: Literal["bfloat16", "float16"] = "bfloat16"
    own_noise = ""

    # -- what is known without loading -------------------------------------------------------------------------------

    def accepts(self, directory: Directory) -> bool:
        return directory.pipeline in self.pipelines

    @abstractmethod
    def defaults(self, directory: Directory) -> GenerationDefaults:
        """What its authors recommend, where they do."""

    @abstractmethod
    def capabilities(self, directory: Directory) -> Capabilities:
        """What it can do, and why not the rest."""

    def token(self, directory: Directory) -> int:
        """Pixels along each side of one of its transformer's tokens."""
        return self.capabilities(directory).size_unit

    # -- loading it --------------------------------------------------------------------------------------------------

    @abstractmethod
    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        """The pipeline, on the CPU: our own, or the one of diffusers that a `DiffusersFamily` runs."""


class DiffusersFamily(Family):
    """A family that diffusers' own pipeline runs, put under our call by `VideoModel`."""

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        """The pipeline, on the CPU; from safetensors only, and never with code from the directory."""
        import diffusers

        return getattr(diffusers, directory.pipeline).from_pretrained(
            str(directory.path), dtype=dtype, use_safetensors=True, local_files_only=True, variant=directory.variant, **components
        )

    def pipeline_for(self, pipe: Any, order: Order) -> Any:
        """The pipeline that makes this order: another one on the same parts where a picture is given, for some."""
        return pipe

    def fitted(self, pipe: Any, order: Order) -> Order:
        """The order in a size that the pipeline makes; only models that choose the size themselves change it."""
        return order

    @abstractmethod
    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        """The order as arguments of the pipeline's call."""

    def latent_shape(self, pipe: Any, order: Order) -> tuple[int, ...]:
        """(b, c, f, h, w) of its latents: the first is of one frame, the others of as many as its autoencoder puts together."""
        from ..latent_space import channels_of, spatial_of, temporal_of

        unit, frames = spatial_of(pipe.vae), (order.frames - 1) // temporal_of(pipe.vae) + 1
        return (len(order.prompts), channels_of(pipe.vae), frames, order.height // unit, order.width // unit)

    def initial(self, pipe: Any, noise: torch.Tensor) -> torch.Tensor:
        """Noise (b, c, f, h, w) as the pipeline takes it for its first latents."""
        return self.to_pipeline(pipe, noise)

    def to_pipeline(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        """Latents (b, c, f, h, w) in the order of axes that the pipeline works in."""
        return latents

    def to_latents(self, pipe: Any, sample: torch.Tensor, order: Order) -> torch.Tensor:
        """What the pipeline works in as (b, c, f, h, w)."""
        return sample

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        """Latents (b, c, f, h, w) -> pixels (b, 3, f, h, w) in [-1, 1], as the pipeline decodes its own."""
        return pipe.vae.decode(own_scale(pipe.vae, latents).to(pipe.vae.dtype), return_dict=False)[0]

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """The few latent frames that are decoded for a preview: the first, which a causal decoder decodes alone."""
        return latents[:, :, :1]


def on_same_parts(wanted: Any, pipe: Any, **options: Any) -> Any:
    """The pipeline, or where it is of another class than wanted, one of that class on its parts."""
    if isinstance(pipe, wanted):
        return pipe
    other = wanted(**pipe.components, **options)
    other.set_progress_bar_config(**getattr(pipe, "_progress_bar_config", {}))
    return other


def own_scale(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Latents (b, c, f, h, w) as an autoencoder made them, float32: networks learn them scaled, and shifted where its means are known."""
    import torch

    config = vae.config
    mean, std = (config.get(name) or getattr(vae, "_buffers", {}).get(name) for name in ("latents_mean", "latents_std"))
    latents = latents.float() / (config.get("scaling_factor") or 1.0)
    if mean is None or std is None:
        return latents
    mean, std = (torch.as_tensor(given, dtype=torch.float32, device=latents.device).view(1, -1, 1, 1, 1) for given in (mean, std))
    return latents * std + mean


def with_picture(order: Order) -> dict[str, Any]:
    """The picture as an argument, one a video where there are several."""
    if order.picture is None:
        return {}
    return {"image": order.picture if len(order.prompts) == 1 else [order.picture] * len(order.prompts)}


def common_inputs(order: Order) -> dict[str, Any]:
    """The arguments that nearly all pipelines of diffusers share."""
    return {
        "prompt": order.prompts,
        "negative_prompt": order.negatives,
        "width": order.width,
        "height": order.height,
        "num_frames": order.frames,
        "num_inference_steps": order.steps,
        "guidance_scale": order.guidance_scale,
        "generator": order.generator,
    }


def sized(order: Order, width: int, height: int) -> Order:
    return replace(order, width=width, height=height)


def recommended(
    *, frames: int, fps: float, guidance_scale: float, size: tuple[int, int], steps: int = 50, sampler: str = ""
) -> GenerationDefaults:
    """Defaults of a model; the limits of its length are in its `FrameRule`, and no sampler is its own."""
    width, height = size
    return GenerationDefaults(
        num_frames=frames, fps=fps, num_inference_steps=steps, guidance_scale=guidance_scale, sampler=sampler, width=width, height=height
    )
