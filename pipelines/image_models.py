"""Text-to-image directories (Stable Diffusion 1.x and 2.x) as one-shot tuning takes them: inflated as Tune-A-Video does.

Wu et al., "Tune-A-Video", arXiv 2212.11565, section 3.1. Untuned, such a model makes frames that have little to do with each other; it
needs a clip to be tuned on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .defaults import GenerationDefaults

if TYPE_CHECKING:
    import torch

    from .text_to_video import TextToVideoPipeline


def is_image_model(index: dict[str, Any]) -> bool:
    """Whether a `model_index.json` is that of a text-to-image model whose UNet can be inflated."""
    return (index.get("unet") or [None])[-1] == "UNet2DConditionModel"


def image_defaults(path: str | Path) -> GenerationDefaults:
    """As in the authors' code: 24 frames, 50 steps, guidance 12.5; the size is what the UNet was trained at."""
    unet, vae = (json.loads((Path(path) / part / "config.json").read_text()) for part in ("unet", "vae"))
    side = int(unet.get("sample_size") or 64) * 2 ** (len(vae.get("block_out_channels", (0,) * 4)) - 1)
    return GenerationDefaults(
        num_frames=24, min_frames=1, max_frames=64, num_inference_steps=50, guidance_scale=12.5, width=side, height=side
    )


def load_image_model(
    path: str | Path, device: str, dtype: torch.dtype | None = None, components: Mapping[str, Any] | None = None
) -> TextToVideoPipeline:
    """The inflated model; in half precision on a GPU unless `dtype` says otherwise.

    The new temporal attention is zero at its output and random before it, the same at each call: what was tuned finds the same base.

    Args:
        components: its autoencoder and text encoder, where they are loaded already.
    """
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import AutoTokenizer, CLIPTextModel

    from .inflation import VideoUNet
    from .text_to_video import TextToVideoPipeline

    path = Path(path)
    dtype = dtype or (torch.float16 if torch.device(device).type == "cuda" else torch.float32)
    given = dict(components or {})
    image = UNet2DConditionModel.from_pretrained(path, subfolder="unet", variant=_variant(path / "unet"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = VideoUNet.from_image_unet(image, temporal_conv=False, frame_position=False, sparse_causal=True).eval()
    torch.nn.Module.to(unet, dtype)  # the model's own warns of casting
    # What older scheduler files leave out is what Stable Diffusion was trained with.
    schedule = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1} | dict(DDIMScheduler.load_config(path / "scheduler"))
    pipe = TextToVideoPipeline(
        given.get("vae") or AutoencoderKL.from_pretrained(path, subfolder="vae", torch_dtype=dtype, variant=_variant(path / "vae")),
        given.get("text_encoder")
        or CLIPTextModel.from_pretrained(path / "text_encoder", dtype=dtype, variant=_variant(path / "text_encoder")),
        AutoTokenizer.from_pretrained(path / "tokenizer"),
        unet,
        DDIMScheduler.from_config(schedule),
        generation=image_defaults(path).to_dict(),
    )
    return pipe.to(device)


def _variant(folder: Path) -> str | None:
    """ "fp16" where a part has its weights in that form alone."""
    names = [file.name for file in folder.glob("*.safetensors")]
    return "fp16" if names and all(".fp16." in name or ".fp16-" in name for name in names) else None
