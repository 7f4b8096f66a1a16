"""Latent spaces: two models that do not share one are told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from pipelines.errors import IncompatibleModels
from pipelines.latent_space import LatentSpace, check_same_space
from pipelines.pocket.autoencoder import PatchAutoencoder


def test_the_pocket_autoencoder_has_a_signature_that_survives_json() -> None:
    space = LatentSpace.of(PatchAutoencoder(patch_size=8, latent_channels=12))
    assert (space.autoencoder, space.channels, space.spatial, space.temporal, space.scaling) == ("PatchAutoencoder", 12, 8, 1, 1.0)
    assert LatentSpace.from_dict(space.to_dict() | {"new": 1}) == space


def test_a_bases_weights_are_part_of_the_signature_and_their_precision_is_not() -> None:
    one, other = PatchAutoencoder(latent_channels=12), PatchAutoencoder(latent_channels=12).fit(torch.rand(2, 3, 16, 16))
    assert LatentSpace.of(one) != LatentSpace.of(other)
    assert LatentSpace.of(other) == LatentSpace.of(other.half())


def test_an_image_autoencoder_halves_once_between_its_levels() -> None:
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2, "block_out_channels": (8, 8)}
    space = LatentSpace.of(AutoencoderKL(**blocks, norm_num_groups=2, latent_channels=4))
    assert (space.channels, space.spatial, space.temporal, space.scaling) == (4, 2, 1, 0.18215)


SPACE = LatentSpace("AutoencoderKLCogVideoX", 16, 8, 4, 1.15258, "abc")


@pytest.mark.parametrize(
    "other", [{"autoencoder": "AutoencoderKL"}, {"channels": 4}, {"scaling": 0.7}, {"temporal": 1}, {"weights": "abd"}]
)
def test_another_space_is_refused_and_both_are_named(other: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleModels) as caught:
        check_same_space(SPACE, replace(SPACE, **other))
    assert str(SPACE) in caught.value.happened
    assert str(replace(SPACE, **other)) in caught.value.happened


def test_weights_that_are_not_known_agree_with_any() -> None:
    check_same_space(SPACE, SPACE)
    check_same_space(SPACE, replace(SPACE, weights=""))


def test_a_space_that_is_not_described_in_full_is_refused() -> None:
    with pytest.raises(IncompatibleModels, match="not described in full"):
        LatentSpace.from_dict({"channels": 4})
