"""What a domain model learns from, as its network sees it: latents of clips and pictures, captions as the frozen text encoder reads them.

The base's text encoder and autoencoder do not learn, so everything is encoded once, and a training step is the small network alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..pocket.recipe import random_mask
from ..text_to_video import TextToVideoPipeline
from .domain_recipe import DomainRecipe
from .loop import Batch
from .retouch import retouch


@dataclass
class EncodedClips:
    """Clips as the network sees them.

    Args:
        latents: float16 (n, c, f, h, w).
        captions: (n, k) rows of the text tables, k wordings of each clip.
        retouched: the same clips in other tones (`retouch.py`), as latents; None where there are none.
    """

    latents: torch.Tensor
    captions: torch.Tensor
    retouched: torch.Tensor | None = None


@dataclass
class EncodedTexts:
    """Captions as the network reads them, float16: context (m, tokens, d) and pooled (m, d) or None. Row 0 is the empty caption."""

    context: torch.Tensor
    pooled: torch.Tensor | None
    rows: dict[str, int]

    def look_up(self, captions: Sequence[Sequence[str]]) -> torch.Tensor:
        """Rows of captions, (n, k)."""
        return torch.tensor([[self.rows[text] for text in each] for each in captions])


@torch.no_grad()
def encode_texts(pipe: TextToVideoPipeline, captions: Sequence[str]) -> EncodedTexts:
    """Every different caption once, and the empty one."""
    rows = {text: row for row, text in enumerate(dict.fromkeys(["", *captions]))}
    texts, contexts, pooled = list(rows), [], []
    for start in range(0, len(texts), 256):
        ids = pipe.tokenizer(
            texts[start : start + 256],
            padding="max_length",
            max_length=pipe.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        out = pipe.text_encoder(input_ids=ids.to(pipe.text_encoder.device))
        contexts.append(out.last_hidden_state.half().cpu())
        pooled.append(out.pooler_output.half().cpu())
    wanted = pipe.unet.config.class_embed_type == "projection"
    return EncodedTexts(torch.cat(contexts), torch.cat(pooled) if wanted else None, rows)


@torch.no_grad()
def encode_clips(pipe: TextToVideoPipeline, clips: np.ndarray) -> torch.Tensor:
    """uint8 (n, f, h, w, 3) -> latents float16 (n, c, f, h, w)."""
    parts = []
    for clip in clips:
        images = torch.from_numpy(clip).permute(0, 3, 1, 2).to(pipe.vae.device, pipe.vae.dtype) / 127.5 - 1
        latents = torch.cat([pipe.vae.encode(part).latent_dist.mode() for part in images.split(16)])
        parts.append((latents * pipe.vae.config.scaling_factor).transpose(0, 1).half().cpu())
    return torch.stack(parts)


def encode_retouched(pipe: TextToVideoPipeline, clips: np.ndarray, seed: int) -> torch.Tensor:
    """uint8 (n, f, h, w, 3) -> latents of the clips in other tones, as of `encode_clips`."""
    rng = np.random.default_rng((seed, 5))
    return torch.cat([encode_clips(pipe, retouch(clip, rng)[None]) for clip in clips])


@dataclass
class Material:
    """All that a domain model learns from: clips at the base's frame rate, single pictures where there are more of them, texts."""

    clips: EncodedClips
    texts: EncodedTexts
    fps: float
    pictures: EncodedClips | None = None


@dataclass
class DomainBatches:
    """Clips of several lengths, and pictures, in turn: step -> batch of `latents`, `seen`, `context`, `pooled`, `fps` and `given`.

    `seen` are the latents with some of the clips retouched; the network gets them noisy, and is asked for `latents`.
    """

    material: Material
    recipe: DomainRecipe

    def __call__(self, step: int) -> Batch:
        longest = self.material.clips.latents.shape[2]
        lengths = [n for n in self.recipe.clip_lengths if n <= longest] or [longest]
        frames, rng = lengths[step % len(lengths)], np.random.default_rng((self.recipe.seed, 3, step))
        count = max(1, self.recipe.frames_a_batch // frames)
        source = self.material.clips if frames > 1 or self.material.pictures is None else self.material.pictures
        picks = rng.integers(0, len(source.latents), count)
        stride = (longest - 1) // (frames - 1) if frames > 1 else 1
        if frames > 1:
            moments = np.tile(np.arange(0, stride * (frames - 1) + 1, stride), (count, 1))
        else:
            moments = rng.integers(0, source.latents.shape[2], (count, 1))
        latents = _frames(source.latents, picks, moments)
        seen = latents
        if source.retouched is not None:
            chosen = torch.from_numpy(rng.random(count) < self.recipe.retouched_share).view(-1, 1, 1, 1, 1)
            seen = torch.where(chosen, _frames(source.retouched, picks, moments), latents)
        return {
            "latents": latents,
            "seen": seen,
            **self._texts(source, picks, rng),
            **self._conditions(count, frames, self.material.fps / stride, rng),
        }

    def _texts(self, source: EncodedClips, picks: np.ndarray, rng: np.random.Generator) -> Batch:
        texts = self.material.texts
        rows = source.captions[picks, rng.integers(0, source.captions.shape[1], len(picks))]
        rows = torch.where(torch.from_numpy(rng.random(len(picks)) < self.recipe.caption_dropout), 0, rows)
        return {"context": texts.context[rows]} | ({} if texts.pooled is None else {"pooled": texts.pooled[rows]})

    def _conditions(self, count: int, frames: int, fps: float, rng: np.random.Generator) -> Batch:
        given = np.zeros((count, frames), np.float32)
        for row in given if frames > 1 else ():
            if rng.random() < self.recipe.given_share:
                row[:] = random_mask(frames, rng)
        return {"fps": torch.full((count,), float(fps)), "given": torch.from_numpy(given)}


def _frames(latents: torch.Tensor, picks: np.ndarray, moments: np.ndarray) -> torch.Tensor:
    """(n, c, f, h, w), clips (b,) and frames (b, k) -> (b, c, k, h, w)."""
    return torch.stack([latents[pick][:, frames] for pick, frames in zip(picks, moments, strict=True)])
