"""A composition stands in unmodified pipelines of diffusers' families, and the family that it cannot stand in says why."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipelines.composition import ComposedDenoiser, LatentSpace, Path
from pipelines.errors import IncompatibleModels
from tests.pipelines.families import FAMILIES, Family, cogvideox, hunyuan_video_15, kandinsky_5, wan

# Said by diffusers and transformers while such a pipeline is imported, built or run.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(params=FAMILIES, scope="module")
def family(request: pytest.FixtureRequest) -> Family:
    torch.manual_seed(0)
    family = FAMILIES[request.param]()
    family.denoiser.eval()
    return family


@pytest.fixture(scope="module")
def networks(family: Family) -> tuple[nn.Module, nn.Module]:
    """(prior, adapter) of the family."""
    torch.manual_seed(1)
    return family.network().eval(), family.denoiser


def listen(network: nn.Module) -> list[dict[str, Any]]:
    """What the network is called with from now on, arguments by name."""
    heard: list[dict[str, Any]] = []
    network.register_forward_pre_hook(lambda _, args, kwargs: heard.append(dict(enumerate(args)) | kwargs), with_kwargs=True)
    return heard


def test_strength_zero_is_the_adapter_alone_bit_for_bit_and_asks_no_prior(family: Family, networks: tuple[nn.Module, nn.Module]) -> None:
    prior, adapter = networks
    heard = listen(prior)
    assert torch.equal(family.make(ComposedDenoiser(prior, adapter, 0.0)), family.make(adapter))
    assert not heard


def test_a_model_composed_with_itself_is_itself(family: Family, networks: tuple[nn.Module, nn.Module]) -> None:
    _, adapter = networks
    assert torch.allclose(family.make(ComposedDenoiser(adapter, adapter, 0.7)), family.make(adapter), atol=1e-4)


def test_the_prior_is_asked_once_a_step_with_the_text_alone(family: Family, networks: tuple[nn.Module, nn.Module]) -> None:
    prior, adapter = networks
    heard = listen(prior)
    composed = family.make(ComposedDenoiser(prior, adapter, 0.7))
    assert len(heard) == 2
    for inputs in heard:
        text = inputs["encoder_hidden_states"].reshape(-1, *family.text.shape[1:])
        assert torch.equal(text, family.text.expand_as(text))
    assert not torch.allclose(composed, family.make(adapter), atol=0.01)


def test_both_modes_and_schedules_run_on_the_family_s_own_path(family: Family, networks: tuple[nn.Module, nn.Module]) -> None:
    path = Path.of(family.pipe.scheduler)
    denoiser = ComposedDenoiser(*networks, lambda share: 0.2 * share, "paper", adapter_path=path)
    assert family.make(denoiser).isfinite().all()


def test_the_autoencoder_of_the_family_has_a_signature(family: Family) -> None:
    pipe, space = family.pipe, LatentSpace.of(family.pipe.vae)
    spatial = getattr(pipe, "vae_spatial_compression_ratio", getattr(pipe, "vae_scale_factor", space.spatial))
    temporal = getattr(pipe, "vae_temporal_compression_ratio", space.temporal)
    assert space.channels in (4, 8, 12, 16)
    assert space.spatial == getattr(pipe, "vae_scale_factor_spatial", spatial)
    assert space.temporal == getattr(pipe, "vae_scale_factor_temporal", temporal)


def test_two_clips_with_two_strengths_are_the_clips_of_each_strength() -> None:
    family = cogvideox()
    torch.manual_seed(1)
    prior, adapter = family.network().eval(), family.denoiser.eval()
    shape = family.make(adapter).shape
    noise = torch.randn(2, *shape[1:], generator=torch.Generator().manual_seed(3))
    texts = {name: value.repeat(2, 1, 1) for name, value in family.inputs.items() if name.endswith("prompt_embeds")}
    alone = [family.make(ComposedDenoiser(prior, adapter, gamma), latents=x[None]) for gamma, x in zip((0.2, 2.0), noise, strict=True)]
    both = family.make(ComposedDenoiser(prior, adapter, [0.2, 2.0]), latents=noise, **texts)
    assert torch.allclose(both, torch.cat(alone), atol=1e-4)


def test_langevin_steps_run_in_an_unmodified_pipeline_that_calls_twice() -> None:
    family = wan()
    torch.manual_seed(1)
    denoiser = ComposedDenoiser(family.network().eval(), family.denoiser.eval(), 0.5, adapter_path=Path.of(family.pipe.scheduler))
    before = family.make(denoiser)
    heard = listen(denoiser.prior)
    corrector = denoiser.corrector(3, guidance_scale=3.0, generator=torch.Generator().manual_seed(0))
    after = family.make(denoiser, callback_on_step_end=corrector)
    assert len(heard) == 2 + 3
    assert after.isfinite().all()
    assert not torch.allclose(before, after, atol=0.01)


def test_a_pipeline_that_calls_twice_without_saying_so_is_refused_with_the_reason() -> None:
    family = kandinsky_5()
    denoiser = ComposedDenoiser(family.network().eval(), family.denoiser.eval(), 0.5)
    with pytest.raises(IncompatibleModels, match="branches cannot be told apart"):
        family.make(denoiser)


def test_a_guider_with_branches_of_its_own_is_refused_with_the_reason() -> None:
    family = hunyuan_video_15()
    denoiser = ComposedDenoiser(family.network().eval(), family.denoiser.eval(), 0.5)
    with pytest.raises(IncompatibleModels, match="'cond_skip'"), denoiser.cache_context("cond_skip"):
        denoiser(hidden_states=torch.zeros(1, 9, 1, 1, 1))
