"""Tiny random directories of the families with large text encoders, or with one more way to be told: text encoders and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import transformers
from torch import nn

from pipelines.pocket.tokenizer import build_tokenizer
from tests.pipelines import families as pipes
from tests.pipelines.encoders import clip_pictures, clip_text, qwen, t5


def changed(network: Any, **values: Any) -> Any:
    """Another network, of this one's configuration but for these values."""
    return type(network)(**{name: value for name, value in network.config.items() if not name.startswith("_")} | values)


def wan_vace_network() -> diffusers.WanVACETransformer3DModel:
    return diffusers.WanVACETransformer3DModel(**pipes.WAN_LIKE, vace_layers=[0], vace_in_channels=96)


def wan_vace(folder: Path) -> None:
    pipe = diffusers.WanVACEPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=t5(32, "UMT5"),
        vae=pipes.wan_vae(),
        scheduler=pipes.flow_unipc(),
        transformer=wan_vace_network(),
    )
    pipe.save_pretrained(folder)


def sana_video(folder: Path) -> None:
    given = pipes.sana_video().pipe
    config = transformers.Gemma2Config(
        vocab_size=len(build_tokenizer()),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
    )
    scheduler = diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0)
    parts = {"tokenizer": build_tokenizer(), "text_encoder": transformers.Gemma2Model(config).eval(), "scheduler": scheduler}
    diffusers.SanaVideoPipeline(**(given.components | parts)).save_pretrained(folder)


def hunyuan_video_picture(folder: Path) -> None:
    """As HunyuanVideo-I2V: its text encoder sees the picture, as 576 tokens."""
    given, tokenizer = pipes.hunyuan_video().pipe, build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<image>"]})
    text = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 24, "patch_size": 1}
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**text, num_key_value_heads=2),
        vision_config=transformers.CLIPVisionConfig(**vision),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    sizes = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
    parts = {
        "transformer": changed(given.transformer, image_condition_type="token_replace"),
        "text_encoder": transformers.LlavaForConditionalGeneration(config).eval(),
        "tokenizer": tokenizer,
        "text_encoder_2": clip_text(8, 77),
        "tokenizer_2": build_tokenizer(),
    }
    processor = type(clip_pictures())(**sizes)
    diffusers.HunyuanVideoImageToVideoPipeline(**(given.components | parts), image_processor=processor).save_pretrained(folder)


def kandinsky_parts() -> dict[str, Any]:
    """Of both pipelines; the network has room for a given picture, as those of its authors."""
    given = pipes.kandinsky_5().pipe
    encoder, tokenizer = qwen(16)
    transformer = changed(given.transformer, visual_cond=True)
    for parameter in transformer.parameters():  # with gates at zero, as it is built, its blocks would say nothing
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return given.components | {
        "transformer": transformer,
        "text_encoder": encoder,
        "tokenizer": tokenizer,
        "text_encoder_2": clip_text(8, 77),
        "tokenizer_2": build_tokenizer(),
    }


def kandinsky_5(folder: Path) -> None:
    diffusers.Kandinsky5T2VPipeline(**kandinsky_parts()).save_pretrained(folder)


def kandinsky_5_picture(folder: Path) -> None:
    diffusers.Kandinsky5I2VPipeline(**kandinsky_parts()).save_pretrained(folder)


def mochi(folder: Path) -> None:
    pipe = pipes.mochi().pipe
    pipe.register_modules(text_encoder=t5(32), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def latte(folder: Path) -> None:
    pipe = pipes.latte().pipe
    pipe.register_modules(text_encoder=t5(32), tokenizer=build_tokenizer())
    pipe.save_pretrained(folder)


def easyanimate(folder: Path) -> None:
    encoder, tokenizer = qwen(16)
    transformer = diffusers.EasyAnimateTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=16,
        num_layers=1,
        sample_width=16,
        sample_height=16,
        patch_size=2,
        time_position_encoding_type="3d_rope",
    )
    vae = diffusers.AutoencoderKLMagvit(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=2,
        spatial_group_norm=False,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.EasyAnimatePipeline(vae=vae, text_encoder=encoder, tokenizer=tokenizer, transformer=transformer, scheduler=scheduler)
    pipe.save_pretrained(folder)
