"""Training of what finishes the pocket model's clips, one command each, on clips rendered as they are needed. Each resumes after a kill.

    python -m pipelines.pocket finisher flow --out RUN --minutes 30       # the frame between two (VideoGen)
    python -m pipelines.pocket finisher decoder --out RUN --minutes 15    # the video decoder (VideoGen)
    python -m pipelines.pocket finisher upscaler --out RUN --minutes 30   # twice the size (Make-A-Video)
    python -m pipelines.pocket finisher frames --out RUN --minutes 60     # the model itself, with given frames in every clip (Make-A-Video)

The rendered clips are of triples that the evaluations never ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.modeling_utils import ModelMixin

from ..decoder import VideoDecoder, build_decoder
from ..inflation import VideoUNet
from ..latent_flow import LatentFlow, flows_to_neighbours
from ..training.decoder import DecoderObjective
from ..training.interpolation import FlowObjective
from ..training.loop import Batch, LoopConfig, train
from ..training.objective import DenoisingObjective, ObjectiveConfig
from ..training.upscaling import UpscalingObjective
from ..upscaling import Upscaler, enlarged
from .autoencoder import PatchAutoencoder
from .captions import DOMAIN_STYLES, PRIOR_STYLES, random_attributes
from .given_frames import GivenFrameBatches
from .large import render_large, shrunk
from .train import VIDEO_NOISE, Components
from .world import FRAMES, render

GAPS = (1 / 30, 1 / 15, 2 / 15)  # between a triplet's outer frames, in clips: 16, 8 and 4 frames a second become twice as many
Network = TypeVar("Network", bound=ModelMixin)


@dataclass
class TripletBatches:
    """A frame, the one between, and the next, in all styles, forwards and backwards, with their flow: step -> batch."""

    batch_size: int = 16

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng((11, step))
        triplets = np.stack([self._triplet(rng) for _ in range(self.batch_size)])
        start = np.stack([flows_to_neighbours(first, last) for first, _, last in triplets])
        return {"pixels": torch.from_numpy(triplets), "start": torch.from_numpy(start)}

    @staticmethod
    def _triplet(rng: np.random.Generator) -> np.ndarray:
        gap = rng.choice(GAPS)
        first = rng.uniform(0, 1 - gap)
        known = random_attributes(rng, (*PRIOR_STYLES, *DOMAIN_STYLES), held_out=False)
        clip = render(known, rng, times=first + gap * np.array([0, 0.5, 1]))
        return clip[::-1].copy() if rng.random() < 0.5 else clip


@dataclass
class ClipBatches:
    """Clips in all styles at several frame rates: step -> `pixels` uint8 (b, f, h, w, 3)."""

    batch_size: int = 4
    frames: int = 8

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng((13, step))
        return {"pixels": torch.from_numpy(np.stack([self._clip(rng) for _ in range(self.batch_size)]))}

    def _clip(self, rng: np.random.Generator) -> np.ndarray:
        known = random_attributes(rng, (*PRIOR_STYLES, *DOMAIN_STYLES), held_out=False)
        span = (self.frames - 1) / (FRAMES - 1) / rng.choice((1, 2))
        return render(known, rng, times=rng.uniform(0, 1 - span) + np.linspace(0, span, self.frames))


@dataclass
class LargeFrameBatches:
    """Single large frames in all styles and what cubic upsampling makes of the small ones: step -> uint8 (b, 128, 128, 3) each."""

    batch_size: int = 8

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng((14, step))
        frames = []
        for _ in range(self.batch_size):
            known = random_attributes(rng, (*PRIOR_STYLES, *DOMAIN_STYLES), held_out=False)
            frames.append(render_large(known, rng, times=rng.random(1)))
        large = np.concatenate(frames)
        return {"large": torch.from_numpy(large), "enlarged": torch.from_numpy(enlarged(shrunk(large)))}


def train_flow(model: Path, out: Path, minutes: float, init: Path | None = None, learning_rate: float = 1e-3) -> LatentFlow:
    """A `LatentFlow` on the model's latents; it is in `out / "model"` in the end."""
    torch.manual_seed(0)
    vae = PatchAutoencoder.from_pretrained(model / "vae").float()
    network = _further(LatentFlow(vae.config.latent_channels, scale=vae.config.patch_size), init)
    train(FlowObjective(network, vae), TripletBatches(), out, LoopConfig(60 * minutes, learning_rate, decay_from=0.4))
    network.save_pretrained(out / "model")
    return network


def train_decoder(model: Path, out: Path, minutes: float, init: Path | None = None, learning_rate: float = 1e-3) -> VideoDecoder:
    """A video decoder for the model's autoencoder; it is in `out / "model"` in the end."""
    torch.manual_seed(0)
    vae = PatchAutoencoder.from_pretrained(model / "vae").float()
    decoder = _further(build_decoder(vae), init)
    train(DecoderObjective(decoder, vae), ClipBatches(), out, LoopConfig(60 * minutes, learning_rate, decay_from=0.4))
    decoder.save_pretrained(out / "model")
    return decoder


def train_upscaler(model: Path, out: Path, minutes: float, init: Path | None = None, learning_rate: float = 1e-3) -> Upscaler:
    """An upscaler of the pocket world's frames; it is in `out / "model"` in the end. It needs nothing of the model."""
    torch.manual_seed(0)
    upscaler = _further(Upscaler(), init)
    train(UpscalingObjective(upscaler), LargeFrameBatches(), out, LoopConfig(60 * minutes, learning_rate, decay_from=0.4))
    upscaler.save_pretrained(out / "model")
    return upscaler


def train_given_frames(model: Path, out: Path, minutes: float, init: Path | None = None, learning_rate: float = 3e-4) -> VideoUNet:
    """The model's network, further, with given frames in every clip; it is in `out / "model"` in the end, in half precision.

    The text encoder stays as it is, and motion with it: without given frames the network is asked nothing here.
    """
    parts = Components.load(model)
    parts.unet = _further(parts.unet, init)
    parts.text_encoder.requires_grad_(False)
    if not torch.cuda.is_available():
        parts.unet.set_attn_processor(AttnProcessor())
    objective = DenoisingObjective(
        parts.unet, parts.text_encoder, parts.vae, parts.scheduler.alphas_cumprod, ObjectiveConfig(VIDEO_NOISE, focus_share=1.0)
    )
    config = LoopConfig(60 * minutes, learning_rate, new_layers_factor=2.0, decay_from=0.5)
    train(objective, GivenFrameBatches(parts.tokenizer), out, config, is_new=lambda name: "temporal" in name)
    parts.unet.set_default_attn_processor()
    parts.unet.half().save_pretrained(out / "model")
    return parts.unet


def _further(fresh: Network, init: Path | None) -> Network:
    """What an earlier run has left, or a fresh network."""
    return fresh if init is None else type(fresh).from_pretrained(init).float()
