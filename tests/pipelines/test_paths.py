"""Paths: what a prediction stands for does not depend on how it is told."""

from __future__ import annotations

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from pipelines.errors import IncompatibleModels, InvalidInput
from pipelines.paths import Path, along, consistent

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS = {
    "epsilon": DDIMScheduler(**SD),
    "v": DDIMScheduler(**SD, prediction_type="v_prediction"),
    "sample": DDIMScheduler(beta_schedule="linear", prediction_type="sample"),
    "zero SNR": CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    "flow": FlowMatchEulerDiscreteScheduler(),
    "flow of UniPC": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
    "flow backwards": FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
}


@pytest.fixture(params=SCHEDULERS)
def path(request: pytest.FixtureRequest) -> Path:
    return Path.of(SCHEDULERS[request.param])


@pytest.mark.parametrize("timestep", [1, 250, 640.5, 990])
def test_a_pair_survives_being_told_as_a_prediction(path: Path, timestep: float) -> None:
    clean, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    angle = path.angle(timestep)
    a, s = (float(level) for level in path.coefficients(angle))
    predicted = path.encode(clean, noise, angle)
    told = path.decode(predicted, a * clean + s * noise, angle)
    assert torch.allclose(told[0], clean, atol=1e-3)
    assert torch.allclose(told[1], noise, atol=1e-3)


def test_the_coefficients_are_those_of_the_scheduler() -> None:
    for scheduler in (SCHEDULERS["epsilon"], SCHEDULERS["zero SNR"]):
        path, timesteps = Path.of(scheduler), torch.tensor([0, 500, 999])
        squared = scheduler.alphas_cumprod[timesteps].double()
        a, s = path.coefficients(path.angle(timesteps))
        assert torch.allclose(a, squared.sqrt(), atol=1e-6)
        assert torch.allclose(s, (1 - squared).sqrt(), atol=1e-6)


def test_a_flow_goes_straight_from_clean_to_noise() -> None:
    path = Path.of(SCHEDULERS["flow"])
    a, s = path.coefficients(path.angle(torch.tensor([0.0, 250.0, 1000.0])))
    assert torch.allclose(a, torch.tensor([1.0, 0.75, 0.0], dtype=torch.float64))
    assert torch.allclose(s, torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64))


def test_a_flow_predicts_the_derivative_that_its_scheduler_follows() -> None:
    """One step of the scheduler from a level to the last, along the true prediction, arrives at the clean sample."""
    for name in ("flow", "flow backwards"):
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(SCHEDULERS[name].config)
        scheduler.set_timesteps(1)
        path, clean, noise = Path.of(scheduler), torch.randn(4), torch.randn(4)
        angle = path.angle(scheduler.timesteps[0])
        a, s = (float(level) for level in path.coefficients(angle))
        predicted = path.encode(clean, noise, angle)
        assert torch.allclose(scheduler.step(predicted, scheduler.timesteps[0], a * clean + s * noise).prev_sample, clean, atol=1e-4)


def test_a_timestep_is_found_again_by_its_level(path: Path) -> None:
    timesteps = torch.tensor([1.0, 333.25, 500.0, 998.0], dtype=torch.float64)
    assert torch.allclose(path.timestep(path.angle(timesteps)), timesteps, atol=1e-6)


def test_a_level_that_a_path_does_not_reach_is_answered_by_its_last_timestep() -> None:
    noisiest = Path.of(SCHEDULERS["flow"]).angle(1000)
    assert Path.of(SCHEDULERS["epsilon"]).timestep(noisiest) == 999


def test_equal_levels_lie_on_one_ray() -> None:
    """VP -> flow: t = s / (a + s) and x_flow = x_vp / (a + s)."""
    vp, flow = Path.of(SCHEDULERS["epsilon"]), Path.of(SCHEDULERS["flow"])
    angle = vp.angle(700)
    a, s = vp.coefficients(angle)
    assert torch.isclose(flow.timestep(angle) / 1000, s / (a + s))
    assert torch.isclose(flow.scale(angle) / vp.scale(angle), 1 / (a + s))


def test_paths_know_whether_their_timesteps_mean_the_same() -> None:
    epsilon, v, sample, flow = (Path.of(SCHEDULERS[name]) for name in ("epsilon", "v", "sample", "flow"))
    assert epsilon.same_levels(v)
    assert not epsilon.same_levels(sample)
    assert not epsilon.same_levels(flow)
    assert not flow.same_levels(Path.of(SCHEDULERS["flow backwards"]))


def test_a_scheduler_with_another_preconditioning_is_refused_with_the_reason() -> None:
    with pytest.raises(IncompatibleModels, match="EDMEulerScheduler prepares its model's inputs in a way of its own"):
        Path.of(EDMEulerScheduler())


def test_timesteps_of_other_axes_are_refused() -> None:
    assert along(torch.zeros(2, 1), torch.zeros(2, 5, 3)).shape == (2, 1, 1)
    with pytest.raises(InvalidInput, match=r"shape \(2, 7\)"):
        along(torch.zeros(2, 7), torch.zeros(2, 5, 3))


@pytest.mark.parametrize(("a", "s"), [(0.8, 0.6), (0.1, 0.995), (0.0, 1.0)])
def test_a_pair_is_made_to_fit_the_sample(a: float, s: float) -> None:
    sample, levels = torch.randn(5), (torch.tensor(a), torch.tensor(s))
    clean, noise = consistent(torch.randn(5), torch.randn(5), sample, *levels)
    assert torch.allclose(a * clean + s * noise, sample, atol=1e-5)
