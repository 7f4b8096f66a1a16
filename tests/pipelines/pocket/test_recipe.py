"""The pocket model's parts and the batches it is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.pocket.captions import Attributes, random_attributes
from pipelines.pocket.dataset import open_dataset, render_dataset
from pipelines.pocket.recipe import ImageBatches, VideoBatches, build_scheduler, fit_autoencoder, random_mask
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.pocket.world import render


@pytest.fixture(scope="module")
def clips() -> tuple[np.ndarray, list[Attributes]]:
    rng = np.random.default_rng(0)
    known = [random_attributes(rng) for _ in range(12)]
    return np.stack([render(a, rng) for a in known]), known


def test_the_autoencoder_keeps_pictures_and_white_noise() -> None:
    vae = fit_autoencoder(clips_per_style=30)
    rng = np.random.default_rng(99)
    images = torch.from_numpy(np.concatenate([render(random_attributes(rng), rng, times=np.array([0.5])) for _ in range(20)]))
    images = images.permute(0, 3, 1, 2) / 127.5 - 1
    latents = vae.encode(images).latent_dist.mode()
    assert latents.shape == (20, 64, 8, 8)
    error = (vae.decode(latents).sample - images).square().mean()
    assert 10 * torch.log10(4 / error) > 29
    assert torch.allclose(vae.basis.T @ vae.basis, torch.eye(64), atol=1e-4)  # white noise stays white


def test_the_schedule_starts_in_pure_noise() -> None:
    alphas = build_scheduler().alphas_cumprod
    assert ((1 - alphas[-1]) / alphas[-1]).sqrt() > 300
    assert ((1 - alphas[40]) / alphas[40]).sqrt() < 0.2


@pytest.mark.parametrize("frames", [4, 8, 16])
def test_batches_are_a_function_of_the_step(clips: tuple[np.ndarray, list[Attributes]], frames: int) -> None:
    batches = VideoBatches(*clips, build_tokenizer(), batch_size=2, frames=frames)
    first, again, other = batches(1), batches(1), batches(2)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["input_ids"], other["input_ids"])
    assert first["pixels"].shape == (2, frames, 64, 64, 3)
    assert first["fps"].tolist() == pytest.approx([8 * frames / 16 if frames > 4 else 1.6] * 2)


def test_two_of_five_batches_are_single_frames(clips: tuple[np.ndarray, list[Attributes]]) -> None:
    batch = VideoBatches(*clips, build_tokenizer(), batch_size=2, frames=8)(4)
    assert batch["pixels"].shape == (16, 1, 64, 64, 3)
    assert not batch["given"].any()


def test_image_captions_do_not_speak_of_motion(clips: tuple[np.ndarray, list[Attributes]]) -> None:
    tokenizer = build_tokenizer()
    text = tokenizer.batch_decode(ImageBatches(*clips, tokenizer, 64)(0)["input_ids"], skip_special_tokens=True)
    assert not {"moving", "bouncing", "spinning", "rising", "falling"} & set(" ".join(text).split())


def test_masks_cover_every_job_of_the_network() -> None:
    rng = np.random.default_rng(0)
    seen = {tuple(random_mask(8, rng).astype(int)) for _ in range(500)}
    assert (0,) * 8 in seen
    assert (1, *(0,) * 7) in seen
    assert (1, *(0,) * 6, 1) in seen
    assert (1, 0, 1, 0, 1, 0, 1, 0) in seen
    assert (1, 1, 1, 0, 0, 0, 0, 0) in seen


def test_the_tokenizer_names_nothing_twice_and_ends_with_the_largest_id() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer("A Red ball, moving LEFT!", padding="max_length").input_ids
    assert len(ids) == 24
    assert max(ids) == tokenizer.eos_token_id == len(tokenizer) - 1
    assert ids.count(tokenizer.unk_token_id) == 1  # the exclamation mark


def test_a_data_set_is_rendered_once_and_leaves_held_out_triples_out(tmp_path: Path) -> None:
    render_dataset(tmp_path / "clips", 8, workers=1)
    stamp = (tmp_path / "clips" / "clips.npy").stat().st_mtime_ns
    render_dataset(tmp_path / "clips", 8, workers=1)
    pixels, known = open_dataset(tmp_path / "clips")
    assert (tmp_path / "clips" / "clips.npy").stat().st_mtime_ns == stamp
    assert pixels.shape == (8, 16, 64, 64, 3)
    assert not any(a.is_held_out for a in known)
