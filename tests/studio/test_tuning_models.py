"""One-shot tuning of any model that is here: tiny Stable Diffusion 1.x and 2.x directories beside the studio's own model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import StudioError
from pipelines.memory import GIB
from studio import media, tuning
from studio.bases import signature_of
from studio.engine import Done, Engine, Failed, Stopped
from studio.events import Learning
from studio.gpu_seconds import BASE, seconds
from studio.history import ClipRecord
from studio.requests import EditsRequest, TextToVideoRequest, TuningRequest
from studio.settings import Settings
from studio.tabs.endpoints import edits_of, tuning_of
from studio.tuned_models import ABOUT, TunedRecord
from tests.pipelines.directories import saved, stable_diffusion
from tests.studio.models import events

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
CAPTION = "a red square moving right"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SD 1.x, an SD 2.x with its text encoder and autoencoder, and a Wan."""
    root = tmp_path_factory.mktemp("folders")
    shutil.copytree(saved("stable-diffusion"), root / "sd1")
    stable_diffusion(root / "sd2", second=True)
    for part in ("text_encoder", "vae"):
        shutil.copytree(root / "sd1" / part, root / "sd2" / part, dirs_exist_ok=True)
    shutil.copytree(saved("wan"), root / "wan")
    return root


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "noise.mp4"
    media.write_mp4(np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8), 10, path, "", {})
    return path


@pytest.fixture(scope="module")
def studio(folders: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("studio") / "outputs"
    engine = Engine(Settings(data_dir=data, model_dir=tiny_model, device="cpu", warm_up=False))
    for name in ("sd1", "sd2", "wan"):
        engine.models.add(str(folders / name))
    engine.start()
    yield engine
    engine.close()


def request(clip: Path, model: str, **changes: Any) -> TuningRequest:
    values = {"name": f"On {model or 'own'}", "clip": str(clip), "caption": CAPTION, "frames": 3, "steps": 2, "model": model}
    return TuningRequest(**values | changes)


def tuned(engine: Engine, wanted: TuningRequest) -> TunedRecord:
    done = events(engine, wanted)[-1]
    assert isinstance(done, Done), done
    return next(record for record in engine.tuned_models if record.title == wanted.name)


def edit(record: TunedRecord, **changes: Any) -> TextToVideoRequest:
    values = {"prompt": "a blue square moving right", "tuned_model": record.name, "frames": record.frames, "fps": record.fps, "steps": 2}
    return TextToVideoRequest(**values | changes)


def made(engine: Engine, wanted: TextToVideoRequest) -> ClipRecord:
    done = events(engine, wanted)[-1]
    assert isinstance(done, Done), done
    return done.clips[0]


def refused(engine: Engine, wanted: TuningRequest | TextToVideoRequest) -> str:
    with pytest.raises(StudioError) as refusal:
        engine.submit(wanted)
    return str(refusal.value)


@pytest.fixture(scope="module")
def record(studio: Engine, clip: Path) -> TunedRecord:
    """Of the SD 1.x."""
    return tuned(studio, request(clip, "sd1", name="Shared"))


# -- Tuned, edited, evicted, edited again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["sd1", "sd2"])
def test_a_chosen_model_is_tuned_and_edits_are_made_with_it_whatever_is_loaded(
    studio: Engine, folders: Path, clip: Path, model: str
) -> None:
    own = studio.chosen(model).size(0, 0)
    record = tuned(studio, request(clip, model))
    assert (record.base_name, record.signature) == (model, signature_of(folders / model))
    assert (record.width, record.height, record.checkpoints) == (*own, (1, 2))
    first = made(studio, edit(record))
    assert (first.width, first.height, media.read_metadata(first.path)["model"]) == (*own, model)
    studio.pool.clear()
    again = made(studio, edit(record, model=model))
    assert (media.read_frames(first.path) == media.read_frames(again.path)).all()


def test_a_clip_and_a_tuning_share_one_loaded_model(studio: Engine, record: TunedRecord) -> None:
    made(studio, edit(record))
    before = studio.pool.loads
    made(studio, TextToVideoRequest(prompt="a", model="sd1", frames=2, steps=1, seed=5))
    made(studio, edit(record, seed=5))
    assert studio.pool.loads == before


def test_image_models_share_an_autoencoder_and_a_text_encoder_that_are_the_same(studio: Engine, folders: Path) -> None:
    with studio.pool.borrow_all(folders / "sd1", folders / "sd2") as (first, second):
        assert first.pipe.text_encoder is second.pipe.text_encoder
        assert first.pipe.vae is second.pipe.vae
        assert first.pipe.unet is not second.pipe.unet


def test_it_is_stopped_kept_and_goes_on(studio: Engine, clip: Path) -> None:
    job_id = studio.submit(request(clip, "sd1", name="Stopped", steps=400))
    next(event for event in studio.watch(job_id, timeout=60) if isinstance(event, Learning) and event.index > 1)
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=60)
    assert isinstance(last, Stopped), last
    kept = studio.tuned_models.get("stopped")
    again = studio.rerun(job_id)
    further = next(event for event in studio.watch(again, timeout=60) if isinstance(event, Learning) and event.index)
    studio.stop(again)
    list(studio.watch(again, timeout=60))
    assert further.index > kept.steps > 1
    assert made(studio, edit(studio.tuned_models.get("stopped"))).frames == 3


