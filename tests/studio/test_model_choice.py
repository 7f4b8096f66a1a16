"""Which model a request means: names, LoRAs, several models in one studio, and what is refused, one sentence each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import InvalidInput, StudioError, UnsupportedFrames
from studio.engine import Done, Engine, Failed
from studio.media import read_frames, read_metadata
from studio.requests import Axis, ComparisonRequest, TextToVideoRequest
from studio.settings import Settings
from tests.pipelines.directories import save
from tests.studio.models import events, text_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
OWN = TextToVideoRequest(prompt="a red ball", frames=4, steps=2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wan, an AnimateDiff, and another Wan of the same name elsewhere."""
    root = tmp_path_factory.mktemp("folders")
    save("wan", root / "wan")
    save("animatediff", root / "animated")
    shutil.copytree(root / "wan", root / "other" / "wan")
    return root


@pytest.fixture(scope="module")
def studio(folders: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("studio") / "outputs"
    engine = Engine(Settings(data_dir=data, model_dir=tiny_model, device="cpu", preview_every=0, warm_up=False))
    for name in ("wan", "animated", "other/wan"):
        engine.models.add(str(folders / name))
    engine.start()
    yield engine
    engine.close()


def lora(path: Path, width: int = 24, layer: str = "transformer.blocks.0.attn1.to_q") -> Path:
    torch.manual_seed(3)
    save_file({f"{layer}.lora_A.weight": torch.randn(4, width), f"{layer}.lora_B.weight": torch.randn(width, 4)}, path)
    return path


def refused(engine: Engine, request: TextToVideoRequest) -> str:
    with pytest.raises(StudioError) as refusal:
        engine.submit(request)
    return str(refusal.value)


# -- Names --------------------------------------------------------------------------------------------------------------


def test_models_are_named_by_their_folders_and_by_more_of_the_path_where_two_are_the_same(studio: Engine, folders: Path) -> None:
    assert list(studio.bench.choosing.named()) == ["", "wan", "animated", "other/wan"]
    assert studio.chosen("wan").path == folders / "wan"
    assert studio.chosen("other/wan").path == folders / "other" / "wan"


def test_a_longer_end_of_the_path_names_it_as_well(studio: Engine, folders: Path) -> None:
    assert studio.chosen(f"{folders.name}/animated").path == folders / "animated"


def test_requests_without_a_model_mean_the_studio_s_own(studio: Engine) -> None:
    assert studio.chosen().path == studio.settings.model_dir
    assert studio.chosen().settings() == {}
    assert "model" not in TextToVideoRequest.model_validate_json('{"prompt": "a"}').model_dump(exclude_defaults=True)


def test_two_models_take_turns_and_each_is_loaded_once(studio: Engine) -> None:
    for request in (OWN, text_request(studio, "wan", "wan"), OWN, text_request(studio, "wan", "wan", seed=1)):
        done = events(studio, request)[-1]
        assert isinstance(done, Done), done
    assert {each.name for each in studio.resident()} >= {"tiny", "wan"}
    assert studio.pool.loads == len(studio.resident())


# -- What is refused before it is queued ----------------------------------------------------------------------------------


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": "nowhere"}, "There is no model 'nowhere' here. Choose another, or add it in the tab of models."),
    ({"frames": 6}, "6 frames were asked for. The nearest that this model makes is 5."),
    ({"width": 24}, "The size is 24 x 16 pixels. Width and height must be multiples of 16."),
    ({"sampler": "ddim"}, "The sampler is 'ddim'. It is sampled the way it was trained for."),
    ({"domain_model": "sketch"}, "The domain model 'sketch' was chosen for 'wan'. Domain models belong to the studio's own model"),
    ({"lora": "nowhere.safetensors"}, "There is no LoRA 'nowhere.safetensors' here."),
    ({"lora": "animated"}, "'animated' is no LoRA."),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_what_a_model_cannot_do_is_refused_with_its_own_reason(studio: Engine, changes: dict[str, Any], sentence: str) -> None:
    request = text_request(studio, "wan", "wan").model_copy(update=changes)
    assert refused(studio, request).startswith(sentence)


def test_a_sampler_that_injects_noise_is_refused_where_diffusers_samples(studio: Engine) -> None:
    assert "injects noise" in refused(studio, text_request(studio, "animated", "animatediff", sampler="ddpm"))
    assert isinstance(events(studio, text_request(studio, "animated", "animatediff", sampler="dpm++"))[-1], Done)


def test_the_studio_s_own_model_keeps_its_limits(studio: Engine) -> None:
    with pytest.raises(UnsupportedFrames, match="1 to 24"):
        studio.submit(OWN.model_copy(update={"frames": 81}))
    with pytest.raises(InvalidInput, match="loads no LoRAs"):
        studio.submit(OWN.model_copy(update={"lora": "any.safetensors"}))


# -- LoRAs ----------------------------------------------------------------------------------------------------------------


def test_a_lora_changes_the_clip_by_its_strength_and_leaves_no_trace(studio: Engine, tmp_path: Path) -> None:
    studio.models.add_lora(lora(tmp_path / "look.safetensors"))
    plain = text_request(studio, "wan", "wan", seed=11)
    with_lora = plain.model_copy(update={"lora": "look.safetensors"})
    clips = []
    for request in (plain, with_lora, with_lora.model_copy(update={"lora_strength": 0.0}), plain):
        done = events(studio, request)[-1]
        assert isinstance(done, Done), done
        clips.append(done.clips[0])
    before, changed, nothing, after = (read_frames(clip.path) for clip in clips)
    assert (before != changed).any()
    assert (before == nothing).all()
    assert (before == after).all()
    assert "lora/look.safetensors" in read_metadata(clips[1].path)["weights"]


def test_a_lora_of_another_base_is_refused_with_the_reason(studio: Engine, tmp_path: Path) -> None:
    studio.models.add_lora(lora(tmp_path / "foreign.safetensors", 999))
    said = refused(studio, text_request(studio, "wan", "wan", lora="foreign.safetensors"))
    assert said.startswith("The LoRA 'foreign.safetensors' is not for 'wan'. It changes layers of 999 inputs")


def test_a_lora_whose_layers_the_model_does_not_have_fails_its_job_and_the_queue_goes_on(studio: Engine, tmp_path: Path) -> None:
    studio.models.add_lora(lora(tmp_path / "misfit.safetensors", layer="transformer.blocks.7.nothing.to_q"))
    failed = events(studio, text_request(studio, "wan", "wan", lora="misfit.safetensors"))[-1]
    assert isinstance(failed, Failed)
    assert failed.error.startswith("The LoRA 'misfit.safetensors'")
    assert failed.error.endswith("Choose one that was trained on it.")
    assert isinstance(events(studio, text_request(studio, "wan", "wan"))[-1], Done)


# -- What goes wrong later ------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(studio: Engine, folders: Path, tmp_path: Path) -> Path:
    """A model of its own that a test may harm."""
    copy = shutil.copytree(folders / "wan", tmp_path / "harmed")
    studio.models.add(str(copy))
    yield copy
    studio.models.remove(str(copy))


def test_a_damaged_model_is_refused_by_the_file(studio: Engine, copied: Path) -> None:
    request = text_request(studio, "harmed", "wan")
    weights = next((copied / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:500])
    assert "is not a whole safetensors file" in refused(studio, request)


def test_a_pickle_in_the_place_of_weights_is_refused(studio: Engine, copied: Path) -> None:
    request = text_request(studio, "harmed", "wan")
    weights = next((copied / "transformer").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    said = refused(studio, request)
    assert "pickle" in said


def test_a_model_that_is_deleted_while_its_job_waits_fails_it_in_words_and_the_queue_goes_on(studio: Engine, copied: Path) -> None:
    blocking = studio.submit(OWN.model_copy(update={"steps": 60}))
    waiting = studio.submit(text_request(studio, "harmed", "wan"))
    after = studio.submit(OWN)
    shutil.rmtree(copied)
    studio.stop(blocking)
    *_, failed = studio.watch(waiting, timeout=60)
    assert isinstance(failed, Failed)
    assert "There is no model in" in failed.error
    *_, done = studio.watch(after, timeout=60)
    assert isinstance(done, Done)


def test_a_half_downloaded_model_says_so(studio: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.model_here import ModelHere

    half = ModelHere(Path("/nowhere/half"), "Half", "folder", 1, total=2)
    monkeypatch.setattr(studio.models, "here", lambda: [half])
    assert refused(studio, OWN.model_copy(update={"model": "half"})).startswith("The model 'Half' is only half here.")


# -- Walls ----------------------------------------------------------------------------------------------------------------


def test_a_wall_compares_models(studio: Engine) -> None:
    base = text_request(studio, "wan", "wan", seed=21)
    wall = ComparisonRequest(base=base, columns=Axis(field="seed", values=(21, 22)), rows=Axis(field="model", values=("wan", "other/wan")))
    done = events(studio, wall)[-1]
    assert isinstance(done, Done), done
    assert [(clip.request.model, clip.seed) for clip in done.clips] == [("wan", 21), ("wan", 22), ("other/wan", 21), ("other/wan", 22)]
    assert (read_frames(done.clips[0].path) == read_frames(done.clips[2].path)).all()  # they have the same weights


def test_a_wall_with_a_model_that_is_not_here_is_refused_at_once(studio: Engine) -> None:
    base = text_request(studio, "wan", "wan")
    with pytest.raises(StudioError, match="There is no model 'nowhere' here"):
        studio.submit(ComparisonRequest(base=base, columns=Axis(field="model", values=("wan", "nowhere"))))
