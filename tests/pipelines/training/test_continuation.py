"""What a network with given frames is asked about clips that it has continued itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines.inflation import VideoUNet
from pipelines.pocket.autoencoder import PatchAutoencoder
from pipelines.pocket.recipe import build_scheduler
from pipelines.training.continuation import ContinuationObjective
from pipelines.training.objective import ObjectiveConfig
from tests.pipelines.training.test_objective import CLASSES, batch
from tests.tiny import tiny_image_unet, tiny_text_encoder


@pytest.fixture
def objective() -> ContinuationObjective:
    torch.manual_seed(0)
    unet = VideoUNet.from_image_unet(tiny_image_unet(**CLASSES), condition_frames=True, frame_rate=True)
    vae = PatchAutoencoder(latent_channels=12)
    return ContinuationObjective(unet, tiny_text_encoder(60, 59), vae, build_scheduler().alphas_cumprod, ObjectiveConfig())


def given_to(objective: ContinuationObjective, monkeypatch: pytest.MonkeyPatch, **more: torch.Tensor) -> list[dict[str, Any]]:
    """What the network is given in each call of one step."""
    calls: list[dict[str, Any]] = []
    original = VideoUNet.forward
    monkeypatch.setattr(VideoUNet, "forward", lambda self, *a, **k: calls.append(k) or original(self, *a, **k))
    clips = batch(6)
    clips["given"][:, :2] = 1
    objective(clips | more, 0).backward()
    return calls


def test_without_frames_before_it_gets_the_true_ones_once(objective: ContinuationObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    (only,) = given_to(objective, monkeypatch)
    assert torch.equal(only["given_frames"], objective._encode(batch(6)["pixels"]))


def test_with_frames_before_its_own_are_given_and_the_true_ones_wanted(
    objective: ContinuationObjective, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.randint(0, 256, (2, 2, 64, 64, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    *rolled, asked = given_to(objective, monkeypatch, before=before)
    true = objective._encode(batch(6)["pixels"])
    assert [call["given_mask"][0].tolist() for call in (*rolled, asked)] == [[1, 1, 0, 0, 0, 0]] * 3
    assert torch.equal(rolled[0]["given_frames"][:, :, :2], objective._encode(before))
    assert not torch.allclose(asked["given_frames"][:, :, :2], true[:, :, :2], atol=0.05)
    assert torch.equal(asked["given_frames"][:, :, 2:], true[:, :, 2:])


def test_nothing_is_learned_through_its_own_frames(objective: ContinuationObjective) -> None:
    clips = batch(6)
    clips["given"][:, :2] = 1
    clips["before"] = clips["pixels"][:, :2].clone()
    given = objective._given(objective._encode(clips["pixels"]), clips, torch.Generator().manual_seed(0))
    assert not given.requires_grad
