"""What a tuning step costs on a full-size SD 1.x, printed: python -m tests.benchmarks.one_shot [--frames 24 --size 512 --checkpointing]

Random weights: they cost the same. Ours is a step of `OneShotTuner`. The authors' arithmetic is the same step as their public code takes
it: scores of every attention as whole matrices, and the clip encoded by the autoencoder and the caption by the text encoder at each step.
Each runs in a process of its own, so that the peak of one is not the other's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.models.attention_processor import Attention, AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel

from pipelines.inflation import VideoUNet
from pipelines.one_shot import OneShotTuner, TuningSettings, encode_clip, trainable_parameters
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.sparse_causal import first_and_previous
from pipelines.text_to_video import TextToVideoPipeline

UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8, "block_out_channels": (320, 640, 1280, 1280)}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CAPTION = "a red ball moving left"
WAYS = ("ours", "the authors' arithmetic")


class WholeScores:
    """Sparse-causal attention with all scores as one matrix, as the authors' code computes it without xformers."""

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def __call__(self, attn: Attention, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key, value = (attn.head_to_batch_dim(first_and_previous(to(hidden_states), self.frames)) for to in (attn.to_k, attn.to_v))
        read = attn.batch_to_head_dim(torch.bmm(attn.get_attention_scores(query, key), value))
        return attn.to_out[1](attn.to_out[0](read))


class AuthorsTuner(OneShotTuner):
    """The same steps by the authors' arithmetic."""

    def prepare(self, frames: np.ndarray) -> AuthorsTuner:
        self.frames = frames
        for name, module in self.pipe.unet.named_modules():
            if isinstance(module, Attention):
                module.set_processor(WholeScores(len(frames)) if name.endswith(".attn1") else AttnProcessor())
        return self

    def _step(self, index: int) -> float:
        self.latents = encode_clip(self.pipe, self.frames)
        with torch.no_grad():
            self.text = self.pipe._encode([CAPTION], None, guided=False, device=self.latents.device)
        return super()._step(index)


def build(device: str, dtype: torch.dtype) -> TextToVideoPipeline:
    """SD 1.x in size and shape; only the tokenizer, which costs nothing, is another."""
    tokenizer = build_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    with torch.device(device):
        unet = VideoUNet(temporal_conv=False, frame_position=False, sparse_causal=True, **UNET).eval()
        vae = AutoencoderKL(**VAE).eval()
        text_encoder = CLIPTextModel(CLIPTextConfig(vocab_size=49408, **TEXT, **ends)).eval()
    for module in (unet, vae, text_encoder):
        torch.nn.Module.to(module.requires_grad_(False), dtype)  # diffusers' own warns of casting
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    scheduler = DDIMScheduler(**schedule, steps_offset=1, set_alpha_to_one=False, clip_sample=False)
    return TextToVideoPipeline(vae, text_encoder, tokenizer, unet, scheduler)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds a step (the median without the first) and the peak of memory in GB, of `options.way`."""
    cuda = options.device == "cuda"
    pipe = build(options.device, torch.bfloat16 if cuda else torch.float32)
    frames = np.random.default_rng(0).integers(0, 256, (options.frames, options.size, options.size, 3), dtype=np.uint8)
    settings = TuningSettings(steps=options.steps + 1, gradient_checkpointing=options.checkpointing)
    tuner = (OneShotTuner if options.way == WAYS[0] else AuthorsTuner)(pipe, frames, CAPTION, settings)
    if isinstance(tuner, AuthorsTuner):
        tuner.prepare(frames)
    steps = iter(tuner)
    seconds = [timed(lambda: next(steps), cuda) for _ in range(options.steps + 1)][1:]
    peak = torch.cuda.max_memory_allocated() if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trained = sum(parameter.numel() for parameter in trainable_parameters(pipe.unet).values())
    return {"seconds": statistics.median(seconds), "gigabytes": peak / 1e9, "trained": trained / 1e6}


def timed(action: Callable[[], object], cuda: bool) -> float:
    began = time.perf_counter()
    action()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24 if cuda else 4)
    parser.add_argument("--size", type=int, default=512 if cuda else 128, help="Pixels, width and height.")
    parser.add_argument("--steps", type=int, default=10 if cuda else 2)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=cuda, help="Gradient checkpointing.")
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options)))
        return
    print(f"{options.frames} frames of {options.size} x {options.size} on {options.device}, SD 1.x in size")
    for way in WAYS:
        command = [sys.executable, "-m", "tests.benchmarks.one_shot", *sys.argv[1:], "--way", way]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        made = json.loads(out.splitlines()[-1])
        print(f"{way:26}{made['seconds'] * 1000:10.0f} ms a step{made['gigabytes']:8.1f} GB at most{made['trained']:8.2f} M trained")


if __name__ == "__main__":
    main()
