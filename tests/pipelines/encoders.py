"""Tiny random encoders of text and pictures, as the families of models have them."""

from __future__ import annotations

from typing import Any

import transformers
from torch import nn

from pipelines.pocket.tokenizer import build_tokenizer
from tests.tiny import tiny_text_encoder


def clip_text(width: int, longest: int = 24) -> transformers.CLIPTextModel:
    tokenizer = build_tokenizer()
    config = tiny_text_encoder(len(tokenizer), tokenizer.eos_token_id).config
    config.hidden_size, config.max_position_embeddings = width, longest
    return transformers.CLIPTextModel(config).eval()


def t5(width: int, kind: str = "T5") -> nn.Module:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(build_tokenizer()), d_model=width, d_kv=4, d_ff=16, num_layers=1, num_heads=2
    )
    return getattr(transformers, f"{kind}EncoderModel")(config).eval()


def clip_vision(projection: int) -> transformers.CLIPVisionModelWithProjection:
    config = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=224,
        patch_size=56,
        projection_dim=projection,
    )
    return transformers.CLIPVisionModelWithProjection(config).eval()


def clip_pictures() -> Any:
    return transformers.CLIPImageProcessor()


def qwen(width: int) -> tuple[nn.Module, Any]:
    """(encoder, tokenizer)"""
    tokenizer = build_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    config = transformers.Qwen2_5_VLTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]},
    )
    return transformers.Qwen2_5_VLTextModel(config).eval(), tokenizer
