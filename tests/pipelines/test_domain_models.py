"""Folders of domain models: written whole, read back, listed, and refused with a sentence where something is wrong."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.domain_models import FILE, DomainModel, check_fits, list_domain_models, load_domain_model, read_domain_model
from pipelines.errors import IncompatibleModels, WeightsDamaged, WeightsMissing
from tests.tiny import save_tiny_domain_model, save_tiny_model, tiny_pipeline

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole domain model in a folder of its own."""
    return save_tiny_domain_model(save_tiny_model(tmp_path / "tiny"), "sketch").folder


def test_what_is_written_is_read_back(folder: Path) -> None:
    model = read_domain_model(folder)
    assert (model.name, model.style, model.base, model.folder) == ("sketch", "sketch", "tiny", folder)
    assert model.parameters == sum(p.numel() for p in load_domain_model(folder).parameters())
    assert DomainModel.from_dict(json.loads(json.dumps(model.to_dict())), folder) == model


def test_the_network_comes_back_in_float32_and_ready_to_use(folder: Path) -> None:
    unet = load_domain_model(folder)
    assert unet.dtype == torch.float32
    assert not unet.training


def test_a_folder_has_a_card(folder: Path) -> None:
    assert "as a pencil sketch" in (folder / "README.md").read_text()


def test_models_are_listed_by_name_and_what_is_broken_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_tiny_domain_model(folder.parent.parent, "neon")
    broken = save_tiny_domain_model(folder.parent.parent, "broken").folder
    (broken / FILE).write_text("{")
    (folder.parent / "something-else").mkdir()
    with caplog.at_level(logging.WARNING):
        assert [model.name for model in list_domain_models(folder.parent, folder / "nowhere")] == ["neon", "sketch"]
    assert "broken" in caplog.text
    assert "something-else" not in caplog.text


def test_of_two_models_with_one_name_the_first_folder_counts(folder: Path, tmp_path: Path) -> None:
    save_tiny_domain_model(save_tiny_model(tmp_path / "other"), "sketch")
    assert [model.folder for model in list_domain_models(folder.parent, tmp_path / "other" / "adapters")] == [folder]


def test_listing_needs_no_torch() -> None:
    check = (
        "import sys; from pipelines.domain_models import list_domain_models; list_domain_models('assets'); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "False\n"


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no domain model"):
        read_domain_model(tmp_path)
    with pytest.raises(WeightsMissing, match="no weights"):
        load_domain_model(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 3, "title": "x"}', "\xff"])
def test_a_description_that_is_none_is_said(folder: Path, text: str) -> None:
    (folder / FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(WeightsDamaged, match="does not describe"):
        read_domain_model(folder)


@pytest.mark.parametrize("damage", [lambda whole: whole[:2000], lambda whole: b"", lambda whole: b"x" * 64])
def test_damaged_weights_are_named(folder: Path, damage: object) -> None:
    file = folder / WEIGHTS
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(WeightsDamaged, match="safetensors"):
        load_domain_model(folder)


def test_weights_that_are_not_safetensors_are_never_loaded(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "unet" / "model.bin")
    with pytest.raises(WeightsMissing, match=r"model\.bin.*not safetensors"):
        load_domain_model(folder)


def test_weights_of_another_network_are_named(folder: Path) -> None:
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "layers_per_block": 2}))
    with pytest.raises(WeightsDamaged, match="lacks"):
        load_domain_model(folder)


def test_a_model_fits_its_base_and_no_other(folder: Path) -> None:
    model, pipe = read_domain_model(folder), tiny_pipeline()
    check_fits(model, pipe)
    with pytest.raises(IncompatibleModels, match="text encoder"):
        check_fits(replace(model, text_encoder="another"), pipe)
    with pytest.raises(IncompatibleModels):
        check_fits(replace(model, latent_space={**model.latent_space, "channels": 4}), pipe)
