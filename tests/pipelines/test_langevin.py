"""Langevin steps keep a distribution, also where the noise of its frames is correlated."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from pipelines.composition import ComposedDenoiser
from pipelines.errors import IncompatibleModels, InvalidInput
from pipelines.langevin import langevin_step
from pipelines.noise import NoisePrior
from pipelines.paths import Path
from tests.pipelines.toys import Gaussian

SCHEDULER = DDIMScheduler(clip_sample=False)
SCHEDULER.set_timesteps(10)
PATH = Path.of(SCHEDULER)


def toy(prior_strength: float = 0.0, **options: Any) -> ComposedDenoiser:
    settings = {"adapter_path": PATH, "guided": False, **options}
    return ComposedDenoiser(Gaussian(2, 1, PATH), Gaussian(-1, 0.25, PATH), prior_strength, **settings)


def pipe(scheduler: Any = SCHEDULER) -> SimpleNamespace:
    return SimpleNamespace(scheduler=scheduler)


def corrected(denoiser: ComposedDenoiser, x: torch.Tensor, steps: int, index: int = 4, scheduler: Any = SCHEDULER, **options: Any) -> Any:
    settings = {"guidance_scale": 1.0, "generator": torch.Generator().manual_seed(0), **options}
    timestep = scheduler.timesteps[index]
    denoiser(x, timestep)
    return denoiser.corrector(steps, **settings)(pipe(scheduler), index, timestep, {"latents": x})


def test_any_start_ends_in_the_distribution_of_the_level() -> None:
    """a x0 + s e of N(-1, 0.25) is N(-a, 0.25 a^2 + s^2); the variance is widened by the size of the steps."""
    a, s = (float(level) for level in PATH.coefficients(PATH.angle(SCHEDULER.timesteps[5])))
    x = corrected(toy(), torch.full((1, 20_000), 3.0), steps=150, step_size=0.05)["latents"]
    assert float(x.mean()) == pytest.approx(-a, abs=0.03)
    assert float(x.var()) == pytest.approx(0.25 * a**2 + s**2, rel=0.05)


@pytest.mark.parametrize("prior", [NoisePrior("progressive", 2.0), NoisePrior("mixed", 1.0)])
def test_with_correlated_noise_the_same_formula_keeps_the_correlation(prior: NoisePrior) -> None:
    """x = a x0 + s e with x0 fixed and e from the noise prior: an ideal denoiser says e = (x - a x0) / s for each frame."""
    s, clean = torch.tensor(0.8), 0.6
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(1, 1, 4, 100, 100)
    for _ in range(120):
        x = langevin_step(x, (x - clean) / s, s, prior.sample(tuple(x.shape), generator), step_size=0.05)
    frames = x[0, 0].flatten(1)
    assert torch.allclose(torch.corrcoef(frames).double(), prior.correlation(4), atol=0.04)
    assert torch.allclose(frames.std(dim=1), s, atol=0.03)


def test_each_step_asks_as_the_pipeline_does_and_remembers_its_text() -> None:
    denoiser = toy(0.5, guided=True)
    text = torch.tensor([[0.0], [7.0]])
    x = torch.randn(1, 4)
    denoiser(torch.cat([x, x]), SCHEDULER.timesteps[3], encoder_hidden_states=text)
    correct = denoiser.corrector(2, guidance_scale=3.0)
    correct(pipe(), 3, SCHEDULER.timesteps[3], {"latents": x})
    assert [len(heard["sample"]) for heard in denoiser.adapter.heard] == [2, 2, 2]
    assert all(torch.equal(heard["text"], text[1:]) for heard in denoiser.prior.heard)
    assert [int(heard["timestep"]) for heard in denoiser.prior.heard] == [int(SCHEDULER.timesteps[i]) for i in (3, 4, 4)]


def test_two_calls_and_two_halves_see_the_same_noise() -> None:
    x, t = torch.randn(1, 4), SCHEDULER.timesteps[3]
    halves, calls = toy(0.5, guided=True), toy(0.5)
    halves(torch.cat([x, x]), t)
    for branch in ("cond", "uncond"):
        with calls.cache_context(branch):
            calls(x, t)
    one, other = (denoiser.corrector(1, guidance_scale=3.0).epsilon(x, t) for denoiser in (halves, calls))
    assert torch.allclose(one, other, atol=1e-6)


def test_what_an_earlier_clip_was_asked_is_forgotten() -> None:
    denoiser = toy(0.5)
    x, t = torch.randn(1, 4), SCHEDULER.timesteps[3]
    for branch in ("cond", "uncond", "cond"):
        with denoiser.cache_context(branch):
            denoiser(x, t)
    assert list(denoiser.calls) == ["cond"]
    denoiser(x, t)
    assert list(denoiser.calls) == [None]


def test_channels_that_stand_beside_the_latents_are_left_alone() -> None:
    class WithMask(Gaussian):
        def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> tuple[torch.Tensor]:
            self.masks = sample[:, 4:]
            return super().forward(sample[:, :4], timestep)

    denoiser = ComposedDenoiser(WithMask(2, 1, PATH), WithMask(-1, 0.25, PATH), 0.5, adapter_path=PATH, guided=False)
    given = torch.randn(2, 6)
    denoiser(sample=given, timestep=SCHEDULER.timesteps[4])
    denoiser.corrector(1, guidance_scale=1.0)(pipe(), 4, SCHEDULER.timesteps[4], {"latents": torch.randn(2, 4)})
    assert torch.equal(denoiser.adapter.masks, given[:, 4:])
    assert torch.equal(denoiser.prior.masks, given[:, 4:])


def test_after_the_last_step_nothing_is_changed() -> None:
    assert corrected(toy(), torch.randn(1, 4), steps=3, index=9) == {}
    assert corrected(toy(), torch.randn(1, 4), steps=0) == {}


def test_the_noise_is_reproducible_and_may_be_given() -> None:
    x = torch.randn(1, 4)
    assert torch.equal(corrected(toy(), x, 2)["latents"], corrected(toy(), x, 2)["latents"])
    still = corrected(toy(), x, 1, noise=lambda shape, generator: torch.zeros(shape))["latents"]
    again = corrected(toy(), x, 1, noise=lambda shape, generator: torch.zeros(shape), generator=None)["latents"]
    assert torch.equal(still, again)


@pytest.mark.parametrize("bad", [{"steps": -1}, {"steps": 1.5}, {"steps": True}, {"step_size": 0.0}, {"step_size": 1.0}])
def test_steps_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        toy().corrector(**{"steps": 1, "guidance_scale": 1.0, **bad})


def test_a_composition_without_a_path_cannot_be_corrected() -> None:
    with pytest.raises(InvalidInput, match="level of noise"):
        toy(adapter_path=None).corrector(1, guidance_scale=1.0)


def test_timesteps_of_single_tokens_are_refused() -> None:
    denoiser = toy()
    denoiser(torch.randn(1, 3, 4), torch.full((1, 3), 500))
    with pytest.raises(InvalidInput, match=r"shape \(1, 3\)"):
        denoiser.corrector(1, guidance_scale=1.0)(pipe(), 4, 500, {"latents": torch.randn(1, 3, 4)})


def test_a_sampler_whose_latents_are_on_another_scale_is_refused() -> None:
    euler = EulerDiscreteScheduler()
    euler.set_timesteps(10)
    with pytest.raises(IncompatibleModels, match="EulerDiscreteScheduler keeps its latents at another scale"):
        corrected(toy(), torch.randn(1, 4), steps=1, scheduler=euler)
