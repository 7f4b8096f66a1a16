"""The frame between two from latents: along the optical flow at first, then by flows of its own, for patches and small pictures alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from pipelines import latent_flow
from pipelines.errors import IncompatibleModels, InvalidInput
from pipelines.flow import flow_between
from pipelines.latent_flow import LatentFlow, double, doubled, flows_to_neighbours, pull
from pipelines.pocket.autoencoder import PatchAutoencoder
from pipelines.text_to_video import TextToVideoPipeline
from pipelines.training.interpolation import FlowObjective
from tests.pipelines.test_flow import moving_square
from tests.tiny import tiny_pipeline


@pytest.fixture
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


def tiny_network(latent_channels: int = 12, planes: int = 3, scale: int = 8) -> LatentFlow:
    torch.manual_seed(0)
    return LatentFlow(latent_channels, planes, scale, width=16, blocks=1, fine_width=8).eval()


def tiny_autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, **kinds).eval()


def test_at_first_it_follows_the_optical_flow(pipe: TextToVideoPipeline) -> None:
    clip = moving_square(5, 3)
    assert np.abs(double(tiny_network(), pipe, clip).astype(int) - flow_between(clip, 2)).max() <= 1


def test_given_frames_stay_and_twice_is_four_times(pipe: TextToVideoPipeline) -> None:
    clip = moving_square(4, 3)
    smooth = doubled(tiny_network(), pipe, clip, 4)
    assert smooth.shape == (13, 64, 64, 3)
    assert np.array_equal(smooth[::4], clip)


def test_nothing_is_added_to_what_stands_still(pipe: TextToVideoPipeline) -> None:
    network, clip = tiny_network(), moving_square(3, 0)
    torch.nn.init.normal_(network.second[-2].bias[4 * 5 :], std=1.0)  # the additions
    assert np.array_equal(double(network, pipe, clip), clip[:1].repeat(5, axis=0))
    assert not np.array_equal(double(network, pipe, moving_square(3, 2)), flow_between(moving_square(3, 2), 2))


def test_many_pairs_are_made_in_parts_without_a_seam(pipe: TextToVideoPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, network = moving_square(6, 3), tiny_network()
    torch.nn.init.normal_(network.guide.weight, std=0.1)
    whole = double(network, pipe, clip)
    monkeypatch.setattr("pipelines.latent_flow.PAIRS_AT_ONCE", 2)
    assert np.abs(double(network, pipe, clip).astype(int) - whole).max() <= 1


def test_warping_pulls_from_where_the_flow_points() -> None:
    picture = torch.arange(20.0).view(1, 1, 4, 5)
    right = torch.zeros(1, 2, 4, 5)
    right[:, 0] = 1
    assert torch.allclose(pull(picture, right)[..., :-1], picture[..., 1:], atol=1e-4)
    assert torch.allclose(pull(picture, right)[..., -1], picture[..., -1], atol=1e-4)


def test_latents_that_are_small_pictures_are_warped_themselves() -> None:
    whole = tiny_pipeline()
    parts = {**whole.components, "vae": tiny_autoencoder()}
    pipe = TextToVideoPipeline(**parts, generation=whole.defaults.to_dict())
    clip = moving_square(3, 3)
    assert double(tiny_network(4, 4, 1), pipe, clip).shape == (5, 64, 64, 3)


def test_flows_to_neighbours_point_there_in_pixels_of_what_is_warped() -> None:
    flows = torch.from_numpy(flows_to_neighbours(*moving_square(2, 4)))[None]
    inside = flows[0, :, 28:36, 18:26].mean(dim=(1, 2))
    assert torch.allclose(inside, torch.tensor([-2.0, 0, 2, 0]), atol=0.3)
    small = latent_flow._resized(flows, torch.Size((8, 8)))
    assert torch.allclose(small[0, :, 4, 2], inside / 8, atol=0.3)


@pytest.mark.parametrize("kind", ["patches", "pictures"])
def test_it_learns_a_shift(kind: str) -> None:
    vae = PatchAutoencoder(latent_channels=12).fit(torch.rand(4, 3, 64, 64) * 2 - 1) if kind == "patches" else tiny_autoencoder()
    network = tiny_network() if kind == "patches" else tiny_network(4, 4, 1)
    objective = FlowObjective(network, vae)
    frames = moving_square(3, 3)
    batch = {"pixels": torch.from_numpy(frames)[None], "start": torch.zeros(1, 4, 64, 64)}
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], 1e-3)
    losses = []
    for step in range(25):
        loss = objective(batch, step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.97 * losses[0]


def test_only_the_network_learns() -> None:
    objective = FlowObjective(tiny_network(), PatchAutoencoder(latent_channels=12))
    assert {name.split(".")[0] for name, p in objective.named_parameters() if p.requires_grad} == {"network"}


def test_a_network_for_other_latents_is_refused(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(IncompatibleModels, match=r"4 channels.*12"):
        double(tiny_network(4, 4, 1), pipe, moving_square(2, 1))


def test_one_frame_is_refused(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="1 frame"):
        double(tiny_network(), pipe, moving_square(1, 1))


def test_it_only_doubles(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="factor is 6"):
        doubled(tiny_network(), pipe, moving_square(2, 1), 6)
