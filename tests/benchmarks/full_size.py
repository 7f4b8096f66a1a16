"""Models of full size with random weights, which cost the same as trained ones; `tiny` shrinks them so that a CPU can run everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from pipelines.families import FAMILIES, Directory
from pipelines.families.model_scope import limited
from pipelines.families.video_model import VideoModel
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.text_to_video import TextToVideoPipeline
from tests.benchmarks.one_shot import VAE
from tests.pipelines import families as tiny_families
from tests.pipelines.directories import clip_text, t5

WAN_1_3B = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30}
TEXT_1024 = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}  # of SD 2.x
PROMPT = "a red ball rolling over grass"


@dataclass(frozen=True)
class Sized:
    """Two ways to make one and the same video.

    Args:
        ours: the model under the studio's call.
        plain: a pipeline of diffusers on the same parts.
        order: size and length, for both.
        network: the denoiser.
    """

    ours: Any
    plain: Any
    order: dict[str, int]
    network: nn.Module

    def make(self, steps: int) -> None:
        """A video through the studio's call."""
        self.ours(PROMPT, **self.order, num_inference_steps=steps, guidance_scale=5.0, generator=_generator())

    def make_plain(self, steps: int) -> None:
        """The same by diffusers alone."""
        self.plain(PROMPT, **self.order, num_inference_steps=steps, guidance_scale=5.0, generator=_generator(), output_type="np")


def wan(device: str, dtype: torch.dtype, tiny: bool) -> Sized:
    """Wan 2.1 T2V 1.3B, 33 frames of 832 x 480; its text encoder, which runs once, is small."""
    with torch.device("cpu" if tiny else device):  # schedulers are not to be built on a device
        network, vae = (None, None) if tiny else (diffusers.WanTransformer3DModel(**WAN_1_3B), diffusers.AutoencoderKLWan())
    pipe = tiny_families.wan().pipe if tiny else diffusers.WanPipeline(None, None, vae, tiny_families.flow_unipc(), network)
    pipe.register_modules(text_encoder=t5(32 if tiny else 4096, "UMT5"), tokenizer=build_tokenizer())
    for part in (pipe.transformer, pipe.text_encoder):
        nn.Module.to(part, device, dtype)
    nn.Module.to(pipe.vae, device)
    family, directory = FAMILIES["wan"], Directory(Path(), {"_class_name": "WanPipeline"})
    model = VideoModel(pipe, family, limited(family, directory), family.capabilities(directory))  # type: ignore[arg-type]
    model.set_progress_bar_config(disable=True)
    order = {"width": 16, "height": 16, "num_frames": 5} if tiny else {"width": 832, "height": 480, "num_frames": 33}
    return Sized(model, pipe, order, pipe.transformer)


def model_scope(device: str, dtype: torch.dtype, tiny: bool) -> Sized:
    """ModelScope 1.7b, 16 frames of 256 x 256."""
    tokenizer = build_tokenizer()
    with torch.device(device):
        if tiny:
            unet, vae, text = tiny_families.model_scope().denoiser, tiny_families.image_vae(), clip_text(8)
        else:
            ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
            unet, vae = diffusers.UNet3DConditionModel(), diffusers.AutoencoderKL(**VAE)
            text = CLIPTextModel(CLIPTextConfig(vocab_size=49408, **TEXT_1024, **ends))
    for part in (unet, vae, text):
        nn.Module.to(part.eval(), device, dtype)
    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False)
    parts = {"vae": vae, "text_encoder": text, "tokenizer": tokenizer, "unet": unet, "scheduler": scheduler}
    ours, plain = TextToVideoPipeline(**parts), diffusers.TextToVideoSDPipeline(**parts)
    for pipe in (ours, plain):
        pipe.set_progress_bar_config(disable=True)
    order = {"width": 16, "height": 16, "num_frames": 3} if tiny else {"width": 256, "height": 256, "num_frames": 16}
    return Sized(ours, plain, order, unet)


def another(network: Any) -> Any:
    """A network of the same size with other weights, on the same device."""
    with torch.device(network.device):
        return nn.Module.to(type(network).from_config(network.config), network.dtype).eval()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
