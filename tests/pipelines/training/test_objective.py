"""The denoising loss: zero for a perfect network, for images and for clips, with the noise it was told to use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.inflation import VideoUNet
from pipelines.noise import NoisePrior
from pipelines.pocket.autoencoder import PatchAutoencoder
from pipelines.pocket.recipe import build_scheduler
from pipelines.training.objective import DenoisingObjective, ObjectiveConfig
from tests.tiny import tiny_image_unet, tiny_text_encoder

CLASSES = {"channels": 12, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 32}


def batch(frames: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {
        "pixels": torch.randint(0, 256, (2, frames, 64, 64, 3), generator=g, dtype=torch.uint8),
        "input_ids": torch.randint(0, 50, (2, 24), generator=g),
        "fps": torch.full((2,), 8.0),
        "given": torch.zeros(2, frames),
    }


def objective(unet: nn.Module, **config: Any) -> DenoisingObjective:
    vae = PatchAutoencoder(latent_channels=12)
    return DenoisingObjective(unet, tiny_text_encoder(60, 59), vae, build_scheduler().alphas_cumprod, ObjectiveConfig(**config))


class Knows(nn.Module):
    """A network that is told the answer."""

    temporal_parameters = None

    def forward(self, noisy: torch.Tensor, t: torch.Tensor, context: torch.Tensor, given_frames: torch.Tensor, **_: Any) -> SimpleNamespace:
        self.noisy, self.t = noisy, t
        return SimpleNamespace(sample=given_frames)


def test_a_perfect_network_has_no_loss() -> None:
    assert objective(Knows())(batch(5), 0).item() == 0.0


def test_the_loss_of_an_image_network_is_finite_and_trains_it_but_not_the_autoencoder() -> None:
    asked = objective(tiny_image_unet(**CLASSES))
    asked(batch(1), 0).backward()
    assert all(p.grad is not None for p in asked.unet.parameters())
    assert all(p.grad is None for p in asked.autoencoder.parameters())


def test_the_loss_of_a_video_network_trains_text_and_time() -> None:
    asked = objective(VideoUNet.from_image_unet(tiny_image_unet(**CLASSES), condition_frames=True, frame_rate=True))
    data = batch(5)
    data["given"][:, 0] = 1
    asked(data, 0).backward()
    assert any(p.grad is not None and p.grad.any() for p in asked.text_encoder.parameters())
    assert asked.unet.temporal_condition.weight.grad.any()


def test_the_same_step_draws_the_same_noise() -> None:
    network = Knows()
    asked = objective(network)
    asked(batch(3), 7)
    first = network.noisy
    asked(batch(3), 7)
    assert torch.equal(network.noisy, first)
    asked(batch(3), 8)
    assert not torch.equal(network.noisy, first)


def test_the_noise_of_a_clip_comes_from_the_prior() -> None:
    network = Knows()
    data = batch(4)
    data["pixels"] = data["pixels"][:, :1].expand(-1, 4, -1, -1, -1).contiguous()
    objective(network, noise_prior=NoisePrior("mixed", float("inf")))(data, 0)
    assert torch.allclose(network.noisy, network.noisy[:, :, :1].expand_as(network.noisy), atol=1e-5)


def test_timesteps_are_drawn_from_all_of_the_schedule() -> None:
    drawn = objective(Knows())._timesteps(20_000, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert (int(drawn.min()), int(drawn.max())) == (0, 999)
    assert drawn.float().median().item() == pytest.approx(500, abs=15)


def test_a_focus_draws_its_share_of_the_timesteps_from_a_part_of_the_schedule() -> None:
    drawn = objective(Knows(), focus=(0.8, 0.9), focus_share=0.5)._timesteps(20_000, torch.Generator().manual_seed(0), torch.device("cpu"))
    inside = ((drawn >= 800) & (drawn < 900)).float().mean().item()
    assert inside == pytest.approx(0.5 + 0.5 * 0.1, abs=0.02)
