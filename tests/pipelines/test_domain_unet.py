"""The network of a domain model: as small as it should be, right where a linear guess is right, and told like any other."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

from pipelines.composition import ComposedDenoiser
from pipelines.domain_unet import DomainUNet, small_unet, wiener
from pipelines.errors import InvalidInput
from pipelines.inflation import VideoUNet
from pipelines.pocket.recipe import build_scheduler
from tests.tiny import tiny_pipeline

MEAN, VARIANCE = torch.full((12,), 0.5), torch.full((12,), 2.0)
TEXT = {"encoder_hidden_states": torch.zeros(2, 24, 32), "class_labels": torch.zeros(2, 32)}


def network(kind: str = "sample", share: float = 0.5) -> DomainUNet:
    pipe = tiny_pipeline()
    torch.manual_seed(0)
    return small_unet(pipe.unet, share, type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type=kind), MEAN, VARIANCE)


def noisy(t: int, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return build_scheduler().add_noise(clean, noise, torch.tensor([t])), noise


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_it_has_at_most_its_share_of_the_parameters_and_not_much_less(share: float) -> None:
    base = sum(p.numel() for p in tiny_pipeline().unet.parameters())
    assert 0.5 * share < sum(p.numel() for p in network(share=share).parameters()) / base <= share * 1.05


def test_the_pocket_sizes_are_ten_and_one_and_a_quarter_percent() -> None:
    base = VideoUNet.from_config(VideoUNet.load_config("assets/pocket/unet"))
    count = sum(p.numel() for p in base.parameters())
    for share in (0.1, 0.0125):
        small = small_unet(base, share, build_scheduler(), torch.zeros(64), torch.ones(64))
        assert 0.8 * share < sum(p.numel() for p in small.parameters()) / count <= share


@pytest.mark.parametrize("share", [0, -1, 1, 1.5, 1e-9, float("nan")])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match=r"larger share|above 0"):
        network(share=share)


@pytest.mark.parametrize(("alpha", "gain"), [(0.001, 0.002), (0.6, 0.6 * 2 / (0.36 * 2 + 0.64)), (1.0, 1.0)])
def test_the_linear_guess_goes_from_nothing_to_everything(alpha: float, gain: float) -> None:
    level = torch.tensor(alpha), torch.tensor((1 - alpha**2) ** 0.5)
    known = wiener(torch.ones(1, 1, 1, 1, 1), *level, torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0))
    assert known.guess.item() == pytest.approx(gain, abs=1e-5)


def test_the_linear_guess_knows_how_wrong_it_is() -> None:
    generator, alpha, sigma = torch.Generator().manual_seed(0), torch.tensor(0.6), torch.tensor(0.8)
    clean = 3 + 2**0.5 * torch.randn(1, 1, 1, 200, 200, generator=generator)
    noisy = alpha * clean + sigma * torch.randn(clean.shape, generator=generator)
    known = wiener(noisy, alpha, sigma, torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 2.0))
    assert (known.mean + known.guess - clean).std().item() == pytest.approx(known.open.item(), rel=0.02)
    assert known.unit.std().item() == pytest.approx(1, rel=0.02)


@torch.no_grad()
def test_an_untrained_network_already_denoises_what_is_almost_clean() -> None:
    unet, clean = network().eval(), torch.randn(2, 12, 4, 8, 8) * 2**0.5 + 0.5
    for parameter in (*unet.conv_out.parameters(), *unet.second_look.parameters()):
        torch.nn.init.zeros_(parameter)
    predicted = unet(noisy(0, clean)[0], 0, **TEXT).sample
    assert (predicted - clean).abs().max() < 0.1
    noisiest = unet(noisy(999, clean)[0], 999, **TEXT).sample
    assert torch.allclose(noisiest, MEAN.view(1, -1, 1, 1, 1).expand_as(noisiest), atol=0.02)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_it_speaks_the_kind_of_prediction_of_its_base(kind: str) -> None:
    clean = torch.randn(1, 12, 2, 8, 8)
    sample, _ = noisy(400, clean)
    one = {name: value[:1] for name, value in TEXT.items()}
    scheduler = type(build_scheduler()).from_config(build_scheduler().config, prediction_type=kind)
    scheduler.set_timesteps(1000)
    x0 = network().eval()(sample, 400, **one).sample
    spoken = network(kind).eval()(sample, torch.tensor(400), **one).sample
    assert torch.allclose(scheduler.step(spoken, 400, sample).pred_original_sample, x0, atol=1e-3)


@torch.no_grad()
def test_a_timestep_a_clip_is_the_same_as_one_after_another() -> None:
    unet, sample = network().eval(), torch.randn(2, 12, 3, 8, 8)
    together = unet(sample, torch.tensor([10, 900]), **TEXT).sample
    alone = unet(sample[1:], 900, **{name: value[1:] for name, value in TEXT.items()}).sample
    assert torch.allclose(together[1:], alone, atol=1e-4)


@torch.no_grad()
def test_it_saves_and_loads_like_any_model(tmp_path: Path) -> None:
    unet, sample = network().eval(), torch.randn(2, 12, 3, 8, 8)
    unet.save_pretrained(tmp_path)
    again = DomainUNet.from_pretrained(tmp_path)
    assert torch.equal(again(sample, 500, **TEXT).sample, unet(sample, 500, **TEXT).sample)
    assert again.config.latent_variance == [2.0] * 12


def test_its_call_is_that_of_a_video_unet_so_that_it_can_be_composed() -> None:
    assert inspect.signature(DomainUNet.forward) == inspect.signature(VideoUNet.forward)
    pipe = tiny_pipeline()
    pipe.unet = ComposedDenoiser(pipe.unet, network().eval(), 1.0)
    assert pipe("a red ball", num_frames=2, num_inference_steps=2).frames.shape == (1, 2, 64, 64, 3)
