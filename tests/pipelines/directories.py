"""Tiny random model directories in the layout of every family, as diffusers' `save_pretrained` writes them, text encoders and all."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from pipelines.pocket.tokenizer import build_tokenizer
from tests.pipelines import families as pipes
from tests.pipelines import more_directories as more
from tests.pipelines.encoders import clip_pictures, clip_text, clip_vision, qwen, t5
from tests.pipelines.sounding import ltx_2
from tests.tiny import save_tiny_model, tiny_image_unet, tiny_text_encoder


@dataclass(frozen=True)
class Layout:
    """A family's directory, and an order that fits it.

    Args:
        save: writes it.
        order: frames, width and height that are small and allowed.
        picture: whether the order has one.
        evened: the first latent frames that its pipeline changes after the last step.
    """

    save: Callable[[Path], Any]
    order: dict[str, Any] = field(default_factory=dict)
    picture: bool = False
    evened: int = 0


def order(frames: int, side: int) -> dict[str, Any]:
    return {"num_frames": frames, "width": side, "height": side}


def movable(folder: Path) -> Path:
    """A Stable Diffusion with the channels of the motion module that `animatediff` saves."""
    torch.manual_seed(0)
    stable_diffusion(folder)
    unet = tiny_image_unet(block_out_channels=(8, 8), cross_attention_dim=8, norm_num_groups=2, attention_head_dim=4)
    unet.save_pretrained(folder / "unet")
    clip_text(8).save_pretrained(folder / "text_encoder")
    return folder


def stable_diffusion(folder: Path, second: bool = False) -> None:
    """SD 1.x, or 2.x: linear projections, a head dimension a level, and v is predicted."""
    tokenizer = build_tokenizer()
    encoder = tiny_text_encoder(len(tokenizer), tokenizer.eos_token_id)
    kind = "v_prediction" if second else "epsilon"
    scheduler = diffusers.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1, prediction_type=kind)
    pipe = diffusers.StableDiffusionPipeline(
        vae=pipes.image_vae(),
        tokenizer=tokenizer,
        scheduler=scheduler,
        unet=tiny_image_unet(second),
        text_encoder=encoder,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)


def wan(folder: Path) -> None:
    pipe = pipes.wan().pipe
    pipe.register_modules(text_encoder=t5(32, "UMT5"), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def wan_experts(folder: Path) -> None:
    family = pipes.wan()
    parts = family.pipe.components | {"text_encoder": t5(32, "UMT5"), "tokenizer": build_tokenizer(), "transformer_2": family.network()}
    diffusers.WanPipeline(**parts, boundary_ratio=0.875).save_pretrained(folder)


def wan_both(folder: Path) -> None:
    """As TI2V-5B: timesteps of their own for the tokens of a given first frame."""
    family = pipes.wan()
    parts = family.pipe.components | {"text_encoder": t5(32, "UMT5"), "tokenizer": build_tokenizer()}
    diffusers.WanPipeline(**parts, expand_timesteps=True).save_pretrained(folder)


def wan_picture(folder: Path) -> None:
    """As Wan 2.1: the picture as CLIP sees it, too."""
    options = pipes.WAN_LIKE | {"in_channels": 36, "image_dim": 16}
    vision = transformers.CLIPVisionModel(clip_vision(16).config)
    pipe = diffusers.WanImageToVideoPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=t5(32, "UMT5"),
        vae=pipes.wan_vae(),
        scheduler=pipes.flow_unipc(),
        transformer=diffusers.WanTransformer3DModel(**options),
        image_encoder=vision,
        image_processor=clip_pictures(),
    )
    pipe.save_pretrained(folder)


def skyreels(folder: Path) -> None:
    pipe = pipes.skyreels_v2().pipe
    pipe.register_modules(text_encoder=t5(32, "UMT5"), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def skyreels_picture(folder: Path) -> None:
    options = pipes.WAN_LIKE | {"in_channels": 36, "image_dim": 16}
    pipe = diffusers.SkyReelsV2ImageToVideoPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=t5(32, "UMT5"),
        image_encoder=clip_vision(16),
        image_processor=clip_pictures(),
        transformer=diffusers.SkyReelsV2Transformer3DModel(**options),
        vae=pipes.wan_vae(),
        scheduler=pipes.flow_unipc(),
    )
    pipe.save_pretrained(folder)


def ltx(folder: Path) -> None:
    pipe = pipes.ltx().pipe
    pipe.register_modules(text_encoder=t5(32), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def cogvideox(folder: Path) -> None:
    pipe = pipes.cogvideox().pipe
    pipe.transformer = diffusers.CogVideoXTransformer3DModel.from_config({**pipe.transformer.config, "max_text_seq_length": 226})
    pipe.register_modules(text_encoder=t5(32), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def cogvideox_picture(folder: Path) -> None:
    given = pipes.cogvideox().pipe
    config = {**given.transformer.config, "in_channels": 8, "max_text_seq_length": 226}
    pipe = diffusers.CogVideoXImageToVideoPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=t5(32),
        vae=given.vae,
        scheduler=given.scheduler,
        transformer=diffusers.CogVideoXTransformer3DModel.from_config(config),
    )
    pipe.save_pretrained(folder)


def hunyuan_video(folder: Path) -> None:
    pipe = pipes.hunyuan_video().pipe
    tokenizer = build_tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=2
    )
    pipe.register_modules(
        text_encoder=transformers.LlamaModel(config).eval(),
        tokenizer=tokenizer,
        text_encoder_2=clip_text(8, 77),
        tokenizer_2=build_tokenizer(),
    )
    pipe.save_pretrained(folder)


def qwen_parts() -> dict[str, Any]:
    encoder, tokenizer = qwen(16)
    return {"text_encoder": encoder, "tokenizer": tokenizer, "text_encoder_2": t5(32), "tokenizer_2": transformers.ByT5Tokenizer()}


def hunyuan_video_15(folder: Path) -> None:
    pipe = pipes.hunyuan_video_15().pipe
    pipe.register_modules(**qwen_parts())
    pipe.save_pretrained(folder)


def hunyuan_video_15_picture(folder: Path) -> None:
    given = pipes.hunyuan_video_15().pipe
    vision = transformers.SiglipVisionConfig(
        hidden_size=12, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16
    )
    pipe = diffusers.HunyuanVideo15ImageToVideoPipeline(
        **(given.components | qwen_parts()),
        image_encoder=transformers.SiglipVisionModel(vision).eval(),
        feature_extractor=transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
    )
    pipe.save_pretrained(folder)


def animatediff(folder: Path) -> None:
    pipe = pipes.animatediff().pipe
    motion = diffusers.MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=4
    )
    parts = pipe.components | {"text_encoder": clip_text(8), "tokenizer": build_tokenizer(), "motion_adapter": motion}
    diffusers.AnimateDiffPipeline(**parts).save_pretrained(folder)


def model_scope(folder: Path) -> None:
    pipe = pipes.model_scope().pipe
    pipe.register_modules(text_encoder=clip_text(8), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def svd(folder: Path) -> None:
    unet = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=32,
        num_attention_heads=8,
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
        num_frames=4,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32), down_block_types=["DownEncoderBlock2D"] * 2, latent_channels=4, layers_per_block=1
    )
    scheduler = diffusers.EulerDiscreteScheduler(
        prediction_type="v_prediction",
        timestep_type="continuous",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        interpolation_type="linear",
    )
    pipe = diffusers.StableVideoDiffusionPipeline(vae, clip_vision(32), unet, scheduler, clip_pictures())
    pipe.save_pretrained(folder)


def i2vgen_xl(folder: Path) -> None:
    unet = diffusers.I2VGenXLUNet(
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        num_attention_heads=None,
        norm_num_groups=2,
    )
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", rescale_betas_zero_snr=True, clip_sample=False
    )
    pipe = diffusers.I2VGenXLPipeline(
        vae=pipes.image_vae(),
        text_encoder=clip_text(8),
        tokenizer=build_tokenizer(),
        image_encoder=clip_vision(8),
        feature_extractor=transformers.CLIPImageProcessor(crop_size=224),
        unet=unet,
        scheduler=scheduler,
    )
    pipe.save_pretrained(folder)


LAYOUTS: dict[str, Layout] = {
    "studio": Layout(save_tiny_model, order(4, 32)),
    "stable-diffusion": Layout(stable_diffusion, order(2, 16)),
    "animatediff": Layout(animatediff, order(3, 16)),
    "modelscope": Layout(model_scope, order(3, 16)),
    "i2vgen-xl": Layout(i2vgen_xl, order(3, 16), picture=True),
    "svd": Layout(svd, order(3, 32), picture=True),
    "wan": Layout(wan, order(5, 16)),
    "wan, two experts": Layout(wan_experts, order(5, 16)),
    "wan, text or picture": Layout(wan_both, order(5, 16)),
    "wan, picture": Layout(wan_picture, order(5, 16), picture=True),
    "wan-vace": Layout(more.wan_vace, order(5, 16)),
    "skyreels-v2": Layout(skyreels, order(5, 16)),
    "skyreels-v2, picture": Layout(skyreels_picture, order(5, 16), picture=True),
    "sana-video": Layout(more.sana_video, order(5, 32)),
    "ltx": Layout(ltx, order(5, 32)),
    "ltx-2": Layout(ltx_2, order(9, 32)),
    "cogvideox": Layout(cogvideox, order(9, 16)),
    "cogvideox, picture": Layout(cogvideox_picture, order(9, 16), picture=True),
    "hunyuan-video": Layout(hunyuan_video, order(5, 16)),
    "hunyuan-video, picture": Layout(more.hunyuan_video_picture, order(5, 16), picture=True),
    "hunyuan-video-1.5": Layout(hunyuan_video_15, order(5, 16)),
    "hunyuan-video-1.5, picture": Layout(hunyuan_video_15_picture, {"num_frames": 5}, picture=True),
    "kandinsky-5": Layout(more.kandinsky_5, order(5, 16)),
    "kandinsky-5, picture": Layout(more.kandinsky_5_picture, order(17, 16), picture=True, evened=4),
    "mochi": Layout(more.mochi, order(7, 16)),
    "easyanimate": Layout(more.easyanimate, order(5, 16)),
    "latte": Layout(more.latte, order(16, 16)),
}


def save(name: str, folder: Path) -> Path:
    """The directory of that name, saved."""
    torch.manual_seed(0)
    LAYOUTS[name].save(folder)
    return folder


@functools.cache
def saved(name: str) -> Path:
    """The directory of that name, saved once for all tests, which leave it as it is. In the studio it is the model `model_name(name)`."""
    return save(name, Path(_shelf().name) / model_name(name))


def model_name(name: str) -> str:
    return "tiny-" + name.replace(",", "").replace(" ", "-")


@functools.cache
def _shelf() -> tempfile.TemporaryDirectory[str]:
    """Goes when the tests are over."""
    return tempfile.TemporaryDirectory(prefix="tiny-models-")