def test_a_clip_is_learned_and_edited_in_another_size(studio: Engine, clip: Path) -> None:
    unit = studio.chosen("sd1").capabilities.size_unit
    record = tuned(studio, request(clip, "sd1", name="Wide", width=3 * unit, height=unit))
    video = made(studio, edit(record))
    assert (record.width, record.height) == (video.width, video.height) == (3 * unit, unit)
    assert refused(studio, request(clip, "sd1", name="Odd", width=unit + 1)).startswith(f"The size is {unit + 1} x ")
    huge = request(clip, "sd1", name="Huge", frames=5, width=4096, height=4096)
    assert refused(studio, huge).startswith("5 frames of 4096 x 4096 pixels are too many to be learned at once.")


# -- Its base ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(record: TunedRecord, studio: Engine, tmp_path: Path, tiny_model: Path) -> Iterator[Engine]:
    """Another studio, which has the file of the tuned model, but not its base."""
    engine = Engine(Settings(data_dir=tmp_path / "outputs", model_dir=tiny_model, device="cpu", warm_up=False))
    engine.add_tuned_model(studio.tuned_models.export(record.name, tmp_path))
    engine.start()
    yield engine
    engine.close()


def test_a_shared_tuned_model_finds_its_base_under_another_name(
    elsewhere: Engine, studio: Engine, folders: Path, record: TunedRecord, tmp_path: Path
) -> None:
    added = next(iter(elsewhere.tuned_models))
    sentence = "The tuned model 'Shared' belongs to the model 'sd1', which is not here. Add it in the tab of models,"
    assert refused(elsewhere, edit(added)).startswith(sentence)
    assert elsewhere.bench.bases.told(added)[0] == "sd1"
    elsewhere.models.add(str(shutil.copytree(folders / "sd1", tmp_path / "renamed")))
    assert elsewhere.bench.bases.told(added) == ("renamed", "")
    theirs, ours = (media.read_frames(made(engine, edit(each)).path) for engine, each in ((elsewhere, added), (studio, record)))
    assert (theirs == ours).all()


def test_a_base_with_other_weights_is_refused_by_the_reason(elsewhere: Engine, folders: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folders / "sd1", tmp_path / "sd1")
    shutil.rmtree(changed / "unet")
    from tests.tiny import tiny_image_unet

    unet = tiny_image_unet()
    for parameter in unet.parameters():
        parameter.data.mul_(1.5)
    unet.save_pretrained(changed / "unet")
    elsewhere.models.add(str(changed))
    assert "belongs to the model 'sd1', which has other weights now." in refused(elsewhere, edit(next(iter(elsewhere.tuned_models))))


def test_what_an_older_version_kept_is_edited_still(studio: Engine, record: TunedRecord, clip: Path) -> None:
    own = tuned(studio, request(clip, "", name="Own"))
    for each in (record, own):
        file = each.folder / ABOUT
        about = json.loads(file.read_text())
        del about["signature"], about["request"]["model"]
        file.write_text(json.dumps(about))
        older = studio.tuned_models.get(each.name)
        try:
            assert older.signature == ""
            assert made(studio, edit(older, seed=3)).frames == 3
        finally:
            studio.tuned_models.keep(each)


