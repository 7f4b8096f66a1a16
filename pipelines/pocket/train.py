"""Training of the pocket model, one command: render, fit the autoencoder, image stage, inflate, video stages, assemble.

    python -m pipelines.pocket train --out RUN --minutes 240

Each stage has its own folder under RUN and resumes there after a kill at any moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..defaults import GenerationDefaults
from ..inflation import VideoUNet
from ..noise import NoisePrior
from ..text_to_video import TextToVideoPipeline
from ..training.loop import LoopConfig, train
from ..training.objective import DenoisingObjective, ObjectiveConfig
from .autoencoder import PatchAutoencoder
from .captions import plain_caption, random_attributes
from .dataset import open_dataset, render_dataset
from .recipe import (
    ImageBatches,
    VideoBatches,
    build_image_unet,
    build_scheduler,
    build_text_encoder,
    fit_autoencoder,
    save_stage,
)
from .tokenizer import build_tokenizer
from .world import FPS, FRAMES, SIZE

VIDEO_NOISE = NoisePrior("progressive", 2.0)
# Where shapes and paths are decided, sigma / alpha from 4 to 130: a clip noised less is finished with the right object and motion, and
# from more noise than this nothing further is lost (measured by noising rendered clips to a level and denoising them from there).
DECISIVE = (0.45, 0.88)


@dataclass(frozen=True)
class VideoStage:
    """One step of the frame-rate curriculum (Make-A-Video, section 3.2.2): few frames far apart first, then all of them.

    Args:
        name: of the stage's folder.
        frames: of a training clip.
        share: of the video time budget.
        batch_size: clips.
        learning_rate: of the layers that the image model brought.
        new_layers_factor: how much faster the temporal layers learn.
        decay_from: share of the stage after which learning slows down.
        focus, focus_share: see `ObjectiveConfig`.
        plain: share of captions in the canonical wording.
        also: see `VideoBatches`.
    """

    name: str
    frames: int
    share: float
    batch_size: int
    learning_rate: float
    new_layers_factor: float
    decay_from: float
    focus: tuple[float, float] = DECISIVE
    focus_share: float = 0.7
    plain: float = 0.0
    also: int | None = None


# Where a motion puts things is the product of words and moments, and is learned at the noisiest timesteps alone, where nothing else can
# be: in minutes there, not at all in an hour among all timesteps (measured, see the model card).
VIDEO_STAGES: tuple[VideoStage, ...] = (
    VideoStage("motion", 8, 0.08, 8, 5e-4, 4.0, decay_from=1.0, focus=(0.86, 1.0), focus_share=1.0, plain=0.5),
    VideoStage("video-4", 4, 0.2, 16, 7e-4, 2.0, decay_from=1.0),
    VideoStage("video-8", 8, 0.18, 8, 6e-4, 2.0, decay_from=1.0),
    VideoStage("video-16", 16, 0.34, 4, 5e-4, 2.0, decay_from=0.8),
    VideoStage("shapes", 16, 0.2, 4, 5e-4, 1.0, decay_from=0.2, also=8),
)


@dataclass
class Components:
    """What a stage starts from and leaves behind."""

    unet: nn.Module
    text_encoder: CLIPTextModel
    vae: PatchAutoencoder
    tokenizer: PreTrainedTokenizerBase
    scheduler: DDIMScheduler

    @classmethod
    def fresh(cls) -> Components:
        torch.manual_seed(0)
        tokenizer = build_tokenizer()
        return cls(build_image_unet(), build_text_encoder(tokenizer), fit_autoencoder(), tokenizer, build_scheduler())

    @classmethod
    def load(cls, folder: Path) -> Components:
        """Of a stage or a finished model, in float32."""
        is_video = "temporal_conv" in json.loads((folder / "unet" / "config.json").read_text())
        return cls(
            (VideoUNet if is_video else UNet2DConditionModel).from_pretrained(folder / "unet").float(),
            CLIPTextModel.from_pretrained(folder / "text_encoder").float(),
            PatchAutoencoder.from_pretrained(folder / "vae"),
            PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer"),
            DDIMScheduler.from_pretrained(folder / "scheduler"),
        )

    def save(self, folder: Path) -> None:
        save_stage(folder, **vars(self))


def train_images(start: Components, clips: Path, folder: Path, config: LoopConfig, batch_size: int = 64) -> Components:
    """Stage one: a text-to-image model on single frames."""
    pixels, attributes = open_dataset(clips)
    _plain_attention(start.unet)
    asked = ObjectiveConfig(focus=DECISIVE, focus_share=0.7)
    objective = DenoisingObjective(start.unet, start.text_encoder, start.vae, start.scheduler.alphas_cumprod, asked)
    batches = ImageBatches(pixels, attributes, start.tokenizer, batch_size)
    train(objective, batches, folder, config, sample=_image_sheets(start, folder))
    start.save(folder / "model")
    return start


def _plain_attention(unet: nn.Module) -> None:
    """On a CPU the plain formula trains a tenth faster than the fused kernel, which also guards against rows of minus infinity."""
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())


def inflate(image: Components) -> Components:
    """Stage two: the image UNet becomes a video UNet that computes the same."""
    unet = VideoUNet.from_image_unet(image.unet, condition_frames=True, frame_rate=True)
    wake_unused_words(image.text_encoder)
    return Components(unet, image.text_encoder, image.vae, image.tokenizer, image.scheduler)


@torch.no_grad()
def wake_unused_words(text_encoder: CLIPTextModel) -> None:
    """Scales the embeddings of words that were never read up to the median norm of all words.

    Image captions say nothing of motion, so after the image stage the words of motion still have their initial embeddings, a fifth
    of the others' size, and position embeddings drown them: "left" and "right" were the same to the pooled text. Measured on this
    model, motion was not learned until they were made as loud as the rest.
    """
    table = text_encoder.get_input_embeddings().weight
    norms = table.norm(dim=1, keepdim=True)
    median = norms.median()
    table.copy_(torch.where(norms < median / 2, table * (median / norms.clamp(min=1e-6)), table))


def train_videos(start: Components, clips: Path, folder: Path, config: LoopConfig, stage: VideoStage) -> Components:
    """Stage three: temporal layers (and, more slowly, everything else) on clips."""
    pixels, attributes = open_dataset(clips)
    _plain_attention(start.unet)
    asked = ObjectiveConfig(VIDEO_NOISE, stage.focus, stage.focus_share)
    objective = DenoisingObjective(start.unet, start.text_encoder, start.vae, start.scheduler.alphas_cumprod, asked)
    batches = VideoBatches(pixels, attributes, start.tokenizer, stage.batch_size, stage.frames, stage.plain, stage.also)

    def is_new(name: str) -> bool:
        """The temporal layers, and the text encoder, which has not read of motion before."""
        return "temporal" in name or name.startswith("text_encoder")

    train(objective, batches, folder, config, is_new=is_new, sample=_video_sheets(start, folder, stage))
    start.save(folder / "model")
    return start


# ---------------------------------------------------------------------------------------------------------------------
# Contact sheets while training


@torch.no_grad()
def sample_latents(
    parts: Components, prompts: list[str], frames: int, fps: float, steps: int = 24, guidance_scale: float = 2.5
) -> torch.Tensor:
    """DDIM samples (n, c, f, h, w) for contact sheets: no pipeline, no noise but that of seed 0."""
    device = next(parts.unet.parameters()).device
    prior = VIDEO_NOISE if frames > 1 else NoisePrior("independent")
    side = parts.unet.config.sample_size
    latents = prior.sample((len(prompts), parts.vae.config.latent_channels, frames, side, side), torch.Generator().manual_seed(0), device)
    ids = parts.tokenizer([""] * len(prompts) + prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(device)
    parts.scheduler.set_timesteps(steps)
    with torch.autocast(device.type, torch.bfloat16):
        text = parts.text_encoder(input_ids=ids)
        for t in parts.scheduler.timesteps:
            doubled = torch.cat([latents, latents])
            if isinstance(parts.unet, VideoUNet):
                predicted = parts.unet(doubled, t, text.last_hidden_state, class_labels=text.pooler_output, fps=fps).sample
            else:
                predicted = parts.unet(doubled[:, :, 0], t, text.last_hidden_state, class_labels=text.pooler_output).sample[:, :, None]
            without, with_text = predicted.float().chunk(2)
            latents = parts.scheduler.step(without + guidance_scale * (with_text - without), t, latents).prev_sample
    return latents


def sample_clips(parts: Components, prompts: list[str], frames: int, fps: float) -> np.ndarray:
    """The same as pixels, uint8 (n, f, h, w, 3)."""
    latents = sample_latents(parts, prompts, frames, fps)
    images = parts.vae.decode(latents.transpose(1, 2).flatten(0, 1), return_dict=False)[0]
    images = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
    return images.unflatten(0, (len(prompts), frames)).cpu().numpy()


def _held_out_prompts(count: int, motion: bool) -> list[str]:
    rng = np.random.default_rng(7)
    known = [random_attributes(rng, held_out=True) for _ in range(count)]
    return [plain_caption(a) if motion else plain_caption(a).replace(" standing still", "") for a in known]


def _image_sheets(parts: Components, folder: Path) -> Callable[[nn.Module, str], None]:
    def draw(_: nn.Module, tag: str) -> None:
        clips = sample_clips(parts, _held_out_prompts(48, motion=False), 1, FPS)
        _write_sheet(folder / f"sheet-{tag}.png", clips[:, 0].reshape(6, 8, *clips.shape[2:]))

    return draw


def _video_sheets(parts: Components, folder: Path, stage: VideoStage) -> Callable[[nn.Module, str], None]:
    def draw(_: nn.Module, tag: str) -> None:
        clips = sample_clips(parts, _held_out_prompts(12, motion=True), stage.frames, FPS / ((FRAMES - 1) // (stage.frames - 1)))
        _write_sheet(folder / f"sheet-{tag}.png", clips)

    return draw


def _write_sheet(path: Path, grid: np.ndarray) -> None:
    """A PNG of uint8 (rows, columns, h, w, 3), enlarged twice."""
    rows = [np.concatenate([cv2.resize(f, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for f in row], axis=1) for row in grid]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


# ---------------------------------------------------------------------------------------------------------------------
# The whole of it

GENERATION = GenerationDefaults(
    num_frames=16,
    min_frames=1,
    max_frames=16,
    fps=8.0,
    num_inference_steps=24,
    guidance_scale=3.0,
    sampler="ddim",
    noise_kind=VIDEO_NOISE.kind,
    noise_alpha=2.0,
    width=SIZE,
    height=SIZE,
)


def default_batch_factor() -> int:
    """A GPU is only busy with larger batches than two CPU cores want."""
    return 8 if torch.cuda.is_available() else 1


def train_all(out: Path, minutes: float, clips: int, init: Path | None = None, batch_factor: int | None = None) -> Components:
    """Everything, in order; 30 % of the time goes to images, the rest to clips. A second call goes on where the first was killed.

    Args:
        out: folder of the run.
        minutes: time budget of all stages together.
        clips: size of the rendered training set.
        init: a model to go on from: an image stage's, or a finished one, for which the image stage is left out.
        batch_factor: multiplies every batch size; None is 1 on a CPU and 8 on a GPU.
    """
    factor = batch_factor or default_batch_factor()
    render_dataset(out / "clips", clips)
    start = Components.load(init) if init else Components.fresh()
    seconds = 60 * minutes
    if not isinstance(start.unet, VideoUNet):
        image = partial(train_images, start, out / "clips", config=LoopConfig(0.3 * seconds), batch_size=64 * factor)
        start = inflate(_stage(out / "image", image))
        seconds *= 0.7
    for planned in VIDEO_STAGES:
        stage = replace(planned, batch_size=planned.batch_size * factor)
        config = LoopConfig(seconds * stage.share, stage.learning_rate, stage.new_layers_factor, decay_from=stage.decay_from)
        start = _stage(out / stage.name, partial(train_videos, start, out / "clips", config=config, stage=stage))
    return start


def assemble(parts: Components, folder: Path) -> None:
    """Writes the model directory that the studio loads, weights in half precision."""
    parts.unet.set_default_attn_processor()
    pipe = TextToVideoPipeline(parts.vae, parts.text_encoder, parts.tokenizer, parts.unet, parts.scheduler, GENERATION.to_dict())
    parts.unet.half()
    parts.text_encoder.half()
    pipe.save_pretrained(folder)
    for config in folder.glob("*/config.json"):
        kept = {name: value for name, value in json.loads(config.read_text()).items() if name != "_name_or_path"}  # a path of this machine
        config.write_text(json.dumps(kept, indent=2) + "\n")


def _stage(folder: Path, run: Callable[[Path], Components]) -> Components:
    """A stage that has left its model is not run again."""
    if (folder / "model" / "scheduler").exists():  # the last of the components to be saved
        return Components.load(folder / "model")
    return run(folder)
