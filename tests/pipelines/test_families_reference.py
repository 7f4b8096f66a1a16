"""Where a pipeline of our own stands for one that diffusers no longer supports, it computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from pipelines import families
from tests.pipelines.directories import save

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
SIZE = {"height": 16, "width": 16, "num_frames": 3, "num_inference_steps": 2, "guidance_scale": 4.0}


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bfloat16, which our pipelines use where a processor is faster with it."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)


def noise() -> torch.Tensor:
    return torch.randn(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def embeddings(pipe: Any) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        away, given = pipe.encode_text(["blue", "a red ball"], torch.device("cpu")).chunk(2)
    return {"prompt_embeds": given, "negative_prompt_embeds": away}


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_model_scope_is_diffusers_own(tmp_path: Path) -> None:
    ours = quiet(families.load(save("modelscope", tmp_path / "model")))
    theirs = quiet(diffusers.TextToVideoSDPipeline(ours.vae, ours.text_encoder, ours.tokenizer, ours.unet, ours.scheduler))
    wanted = theirs("a red ball", negative_prompt="blue", latents=noise(), output_type="latent", **SIZE).frames
    latents = ours("a red ball", "blue", latents=noise(), sampler="ddim", output_type="latent", **SIZE).frames
    assert torch.allclose(latents, wanted, atol=1e-4)


def test_i2vgen_xl_is_diffusers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # diffusers draws the picture's latents with nobody's generator, and its way to the text does not know transformers 5.
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, *_: self.mode())
    ours = quiet(families.load(save("i2vgen-xl", tmp_path / "model")))
    parts = {name: part for name, part in ours.components.items() if name != "generation"}
    theirs = quiet(diffusers.I2VGenXLPipeline(**parts))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    options = {"image": picture, "latents": noise(), "output_type": "latent", **SIZE}
    wanted = theirs(target_fps=8, **embeddings(ours), **options).frames
    latents = ours("a red ball", "blue", fps=8, **options).frames
    assert torch.allclose(latents, wanted, atol=1e-4)