def test_an_unfinished_tuning_of_an_older_version_goes_on(tmp_path: Path, clip: Path) -> None:
    wanted = request(clip, "")
    written = json.loads(wanted.model_dump_json())
    for name in ("model", "width", "height"):
        del written[name]
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "request.json").write_text(json.dumps(written))
    assert tuning.is_same(wanted, tmp_path)
    assert not tuning.is_same(request(clip, "sd1"), tmp_path)


def test_by_api_a_length_that_is_not_given_is_the_model_s_and_edits_find_their_base(studio: Engine, record: TunedRecord) -> None:
    clip = made(studio, edit(record))
    asked = tuning_of(studio, {"id": clip.id}, CAPTION, {"model": "sd2"})
    assert isinstance(asked, TuningRequest)
    assert (asked.model, asked.frames, asked.steps) == ("sd2", studio.chosen("sd2").defaults.num_frames, 0)
    wall = edits_of(studio, record.name, ["red -> blue"], {"seed": 4})
    assert isinstance(wall, EditsRequest)
    base = wall.base
    assert (base.model, base.guidance_scale, base.steps, base.seed, base.frames) == ("sd1", 12.5, 50, 4, record.frames)


# -- Refused ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("wan", "The model 'wan' cannot be tuned on a clip. One-shot tuning takes image models"),
        ("nowhere", "There is no model 'nowhere' here."),
    ],
)
def test_a_model_that_cannot_be_tuned_is_refused_with_the_reason(studio: Engine, clip: Path, model: str, sentence: str) -> None:
    assert refused(studio, request(clip, model)).startswith(sentence)


def test_more_frames_than_the_model_makes_are_refused(studio: Engine, clip: Path) -> None:
    assert refused(studio, request(clip, "sd1", name="Long", frames=65)).startswith("65 frames were asked for. This model makes 1 to 64")


def test_an_edit_with_another_model_or_a_lora_is_refused(studio: Engine, record: TunedRecord) -> None:
    said = refused(studio, edit(record, model="sd2"))
    assert said.startswith("The tuned model 'Shared' belongs to 'sd1', and the model 'sd2' was chosen. Leave the model out")
    assert "LoRA" in refused(studio, edit(record, lora="any.safetensors"))


# -- Memory and time ----------------------------------------------------------------------------------------------------------


def test_a_tuning_without_room_is_refused_with_the_numbers_and_with_little_it_says_what_was_done(
    studio: Engine, clip: Path, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.memory import AS_IT_IS, Job
    from pipelines.tuning_memory import PLAIN, TWICE_COMPUTED, Learner, tuning_bytes

    learner, job = Learner.of(folders / "sd1", replace(AS_IT_IS, bytes=4)), Job(*studio.chosen("sd1").size(0, 0), 3)
    enough = (tuning_bytes(learner, job, PLAIN) + tuning_bytes(learner, job, TWICE_COMPUTED)) // 2
    monkeypatch.setattr(studio.pool, "available", lambda device, held: GIB // 100)
    failed = events(studio, request(clip, "sd1", name="Large"))[-1]
    assert isinstance(failed, Failed)
    assert failed.error.startswith("Learning 3 frames of 16 x 16 needs 0.7 GiB at least, and the device has 0.0 GiB.")
    monkeypatch.setattr(studio.pool, "available", lambda device, held: enough)
    *learning, done = events(studio, request(clip, "sd1", name="Little"))
    assert isinstance(done, Done), done
    assert "activations computed twice, for want of memory" in {note for e in learning if isinstance(e, Learning) for note in e.notes}


def test_time_on_a_lent_gpu_is_asked_for_by_the_model_that_an_edit_is_made_with(studio: Engine, record: TunedRecord, clip: Path) -> None:
    assert seconds(edit(record), studio.bench) == seconds(edit(record, model="sd1"), studio.bench) > BASE
    assert seconds(request(clip, "sd1", steps=0), studio.bench) == seconds(request(clip, "sd1", steps=500), studio.bench)
