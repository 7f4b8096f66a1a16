"""PYoCo's noise priors: every frame N(0, I), frames correlated as in section 4 of the paper."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.errors import InvalidInput
from pipelines.noise import KINDS, NoisePrior

SHAPE = (2, 4, 16, 64, 64)


def measured_correlation(noise: torch.Tensor) -> torch.Tensor:
    return torch.corrcoef(noise.transpose(0, 2).flatten(1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_every_frame_is_a_unit_gaussian(kind: str, alpha: float) -> None:
    noise = NoisePrior(kind, alpha).sample(SHAPE, torch.Generator().manual_seed(0))
    frames = noise.transpose(0, 2).flatten(1)
    assert (frames.mean(1).abs() < 0.03).all()
    assert ((frames.std(1) - 1).abs() < 0.02).all()
    kurtosis = (frames**4).mean(1) / (frames**2).mean(1) ** 2
    assert ((kurtosis - 3).abs() < 0.2).all()


@pytest.mark.parametrize(
    ("kind", "alpha"), [("mixed", 0.5), ("mixed", 1.0), ("mixed", 5.0), ("progressive", 1.0), ("progressive", 2.0), ("independent", None)]
)
def test_frames_are_correlated_as_the_prior_says(kind: str, alpha: float | None) -> None:
    prior = NoisePrior(kind, alpha)
    measured = measured_correlation(prior.sample(SHAPE, torch.Generator().manual_seed(1)))
    assert (measured - prior.correlation(16)).abs().max() < 0.03


@pytest.mark.parametrize(
    ("kind", "alpha", "lag", "expected"),
    [
        ("mixed", 1.0, 1, 0.5),
        ("mixed", 2.0, 8, 0.8),
        ("progressive", 1.0, 1, 0.707),
        ("progressive", 2.0, 1, 0.894),
        ("progressive", 2.0, 8, 0.410),
    ],
)
def test_correlations_are_those_of_the_paper(kind: str, alpha: float, lag: int, expected: float) -> None:
    assert NoisePrior(kind, alpha).correlation(16)[0, lag] == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_is_plain_white_noise(kind: str) -> None:
    noise = NoisePrior(kind).sample((4, 4, 1, 64, 64), torch.Generator().manual_seed(2))
    assert noise.shape == (4, 4, 1, 64, 64)
    assert abs(noise.std().item() - 1) < 0.02
    assert NoisePrior(kind).correlation(1).tolist() == [[1.0]]


def test_an_infinite_alpha_is_one_map_for_all_frames() -> None:
    for kind in ("mixed", "progressive"):
        noise = NoisePrior(kind, math.inf).sample((1, 4, 5, 8, 8), torch.Generator().manual_seed(3))
        assert torch.equal(noise, noise[:, :, :1].expand_as(noise))


def test_videos_of_a_batch_share_nothing() -> None:
    noise = NoisePrior("progressive").sample((2, 4, 8, 64, 64), torch.Generator().manual_seed(4))
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1].item()) < 0.02


def test_a_generator_a_video_makes_each_the_same_alone() -> None:
    prior = NoisePrior("mixed")
    both = prior.sample((2, 4, 3, 8, 8), [torch.Generator().manual_seed(s) for s in (5, 6)])
    assert torch.equal(both[1:], prior.sample((1, 4, 3, 8, 8), torch.Generator().manual_seed(6)))


def test_defaults_are_the_best_values_of_the_paper() -> None:
    assert (NoisePrior("mixed").alpha, NoisePrior("progressive").alpha, NoisePrior("independent").alpha) == (1.0, 2.0, 0.0)


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), "2", True])
def test_a_bad_alpha_is_refused_with_its_value(alpha: object) -> None:
    with pytest.raises(InvalidInput, match="alpha is"):
        NoisePrior("mixed", alpha)  # type: ignore[arg-type]


def test_an_unknown_kind_is_refused_with_the_choices() -> None:
    with pytest.raises(InvalidInput, match=r"'pink'.*independent, mixed, progressive"):
        NoisePrior("pink")  # type: ignore[arg-type]


def test_a_wrong_number_of_generators_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1 generators"):
        NoisePrior().sample((2, 4, 3, 8, 8), [torch.Generator()])
