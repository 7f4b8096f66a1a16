"""A tiny random text-to-video model: real components, a few thousand parameters, milliseconds a step."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from pipelines.domain_models import DomainModel, save_domain_model
from pipelines.domain_unet import small_unet
from pipelines.inflation import VideoUNet
from pipelines.latent_space import LatentSpace, weights_hash
from pipelines.pocket.autoencoder import PatchAutoencoder
from pipelines.pocket.recipe import build_scheduler
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.text_to_video import TextToVideoPipeline

GENERATION = {
    "num_frames": 16,
    "max_frames": 24,
    "fps": 8.0,
    "num_inference_steps": 4,
    "guidance_scale": 2.5,
    "noise_kind": "progressive",
    "noise_alpha": 2.0,
}


def tiny_image_unet(linear: bool = False, channels: int = 4, **overrides: object) -> UNet2DConditionModel:
    """SD-1-like, or SD-2-like with linear projections and a head dimension a level."""
    torch.manual_seed(0)
    config = {
        "sample_size": 8,
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": (4, 8) if linear else 8,
        "use_linear_projection": linear,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**{**config, **overrides}).eval()


def tiny_text_encoder(vocabulary: int, end: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=24,
        projection_dim=32,
        bos_token_id=2,
        eos_token_id=end,
        pad_token_id=0,
    )
    return CLIPTextModel(config).eval()


def tiny_pipeline(scheduler: DDIMScheduler | None = None) -> TextToVideoPipeline:
    """64x64 pixels like the pocket model, with random weights whose temporal layers are not the identity."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    unet2d = tiny_image_unet(channels=12, class_embed_type="projection", projection_class_embeddings_input_dim=32)
    unet = VideoUNet.from_image_unet(unet2d, condition_frames=True, frame_rate=True).eval()
    for parameter in unet.temporal_parameters().values():
        torch.nn.init.normal_(parameter, std=0.05)
    text_encoder = tiny_text_encoder(len(tokenizer), tokenizer.eos_token_id)
    vae = PatchAutoencoder(latent_channels=12)
    pipe = TextToVideoPipeline(vae, text_encoder, tokenizer, unet, scheduler or build_scheduler(), generation=GENERATION)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_tiny_model(folder: Path) -> Path:
    """The same as a model directory."""
    tiny_pipeline().save_pretrained(folder)
    return folder


def save_tiny_domain_model(model: Path, name: str, seed: int = 1) -> DomainModel:
    """An untrained domain model beside a saved tiny model, in its `adapters` folder."""
    pipe = TextToVideoPipeline.from_pretrained(str(model))
    torch.manual_seed(seed)
    unet = small_unet(pipe.unet, 0.5, pipe.scheduler, torch.zeros(12), torch.ones(12))
    description = DomainModel(
        name=name,
        title=name.capitalize(),
        description="Untrained, for tests.",
        style="sketch",
        caption="as a pencil sketch",
        base="tiny",
        latent_space=LatentSpace.of(pipe.vae).to_dict(),
        text_encoder=weights_hash(pipe.text_encoder),
    )
    return save_domain_model(model / "adapters" / name, unet, description)
