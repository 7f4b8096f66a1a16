"""Training a domain model beside the tiny base: it learns, can be stopped and gone on with, and ends as a folder that loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.domain_models import DomainModel, check_fits, load_domain_model, read_domain_model
from pipelines.errors import IncompatibleModels, InvalidInput
from pipelines.pocket.captions import Attributes
from pipelines.pocket.world import render
from pipelines.text_to_video import TextToVideoPipeline
from pipelines.training.clips import ClipFolder
from pipelines.training.domain import is_finished, main, train_domain_model, train_on_clips
from pipelines.training.domain_recipe import DomainRecipe
from pipelines.training.material import DomainBatches, EncodedClips, Material, encode_clips, encode_retouched, encode_texts
from studio.media import write_mp4
from tests.tiny import save_tiny_model, tiny_pipeline

RECIPE = DomainRecipe(minutes=0.005, share=0.5, frames_a_batch=16)
STAR = Attributes("star", "red", "big", "left", "sea", "neon")


@pytest.fixture(scope="module")
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def clips() -> ClipFolder:
    pixels = np.stack([render(STAR, np.random.default_rng(i)) for i in range(4)])
    return ClipFolder(pixels, ("a red star", "a red star", "a star", "a ball"))


def material(pipe: TextToVideoPipeline, clips: ClipFolder) -> Material:
    texts = encode_texts(pipe, clips.captions)
    return Material(EncodedClips(encode_clips(pipe, clips.pixels), texts.look_up([[t] for t in clips.captions])), texts, 8.0)


def test_texts_are_encoded_once_each_as_the_pipeline_encodes_them(pipe: TextToVideoPipeline, clips: ClipFolder) -> None:
    texts = encode_texts(pipe, clips.captions)
    assert list(texts.rows) == ["", "a red star", "a star", "a ball"]
    with torch.no_grad():
        known = pipe._encode(["a ball"], None, guided=False, device=pipe.device)
    assert torch.allclose(texts.context[3].float(), known["encoder_hidden_states"][0], atol=5e-3)
    assert texts.pooled is not None
    assert torch.allclose(texts.pooled[3].float(), known["class_labels"][0], atol=5e-3)


def test_encoded_clips_are_decoded_again(pipe: TextToVideoPipeline, clips: ClipFolder) -> None:
    latents = encode_clips(pipe, clips.pixels[:1])
    assert latents.shape == (1, 12, 16, 8, 8)
    back = pipe.vae.encode(torch.from_numpy(clips.pixels[0, :1]).permute(0, 3, 1, 2) / 127.5 - 1).latent_dist.mode()
    assert torch.allclose(latents[0, :, 0].float(), back[0], atol=0.05)


def test_batches_are_a_function_of_the_step_and_take_all_lengths(pipe: TextToVideoPipeline, clips: ClipFolder) -> None:
    batches = DomainBatches(material(pipe, clips), RECIPE)
    shapes = [tuple(batches(step)["latents"].shape[i] for i in (0, 2)) for step in range(6)]
    assert shapes == [(16, 1), (4, 4), (16, 1), (1, 16), (16, 1), (2, 8)]
    assert batches(1)["fps"].tolist() == pytest.approx([8 / 5] * 4)
    assert all(torch.equal(value, batches(5)[name]) for name, value in batches(5).items())


def test_some_captions_are_empty_and_some_frames_are_given(pipe: TextToVideoPipeline, clips: ClipFolder) -> None:
    everything = DomainBatches(material(pipe, clips), replace(RECIPE, caption_dropout=1.0, given_share=1.0, clip_lengths=(4,)))
    empty = everything.material.texts.context[0]
    assert all(torch.equal(row, empty) for row in everything(0)["context"])
    assert any(everything(step)["given"].any() for step in range(5))
    nothing = DomainBatches(everything.material, replace(RECIPE, caption_dropout=0.0, given_share=0.0, clip_lengths=(4,)))
    assert not any(nothing(step)["given"].any() for step in range(5))


def test_some_clips_are_seen_retouched_and_asked_for_as_they_are(pipe: TextToVideoPipeline, clips: ClipFolder) -> None:
    plain = material(pipe, clips)
    assert torch.equal(DomainBatches(plain, RECIPE)(1)["seen"], DomainBatches(plain, RECIPE)(1)["latents"])
    plain.clips.retouched = encode_retouched(pipe, clips.pixels, seed=0)
    always, never = (DomainBatches(plain, replace(RECIPE, retouched_share=share))(1) for share in (1.0, 0.0))
    assert (always["seen"] != always["latents"]).flatten(1).any(1).all()
    assert torch.equal(never["seen"], never["latents"])
    assert torch.equal(always["latents"], never["latents"])


def test_a_training_goes_on_from_another_model_of_the_same_size(pipe: TextToVideoPipeline, clips: ClipFolder, tmp_path: Path) -> None:
    first = train_on_clips(pipe, clips, tmp_path / "first", RECIPE)
    about = DomainModel(name="second", title="Second", folder=tmp_path / "second")
    second = train_domain_model(pipe, material(pipe, clips), about, RECIPE, init=tmp_path / "first", should_stop=lambda: True)
    one, other = (load_domain_model(model.folder).state_dict() for model in (first, second))
    assert all(torch.allclose(one[name], other[name]) for name in one)
    with pytest.raises(IncompatibleModels, match="parameters in another arrangement"):
        train_domain_model(pipe, material(pipe, clips), about, replace(RECIPE, share=0.2), init=tmp_path / "first")


def test_clips_shorter_than_every_length_are_still_learned_from(pipe: TextToVideoPipeline, clips: ClipFolder) -> None:
    short = replace(clips, pixels=clips.pixels[:, :3])
    batches = DomainBatches(material(pipe, short), replace(RECIPE, clip_lengths=(8, 16)))
    assert batches(0)["latents"].shape[2] == 3


def test_a_training_learns_and_leaves_a_model_that_fits_its_base(pipe: TextToVideoPipeline, clips: ClipFolder, tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = replace(RECIPE, minutes=5)
    model = train_on_clips(
        pipe, clips, tmp_path / "stars", recipe, on_step=lambda _, loss: losses.append(loss), should_stop=lambda: len(losses) >= 48
    )
    assert np.mean(losses[-12:]) < 0.9 * np.mean(losses[:12])
    check_fits(read_domain_model(model.folder), pipe)
    assert model.description == "Learned from 4 clips in 5 minutes."
    assert load_domain_model(model.folder).config.out_channels == 24


def test_a_stopped_training_is_kept_and_gone_on_with(pipe: TextToVideoPipeline, clips: ClipFolder, tmp_path: Path) -> None:
    steps: list[int] = []
    folder = tmp_path / "stars"

    def some(minutes: float, count: int) -> None:
        recipe = replace(RECIPE, minutes=minutes)
        train_on_clips(pipe, clips, folder, recipe, on_step=lambda p, _: steps.append(p.step), should_stop=lambda: len(steps) >= count)

    some(5, 3)
    assert load_domain_model(folder) is not None
    assert not is_finished(folder)
    some(5, 5)
    assert steps == [1, 2, 3, 4, 5]
    some(1e-6, 9)
    assert steps == [1, 2, 3, 4, 5]
    assert is_finished(folder)


def test_samples_are_shown_while_it_learns(pipe: TextToVideoPipeline, clips: ClipFolder, tmp_path: Path) -> None:
    shown: list[tuple[np.ndarray, list[str]]] = []
    recipe = replace(RECIPE, minutes=5, sample_every_s=0.0)
    train_on_clips(
        pipe,
        clips,
        tmp_path / "stars",
        recipe,
        on_sample=lambda pixels, prompts, _: shown.append((pixels, prompts)),
        should_stop=lambda: bool(shown),
    )
    assert shown[0][0].shape == (2, 16, 64, 64, 3)
    assert shown[0][0].dtype == np.uint8
    assert shown[0][1] == ["a red star", "a star"]


def test_the_base_is_as_it_was(pipe: TextToVideoPipeline, clips: ClipFolder, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in pipe.unet.state_dict().items()}
    train_on_clips(pipe, clips, tmp_path / "stars", RECIPE)
    assert all(torch.equal(value, before[name]) for name, value in pipe.unet.state_dict().items())


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="-1 minutes"):
        DomainRecipe(minutes=-1)


def test_the_command_line_goes_from_a_folder_of_clips_to_a_domain_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, folder = save_tiny_model(tmp_path / "tiny"), tmp_path / "clips"
    folder.mkdir()
    write_mp4(render(STAR, np.random.default_rng(0)), 8, folder / "a.mp4", "", {})
    command = ["--base", str(base), "--clips", str(folder), "--out", str(tmp_path / "mine"), "--minutes", "0.002", "--share", "0.5"]
    assert main(command) == 1
    assert "has no caption" in capsys.readouterr().err
    assert main([*command, "--caption", "a red star, neon"]) == 0
    model = read_domain_model(tmp_path / "mine")
    assert (model.name, model.base, model.caption) == ("mine", "tiny", "a red star, neon")
