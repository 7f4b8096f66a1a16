"""Tiny random pipelines of diffusers' families of video models: the real classes, a few thousand parameters, embeddings for text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import nn


@dataclass
class Family:
    """A pipeline of a family, and how it is called.

    Args:
        pipe: without text encoders; its denoiser is the adapter.
        network: makes another denoiser of the same shape, with other weights.
        inputs: of the pipeline's call.
        scale: the name of its guidance scale; "" where a guider has it.
    """

    pipe: Any
    network: Callable[[], nn.Module]
    inputs: dict[str, Any]
    scale: str = "guidance_scale"

    @property
    def place(self) -> str:
        """Where the denoiser stands."""
        return "unet" if "unet" in self.pipe.components else "transformer"

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipe, self.place)

    @property
    def text(self) -> torch.Tensor:
        return next(value for name, value in self.inputs.items() if name.startswith("prompt_embeds"))

    def make(self, denoiser: nn.Module, **options: Any) -> torch.Tensor:
        """Latents of two steps with that denoiser in the pipeline."""
        setattr(self.pipe, self.place, denoiser)
        self.pipe.set_progress_bar_config(disable=True)
        guided = {self.scale: 3.0} if self.scale else {}
        common = {"num_inference_steps": 2, "output_type": "latent", "generator": torch.Generator().manual_seed(0)}
        return self.pipe(**{**self.inputs, **common, **guided, **options}).frames


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def text(length: int, width: int, mask: bool = False) -> dict[str, torch.Tensor]:
    """Embeddings of a prompt and of its negative, and masks that keep all of them."""
    given = {"prompt_embeds": random(1, length, width, seed=1), "negative_prompt_embeds": random(1, length, width, seed=2)}
    masks = {name: torch.ones(1, length) for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return given | masks if mask else given


def size(side: int, frames: int) -> dict[str, Any]:
    return {"height": side, "width": side, "num_frames": frames}


def image_vae() -> diffusers.AutoencoderKL:
    down, up = ["DownEncoderBlock2D"] * 2, ["UpDecoderBlock2D"] * 2
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=down, up_block_types=up, latent_channels=4, norm_num_groups=2
    )


def wan_vae() -> diffusers.AutoencoderKLWan:
    temporal = [False, True, True]
    return diffusers.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=temporal)


def flow_unipc() -> diffusers.UniPCMultistepScheduler:
    return diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


WAN_LIKE = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 1,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 32,
}


def wan() -> Family:
    def network() -> nn.Module:
        return diffusers.WanTransformer3DModel(**WAN_LIKE)

    pipe = diffusers.WanPipeline(tokenizer=None, text_encoder=None, vae=wan_vae(), scheduler=flow_unipc(), transformer=network())
    return Family(pipe, network, text(8, 32) | size(16, 9))


def skyreels_v2() -> Family:
    def network() -> nn.Module:
        return diffusers.SkyReelsV2Transformer3DModel(**WAN_LIKE)

    pipe = diffusers.SkyReelsV2Pipeline(tokenizer=None, text_encoder=None, vae=wan_vae(), scheduler=flow_unipc(), transformer=network())
    return Family(pipe, network, text(8, 32) | size(16, 9))


def sana_video() -> Family:
    def network() -> nn.Module:
        return diffusers.SanaVideoTransformer3DModel(
            in_channels=16,
            out_channels=16,
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=8,
            sample_size=8,
            rope_max_seq_len=32,
        )

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.SanaVideoPipeline(tokenizer=None, text_encoder=None, vae=wan_vae(), transformer=network(), scheduler=scheduler)
    options = {"height": 32, "width": 32, "frames": 9, "use_resolution_binning": False, "negative_prompt": None}
    return Family(pipe, network, text(8, 8, mask=True) | options)


def ltx() -> Family:
    def network() -> nn.Module:
        return diffusers.LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=4,
            attention_head_dim=8,
            cross_attention_dim=32,
            num_layers=1,
            caption_channels=32,
        )

    levels, never = (8, 8, 8, 8), (False,) * 5
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=levels,
        decoder_block_out_channels=levels,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=never,
        upsample_residual=never[:4],
        upsample_factor=(1,) * 4,
        patch_size=1,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.LTXPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=network())
    return Family(pipe, network, text(8, 32, mask=True) | size(32, 9))


def cogvideox() -> Family:
    def network() -> nn.Module:
        return diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            time_embed_dim=2,
            text_embed_dim=32,
            num_layers=1,
            sample_width=2,
            sample_height=2,
            sample_frames=9,
            max_text_seq_length=16,
            use_rotary_positional_embeddings=True,
        )

    vae = diffusers.AutoencoderKLCogVideoX(block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2)
    scheduler = diffusers.CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=3.0, timestep_spacing="trailing"
    )
    pipe = diffusers.CogVideoXPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=network())
    return Family(pipe, network, text(16, 32) | size(16, 9))


def animatediff() -> Family:
    def network() -> nn.Module:
        unet = diffusers.UNet2DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            sample_size=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=8,
            norm_num_groups=2,
            attention_head_dim=4,
        )
        motion = diffusers.MotionAdapter(
            block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=4
        )
        return diffusers.UNetMotionModel.from_unet2d(unet, motion)

    scheduler = diffusers.DDIMScheduler(beta_schedule="linear", clip_sample=False)
    pipe = diffusers.AnimateDiffPipeline(image_vae(), None, None, network(), None, scheduler)
    return Family(pipe, network, text(8, 8) | size(16, 4))


def model_scope() -> Family:
    def network() -> nn.Module:
        return diffusers.UNet3DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            sample_size=8,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=8,
            attention_head_dim=4,
            norm_num_groups=2,
        )

    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False)
    pipe = diffusers.TextToVideoSDPipeline(image_vae(), None, None, network(), scheduler)
    return Family(pipe, network, text(8, 8) | size(16, 4))


def latte() -> Family:
    def network() -> nn.Module:
        return diffusers.LatteTransformer3DModel(
            sample_size=8,
            num_layers=1,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=24,
            out_channels=8,
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
        )

    pipe = diffusers.LattePipeline(None, None, image_vae(), network(), diffusers.DDIMScheduler(clip_sample=False))
    options = {"height": 8, "width": 8, "video_length": 16, "negative_prompt": None, "clean_caption": False}
    return Family(pipe, network, text(8, 32) | options)


def allegro() -> Family:
    def network() -> nn.Module:
        return diffusers.AllegroTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            cross_attention_dim=24,
            sample_width=8,
            sample_height=8,
            sample_frames=8,
            caption_channels=24,
        )

    levels = (8, 8, 8, 8)
    vae = diffusers.AutoencoderKLAllegro(block_out_channels=levels, latent_channels=4, layers_per_block=1, norm_num_groups=2)
    pipe = diffusers.AllegroPipeline(None, None, vae, network(), diffusers.DDIMScheduler(clip_sample=False))
    return Family(pipe, network, text(8, 24, mask=True) | size(16, 8) | {"negative_prompt": None, "clean_caption": False})


def mochi() -> Family:
    def network() -> nn.Module:
        return diffusers.MochiTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            text_embed_dim=32,
            time_embed_dim=4,
            max_sequence_length=16,
        )

    levels = (32,) * 4
    vae = diffusers.AutoencoderKLMochi(
        latent_channels=12, encoder_block_out_channels=levels, decoder_block_out_channels=levels, layers_per_block=(1,) * 5
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    pipe = diffusers.MochiPipeline(scheduler=scheduler, vae=vae, text_encoder=None, tokenizer=None, transformer=network())
    given = text(8, 32, mask=True)
    return Family(pipe, network, {name: value.bool() if "mask" in name else value for name, value in given.items()} | size(16, 7))


def hunyuan_video() -> Family:
    def network() -> nn.Module:
        return diffusers.HunyuanVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            patch_size=1,
            text_embed_dim=16,
            pooled_projection_dim=8,
            rope_axes_dim=(2, 4, 4),
        )

    vae = diffusers.AutoencoderKLHunyuanVideo(latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    pipe = diffusers.HunyuanVideoPipeline(
        text_encoder=None, tokenizer=None, transformer=network(), vae=vae, scheduler=scheduler, text_encoder_2=None, tokenizer_2=None
    )
    pooled = {"pooled_prompt_embeds": random(1, 8, seed=1), "negative_pooled_prompt_embeds": random(1, 8, seed=2)}
    return Family(pipe, network, text(8, 16, mask=True) | pooled | size(16, 9), scale="true_cfg_scale")


def hunyuan_video_15() -> Family:
    def network() -> nn.Module:
        return diffusers.HunyuanVideo15Transformer3DModel(
            in_channels=9,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=1,
            num_refiner_layers=1,
            text_embed_dim=16,
            text_embed_2_dim=32,
            image_embed_dim=12,
            rope_axes_dim=(2, 2, 4),
            target_size=16,
        )

    vae = diffusers.AutoencoderKLHunyuanVideo15(latent_channels=4, block_out_channels=(16,) * 5, layers_per_block=1)
    pipe = diffusers.HunyuanVideo15Pipeline(
        text_encoder=None,
        tokenizer=None,
        transformer=network(),
        vae=vae,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=None,
        tokenizer_2=None,
        guider=diffusers.ClassifierFreeGuidance(guidance_scale=3.0),
    )
    given: dict[str, Any] = text(8, 16) | size(16, 9)
    for sign, seed in (("", 1), ("negative_", 2)):
        masks = {f"{sign}prompt_embeds_mask{which}": torch.ones(1, 8) for which in ("", "_2")}
        given |= masks | {f"{sign}prompt_embeds_2": random(1, 8, 32, seed=seed)}
    return Family(pipe, network, given, scale="")


def kandinsky_5() -> Family:
    def network() -> nn.Module:
        return diffusers.Kandinsky5Transformer3DModel(
            in_visual_dim=4,
            in_text_dim=16,
            in_text_dim2=8,
            time_dim=16,
            out_visual_dim=4,
            model_dim=16,
            ff_dim=32,
            num_text_blocks=1,
            num_visual_blocks=1,
            axes_dims=(2, 2, 4),
        )

    vae = diffusers.AutoencoderKLHunyuanVideo(latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.Kandinsky5T2VPipeline(network(), vae, None, None, None, None, scheduler)
    given: dict[str, Any] = {}
    for sign, seed in (("", 1), ("negative_", 2)):
        given |= {f"{sign}prompt_embeds_qwen": random(1, 8, 16, seed=seed), f"{sign}prompt_embeds_clip": random(1, 8, seed=seed)}
        given |= {f"{sign}prompt_cu_seqlens": torch.tensor([0, 8])}
    return Family(pipe, network, given | size(16, 5))


FAMILIES: dict[str, Callable[[], Family]] = {
    "Wan": wan,
    "LTX": ltx,
    "CogVideoX": cogvideox,
    "AnimateDiff": animatediff,
    "HunyuanVideo 1.5": hunyuan_video_15,
    "HunyuanVideo": hunyuan_video,
    "Mochi": mochi,
    "SkyReels V2": skyreels_v2,
    "Sana Video": sana_video,
    "Allegro": allegro,
    "Latte": latte,
    "ModelScope": model_scope,
}
