"""A LoRA as the adapter of the network that holds it."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from peft import LoraConfig

from pipelines.composition import ComposedDenoiser
from pipelines.errors import IncompatibleModels
from pipelines.inflation import VideoUNet
from pipelines.lora import without_lora
from tests.tiny import tiny_pipeline


@pytest.fixture
def networks() -> tuple[VideoUNet, VideoUNet]:
    """(a network without, the same with a LoRA that does something)."""
    plain = tiny_pipeline().unet
    lora = deepcopy(plain)
    torch.manual_seed(0)
    lora.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    return plain, lora.eval()


def make(denoiser: torch.nn.Module) -> torch.Tensor:
    pipe = tiny_pipeline()
    pipe.unet = denoiser
    options = {"num_inference_steps": 2, "num_frames": 4, "output_type": "latent", "generator": torch.Generator().manual_seed(1)}
    return pipe("a red ball", **options).frames


def test_a_lora_on_the_resident_network_equals_two_networks(networks: tuple[VideoUNet, VideoUNet]) -> None:
    plain, lora = networks
    assert torch.equal(make(ComposedDenoiser.of_lora(lora, 0.5)), make(ComposedDenoiser(plain, lora, 0.5)))


def test_no_copy_of_the_network_is_made(networks: tuple[VideoUNet, VideoUNet]) -> None:
    _, lora = networks
    composed = ComposedDenoiser.of_lora(lora, 0.5)
    assert sum(p.numel() for p in composed.parameters()) == sum(p.numel() for p in lora.parameters())


def test_after_a_clip_the_lora_is_on_and_as_trainable_as_before(networks: tuple[VideoUNet, VideoUNet]) -> None:
    plain, lora = networks
    lora.requires_grad_(False)
    with_lora = make(lora)
    make(ComposedDenoiser.of_lora(lora, 0.5))
    assert torch.equal(make(lora), with_lora)
    assert not torch.equal(with_lora, make(plain))
    assert not any(p.requires_grad for p in lora.parameters())


def test_an_error_on_the_way_leaves_the_lora_on(networks: tuple[VideoUNet, VideoUNet]) -> None:
    _, lora = networks
    before = make(lora)
    with pytest.raises(ZeroDivisionError), without_lora(lora):
        _ = 1 / 0
    assert torch.equal(make(lora), before)


def test_a_lora_that_was_off_stays_off(networks: tuple[VideoUNet, VideoUNet]) -> None:
    plain, lora = networks
    lora.disable_adapters()
    make(ComposedDenoiser.of_lora(lora, 0.5))
    assert torch.equal(make(lora), make(plain))


def test_a_network_without_a_lora_is_refused() -> None:
    with pytest.raises(IncompatibleModels, match="VideoUNet has no LoRA"):
        ComposedDenoiser.of_lora(tiny_pipeline().unet, 0.5)


def test_a_fused_lora_is_refused(networks: tuple[VideoUNet, VideoUNet]) -> None:
    _, lora = networks
    lora.fuse_lora()
    with pytest.raises(IncompatibleModels, match="fused"):
        ComposedDenoiser.of_lora(lora, 0.5)
