"""The pocket model's architecture and its training, in Make-A-Video's order: images first, then inflation, then clips.

Singer et al., "Make-A-Video", arXiv 2209.14792, section 3; the noise of clips is PYoCo's progressive prior (arXiv 2305.10474).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerBase

from ..training.loop import Batch
from .autoencoder import PatchAutoencoder
from .captions import DOMAIN_STYLES, PRIOR_STYLES, Attributes, caption, plain_caption, random_attributes
from .world import FPS, FRAMES, SIZE, render

TEXT_WIDTH = 128
CHANNELS = (96, 192)
CAPTION_DROPOUT = 0.1  # for classifier-free guidance


def build_scheduler() -> DDIMScheduler:
    """A linear schedule that ends at sigma / alpha = 518.

    Uniform timesteps then spend half of their number above sigma / alpha = 5, where large shapes are decided, and a quarter above
    30, where the path of an object over 16 frames is. Trailing spacing starts every sampler at the noisiest timestep.
    """
    return DDIMScheduler(
        beta_schedule="linear", beta_start=1e-4, beta_end=0.025, prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
    )


def build_text_encoder(tokenizer: PreTrainedTokenizerBase) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=TEXT_WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_image_unet(latent_channels: int = 64, patch_size: int = 8) -> UNet2DConditionModel:
    """The image model; the pooled text joins the timestep embedding."""
    return UNet2DConditionModel(
        sample_size=SIZE // patch_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * len(CHANNELS),
        up_block_types=("CrossAttnUpBlock2D",) * len(CHANNELS),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=tuple(c // 32 for c in CHANNELS),
        class_embed_type="projection",
        projection_class_embeddings_input_dim=TEXT_WIDTH,
    )


def fit_autoencoder(clips_per_style: int = 400, seed: int = 0) -> PatchAutoencoder:
    """Patch components of all four styles, so that later domain models share the latent space."""
    rng = np.random.default_rng(seed)
    frames = []
    for style in (*PRIOR_STYLES, *DOMAIN_STYLES):
        for _ in range(clips_per_style):
            frames.append(render(random_attributes(rng, (style,), held_out=False), rng, times=rng.random(3)))
    images = torch.from_numpy(np.concatenate(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return PatchAutoencoder().fit(images)


@dataclass
class ImageBatches:
    """Single frames of training clips with captions that leave the motion out: step -> batch."""

    pixels: np.ndarray
    attributes: list[Attributes]
    tokenizer: PreTrainedTokenizerBase
    batch_size: int

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng((1, step))
        picks = rng.integers(0, len(self.attributes), self.batch_size)
        frames = np.stack([self.pixels[i, rng.integers(FRAMES)][None] for i in picks])
        texts = [_caption(self.attributes[i], rng, motion=False) for i in picks]
        return {"pixels": torch.from_numpy(frames), "input_ids": tokenize(self.tokenizer, texts)}


@dataclass
class VideoBatches:
    """Clips that span the world's two seconds, with captions and a mask of frames that are given clean: step -> batch.

    Of 16-frame batches, every tenth is 8 frames at the full rate, so that length and frame rate are not one thing.
    Two of five batches are single frames: a batch shows 64 of them but only a few clips, and shapes are learned from variety.

    Args:
        batch_size: clips of a batch; a batch of single frames has as many frames in all.
        plain: share of captions in the canonical wording.
        frames: of each clip. Fewer frames are further apart: 4 frames are taken at 1.6, 8 at 4 and 16 at 8 frames a second.
        also: frames of every second batch of clips, which has more clips instead.
    """

    pixels: np.ndarray
    attributes: list[Attributes]
    tokenizer: PreTrainedTokenizerBase
    batch_size: int
    frames: int
    plain: float = 0.0
    also: int | None = None

    def __call__(self, step: int) -> Batch:
        if step % 5 in (2, 4):
            return self._images(step)
        half = self.frames == FRAMES and step % 10 == 0
        frames = self.frames // 2 if half else self.also if self.also and step % 2 else self.frames
        stride = 1 if half else (FRAMES - 1) // (frames - 1)
        rng = np.random.default_rng((2, step))
        picks = rng.integers(0, len(self.attributes), self.batch_size * self.frames // frames)
        clips = np.stack([self.pixels[i, : stride * (frames - 1) + 1 : stride] for i in picks])
        given = np.stack([random_mask(frames, rng) for _ in picks])
        texts = [self._text(self.attributes[i], rng) for i in picks]
        return self._batch(clips, texts, FPS / stride, given)

    def _text(self, attributes: Attributes, rng: np.random.Generator) -> str:
        return plain_caption(attributes) if rng.random() < self.plain else _caption(attributes, rng, motion=True)

    def _images(self, step: int) -> Batch:
        singles = ImageBatches(self.pixels, self.attributes, self.tokenizer, self.batch_size * self.frames)(step)
        count = len(singles["pixels"])
        return {**singles, "fps": torch.full((count,), float(FPS)), "given": torch.zeros(count, 1)}

    def _batch(self, clips: np.ndarray, texts: list[str], fps: float, given: np.ndarray) -> Batch:
        return {
            "pixels": torch.from_numpy(clips),
            "input_ids": tokenize(self.tokenizer, texts),
            "fps": torch.full((len(clips),), float(fps)),
            "given": torch.from_numpy(given),
        }


def random_mask(frames: int, rng: np.random.Generator) -> np.ndarray:
    """1 where a frame is given: none (60 %), the first, the first and last, every k-th, or the first k. Float32 (frames,)."""
    given = np.zeros(frames, np.float32)
    match rng.choice(5, p=(0.6, 0.16, 0.08, 0.08, 0.08)):
        case 1:
            given[0] = 1
        case 2:
            given[[0, -1]] = 1
        case 3:
            given[:: rng.integers(2, 6)] = 1
        case 4:
            given[: rng.integers(1, max(2, frames // 2 + 1))] = 1
    return given


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> torch.Tensor:
    """Token ids (n, max length)."""
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


def _caption(attributes: Attributes, rng: np.random.Generator, motion: bool) -> str:
    return "" if rng.random() < CAPTION_DROPOUT else caption(attributes, rng, motion=motion, omit=0.05)


def save_stage(folder: Path, **components: object) -> None:
    """Saves each component under its name, in diffusers' layout."""
    for name, component in components.items():
        component.save_pretrained(folder / name)  # type: ignore[attr-defined]
