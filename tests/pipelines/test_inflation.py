"""Make-A-Video's inflation: the identity at first, trainable everywhere, savable, and still an image model with one frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from pipelines.errors import InvalidInput
from pipelines.inflation import VideoUNet
from pipelines.sparse_causal import first_and_previous
from pipelines.temporal_layers import FrameContext, TemporalAttention, TemporalConv
from tests.tiny import tiny_image_unet

FRAMES = 5


def inputs(frames: int = FRAMES) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    sample, text = torch.randn(2, 4, frames, 8, 8, generator=g), torch.randn(2, 7, 32, generator=g)
    return {"sample": sample, "timestep": torch.tensor([10, 500]), "encoder_hidden_states": text}


def frame_by_frame(
    unet: UNet2DConditionModel, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
) -> torch.Tensor:
    frames = sample.shape[2]
    out = unet(
        sample.transpose(1, 2).flatten(0, 1), timestep.repeat_interleave(frames), encoder_hidden_states.repeat_interleave(frames, 0)
    ).sample
    return out.unflatten(0, (-1, frames)).transpose(1, 2)


def shaken(video: VideoUNet) -> VideoUNet:
    """The same network with temporal layers that do something."""
    torch.manual_seed(1)
    for parameter in video.temporal_parameters().values():
        torch.nn.init.normal_(parameter, std=0.05)
    return video


@pytest.mark.parametrize("linear", [False, True], ids=["sd1", "sd2"])
@pytest.mark.parametrize("conditioned", [False, True])
@torch.no_grad()
def test_a_fresh_video_unet_is_the_image_unet_frame_by_frame(linear: bool, conditioned: bool) -> None:
    image = tiny_image_unet(linear)
    video = VideoUNet.from_image_unet(image, condition_frames=conditioned, frame_rate=conditioned)
    x = inputs()
    given = {"given_frames": x["sample"], "given_mask": torch.ones(2, FRAMES), "fps": 4.0} if conditioned else {}
    assert torch.equal(video(**x, **given).sample, frame_by_frame(image, **x))


@torch.no_grad()
def test_with_one_frame_a_trained_video_unet_is_still_the_image_model() -> None:
    image = tiny_image_unet()
    x = inputs(frames=1)
    assert torch.equal(shaken(VideoUNet.from_image_unet(image, frame_rate=True))(**x, fps=8.0).sample, frame_by_frame(image, **x))


@pytest.mark.parametrize("linear", [False, True], ids=["sd1", "sd2"])
def test_gradients_reach_every_temporal_parameter(linear: bool) -> None:
    video = shaken(VideoUNet.from_image_unet(tiny_image_unet(linear), condition_frames=True, frame_rate=True))
    x = inputs()
    video(**x, given_frames=x["sample"], given_mask=torch.tensor([[1.0, 0, 0, 0, 1]] * 2), fps=4.0).sample.square().mean().backward()
    assert [name for name, p in video.temporal_parameters().items() if p.grad is None or not p.grad.any()] == []


def test_even_a_fresh_network_learns_time() -> None:
    """The layers that are zero at first get a gradient; those behind them get one as soon as they are not."""
    video = VideoUNet.from_image_unet(tiny_image_unet())
    video(**inputs()).sample.square().mean().backward()
    outputs = [
        p
        for name, p in video.temporal_parameters().items()
        if "temporal_attention.attention.to_out.0.weight" in name or name.endswith("temporal.weight")
    ]
    assert outputs
    assert all(p.grad is not None and p.grad.any() for p in outputs)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    video = shaken(VideoUNet.from_image_unet(tiny_image_unet())).train()

    def gradients() -> list[torch.Tensor]:
        video.zero_grad()
        loss = video(**inputs()).sample.square().mean() + video(**inputs(frames=3)).sample.square().mean()
        loss.backward()
        return [p.grad.clone() for p in video.parameters() if p.grad is not None]

    plain = gradients()
    video.enable_gradient_checkpointing()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, gradients(), strict=True))


@torch.no_grad()
def test_saving_and_loading_gives_the_same_network(tmp_path: Path) -> None:
    video = shaken(VideoUNet.from_image_unet(tiny_image_unet(True), condition_frames=True, frame_rate=True))
    video.save_pretrained(tmp_path)
    loaded = VideoUNet.from_pretrained(tmp_path)
    assert (tmp_path / "diffusion_pytorch_model.safetensors").exists()
    assert dict(loaded.config)["frame_rate"] is True
    assert torch.equal(loaded(**inputs(), fps=4.0).sample, video(**inputs(), fps=4.0).sample)


def test_image_weights_keep_their_names() -> None:
    image = tiny_image_unet()
    video = VideoUNet.from_image_unet(image)
    assert set(image.state_dict()) | set(video.temporal_parameters()) == set(video.state_dict())


@torch.no_grad()
def test_frames_know_their_place_only_when_asked() -> None:
    """Without positions, with symmetric convolutions, playing a clip backwards plays the result backwards."""
    x = inputs()
    mirrored = {**x, "sample": x["sample"].flip(2)}
    for position in (False, True):
        video = shaken(VideoUNet.from_image_unet(tiny_image_unet(), temporal_conv=False, frame_position=position))
        assert torch.allclose(video(**mirrored).sample.flip(2), video(**x).sample, atol=1e-5) is not position


@torch.no_grad()
def test_the_frame_rate_changes_what_a_trained_network_says() -> None:
    video = shaken(VideoUNet.from_image_unet(tiny_image_unet(), frame_rate=True))
    assert not torch.allclose(video(**inputs(), fps=4.0).sample, video(**inputs(), fps=8.0).sample)


@torch.no_grad()
def test_frames_behind_the_mask_are_not_seen() -> None:
    video = shaken(VideoUNet.from_image_unet(tiny_image_unet(), condition_frames=True))
    x, mask = inputs(), torch.tensor([[1.0, 0, 0, 0, 0]] * 2)
    frames = torch.randn(2, 4, FRAMES, 8, 8)
    hidden_changed = frames.clone()
    hidden_changed[:, :, 1:] += 1
    given_changed = frames.clone()
    given_changed[:, :, 0] += 1
    first = video(**x, given_frames=frames, given_mask=mask).sample
    assert torch.equal(video(**x, given_frames=hidden_changed, given_mask=mask).sample, first)
    assert not torch.equal(video(**x, given_frames=given_changed, given_mask=mask).sample, first)


def test_given_frames_are_refused_by_a_network_without_that_input() -> None:
    video, x = VideoUNet.from_image_unet(tiny_image_unet()), inputs()
    with pytest.raises(InvalidInput, match="without frame conditioning"):
        video(**x, given_frames=x["sample"], given_mask=torch.ones(2, FRAMES))


def test_an_image_is_refused_with_its_shape() -> None:
    x = inputs()
    with pytest.raises(InvalidInput, match=r"\(2, 4, 8, 8\)"):
        VideoUNet.from_image_unet(tiny_image_unet())(**{**x, "sample": x["sample"][:, :, 0]})


@torch.no_grad()
def test_new_layers_are_the_identity() -> None:
    context = FrameContext(frames=3)
    x, tokens = torch.randn(6, 8, 4, 4), torch.randn(6, 16, 8)
    assert torch.equal(TemporalConv(8, context)(x), x)
    assert torch.equal(TemporalAttention(8, 2, 4, True, context)(tokens), tokens)


@torch.no_grad()
def test_a_temporal_convolution_mixes_neighbours_and_only_them() -> None:
    context = FrameContext(frames=5)
    layer = TemporalConv(8, context)
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(5, 8, 4, 4)
    changed = x.clone()
    changed[2] += 1
    differs = (layer(changed) - layer(x)).abs().amax(dim=(1, 2, 3)) > 1e-6
    assert differs.tolist() == [False, True, True, True, False]


def test_sparse_causal_keys_are_the_first_and_the_previous_frame() -> None:
    tokens = torch.arange(4.0).view(4, 1, 1)
    assert first_and_previous(tokens, 4).squeeze(-1).tolist() == [[0, 0], [0, 0], [0, 1], [0, 2]]


@torch.no_grad()
def test_sparse_causal_attention_on_identical_frames_is_spatial_attention() -> None:
    image = tiny_image_unet()
    video = VideoUNet.from_image_unet(image, temporal_conv=False, frame_position=False, sparse_causal=True)
    x = inputs()
    same = {**x, "sample": x["sample"][:, :, :1].expand(-1, -1, FRAMES, -1, -1)}
    assert torch.allclose(video(**same).sample, frame_by_frame(image, **same), atol=1e-5)
    assert not torch.allclose(video(**x).sample, frame_by_frame(image, **x), atol=1e-3)
