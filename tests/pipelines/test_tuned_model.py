"""A tuned model's file: it comes back as it was, says what it is without being loaded, and is refused on another base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.errors import IncompatibleModels, StorageError, WeightsDamaged, WeightsMissing
from pipelines.inflation import VideoUNet
from pipelines.one_shot import Tuned, trainable_parameters
from pipelines.signatures import stored_base
from pipelines.tuned_model import TunedModel, base_hash, load_tuned_model, read_tuned_model, save_tuned_model
from tests.tiny import tiny_image_unet


@pytest.fixture
def unet() -> VideoUNet:
    return VideoUNet.from_image_unet(tiny_image_unet())


@pytest.fixture
def file(tmp_path: Path, unet: VideoUNet) -> Path:
    """A saved model whose tensors are the network's own, doubled."""
    tensors = {name: 2 * parameter.detach() for name, parameter in trainable_parameters(unet).items()}
    about = TunedModel("skier", "a man is skiing", base_hash(unet), "tiny", 300, settings={"learning_rate": 3e-5}, thumbnail=b"png")
    save_tuned_model(tmp_path / "skier.safetensors", Tuned(tensors, sparse_causal=False), about)
    return tmp_path / "skier.safetensors"


def test_a_tuned_model_comes_back_as_it_was(file: Path, unet: VideoUNet) -> None:
    tuned = load_tuned_model(file, unet)
    assert not tuned.sparse_causal
    assert all(torch.allclose(tuned.tensors[name], 2 * p, atol=1e-3) for name, p in trainable_parameters(unet).items())


def test_the_file_says_what_it_is_without_its_tensors(file: Path) -> None:
    about = read_tuned_model(file)
    assert (about.name, about.caption, about.steps, about.thumbnail) == ("skier", "a man is skiing", 300, b"png")
    assert about.settings == {"learning_rate": 3e-5}


def test_a_base_in_half_precision_is_the_same_base(file: Path, unet: VideoUNet) -> None:
    assert load_tuned_model(file, unet.half()).tensors


def test_another_base_is_refused_by_name(file: Path, unet: VideoUNet) -> None:
    next(iter(trainable_parameters(unet).values())).data += 1
    with pytest.raises(IncompatibleModels, match="'skier' belongs to another model"):
        load_tuned_model(file, unet)


def test_a_cut_off_file_is_damaged_and_a_missing_one_missing(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(WeightsDamaged, match=r"skier\.safetensors"):
        read_tuned_model(file)
    with pytest.raises(WeightsMissing):
        read_tuned_model(tmp_path / "other.safetensors")


def test_where_nothing_can_be_written_the_error_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_tuned_model(tmp_path / "file" / "a.safetensors", Tuned({}), TunedModel("a", "b", "c"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_of_the_studio_s_own_network_the_base_is_known_from_its_files(unet: VideoUNet, tmp_path: Path) -> None:
    unet.save_pretrained(tmp_path / "unet")
    assert stored_base(tmp_path) == base_hash(unet)
