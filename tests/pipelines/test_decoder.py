"""The video decoder: at first the frame decoder exactly, for both kinds of autoencoder; then frames see each other, and it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pipelines.decoder import TemporalResidual, build_decoder, decode_clip
from pipelines.errors import IncompatibleModels
from pipelines.inversion import encode_clip
from pipelines.pocket.autoencoder import PatchAutoencoder
from pipelines.text_to_video import TextToVideoPipeline
from pipelines.training.decoder import DecoderObjective
from tests.pipelines.test_flow import moving_square
from tests.pipelines.test_latent_flow import tiny_autoencoder
from tests.tiny import tiny_pipeline


def pipe_with(kind: str) -> TextToVideoPipeline:
    pipe = tiny_pipeline()
    if kind == "patches":
        return pipe
    return TextToVideoPipeline(**{**pipe.components, "vae": tiny_autoencoder()}, generation=pipe.defaults.to_dict())


def wake(decoder: nn.Module) -> None:
    """Gives every layer that starts at zero something to say."""
    for parameter in decoder.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)


@pytest.mark.parametrize("kind", ["patches", "network"])
def test_at_first_it_decodes_what_the_frame_decoder_does(kind: str) -> None:
    pipe = pipe_with(kind)
    latents = encode_clip(pipe, moving_square(4, 3))
    decoded = decode_clip(build_decoder(pipe.vae), pipe, latents)
    assert decoded.shape == (1, 4, 64, 64, 3)
    assert abs(decoded - pipe.decode_latents(latents)).max() < 1e-6


@pytest.mark.parametrize("kind", ["patches", "network"])
def test_once_trained_frames_see_their_neighbours(kind: str) -> None:
    torch.manual_seed(0)
    pipe = pipe_with(kind)
    decoder = build_decoder(pipe.vae)
    wake(decoder)
    clip = moving_square(4, 3)
    other = clip.copy()
    other[3] = 255 - other[3]
    decoded, changed = (decode_clip(decoder, pipe, encode_clip(pipe, frames))[0] for frames in (clip, other))
    assert abs(decoded[2] - changed[2]).max() > 1e-4


def test_the_autoencoder_is_left_as_it_was() -> None:
    pipe = pipe_with("network")
    decoder = build_decoder(pipe.vae)
    wake(decoder)
    latents = encode_clip(pipe, moving_square(2, 3))
    before = pipe.decode_latents(latents)
    decode_clip(decoder, pipe, latents)
    assert (pipe.decode_latents(latents) == before).all()


@pytest.mark.parametrize("kind", ["patches", "network"])
def test_only_the_new_layers_learn_and_they_do(kind: str) -> None:
    torch.manual_seed(0)
    pipe = pipe_with(kind)
    objective = DecoderObjective(build_decoder(pipe.vae), pipe.vae)
    learning = {name: p for name, p in objective.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"decoder"}
    optimizer = torch.optim.AdamW(list(learning.values()), 2e-3)
    batch, losses = {"pixels": torch.from_numpy(moving_square(4, 3))[None]}, []
    for _ in range(8):
        loss = objective(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", ["patches", "network"])
def test_it_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    pipe = pipe_with(kind)
    decoder = build_decoder(pipe.vae)
    wake(decoder)
    decoder.save_pretrained(tmp_path)
    latents = encode_clip(pipe, moving_square(2, 3))
    again = type(decoder).from_pretrained(tmp_path)
    assert (decode_clip(decoder, pipe, latents) == decode_clip(again, pipe, latents)).all()


def test_a_decoder_for_another_autoencoder_is_refused() -> None:
    pipe = pipe_with("patches")
    with pytest.raises(IncompatibleModels, match="another autoencoder"):
        decode_clip(build_decoder(PatchAutoencoder(latent_channels=16)), pipe, torch.zeros(1, 12, 2, 8, 8))


def test_the_temporal_layer_starts_as_the_identity() -> None:
    x = torch.randn(1, 4, 3, 2, 2)
    assert torch.equal(TemporalResidual(4)(x), x)
