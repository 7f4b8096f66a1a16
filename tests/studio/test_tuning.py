"""Tuning jobs and edits on the tiny real model: told, stopped, killed, gone on with, edited, shared, refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InvalidInput, JobError, StorageError, WeightsDamaged, WeightsMissing
from studio import media, tuned_models, tuning
from studio.engine import Done, Engine, Event, Failed, Stopped
from studio.events import Learning
from studio.history import ClipRecord
from studio.requests import RECONSTRUCTION, SOURCE, EditsRequest, Request, TextToVideoRequest, TuningRequest, parse_request
from studio.settings import Settings
from studio.tuned_models import TunedModels, TunedRecord

CAPTION = "a red square moving right"
EDIT = TextToVideoRequest(prompt="a blue square moving right", tuned_model="square", frames=4, fps=10, steps=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square that moves."""
    frames = np.full((8, 64, 64, 3), 40, np.uint8)
    for i in range(8):
        frames[i, 20:40, 3 * i : 3 * i + 20] = (200, 60, 60)
    path = tmp_path_factory.mktemp("clip") / "square.mp4"
    media.write_mp4(frames, 10, path, "", {})
    return path


def request(clip: Path, **changes: object) -> TuningRequest:
    values = {"name": "Square", "clip": str(clip), "caption": CAPTION, "frames": 4, "steps": 4}
    return TuningRequest(**{**values, **changes})  # type: ignore[arg-type]


def run(engine: Engine, wanted: Request) -> list[Event]:
    return list(engine.watch(engine.submit(wanted), timeout=120))


def tuned(engine: Engine, clip: Path, **changes: object) -> TunedRecord:
    *_, last = run(engine, request(clip, **changes))
    assert isinstance(last, Done), last
    return next(iter(engine.tuned_models))


def made(engine: Engine, wanted: TextToVideoRequest) -> ClipRecord:
    *_, last = run(engine, wanted)
    assert isinstance(last, Done), last
    return last.clips[0]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, clip: Path) -> Iterator[Engine]:
    """An engine that has tuned a model, for tests that leave it as it is."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("learned"), model_dir=tiny_model, device="cpu", warm_up=False)
    engine = Engine(settings)
    engine.start()
    tuned(engine, clip, learning_rate=1e-2)
    yield engine
    engine.close()


# -- The job ----------------------------------------------------------------------------------------------------------


def test_a_tuning_tells_its_loss_and_samples_and_keeps_checkpoints(engine: Engine, clip: Path) -> None:
    events = run(engine, request(clip, edit="a blue square moving right", steps=8))
    learning = [event for event in events if isinstance(event, Learning) and event.index]
    record = engine.tuned_models.get("square")
    assert isinstance(events[-1], Done), events[-1]
    assert learning[-1].losses[-1][1] > 0
    assert learning[-1].sample is not None
    assert (record.checkpoints, record.finished, record.frames, record.fps) == ((2, 4, 6, 8), True, 4, 10.0)
    assert record.thumbnail.exists()
    assert not (record.folder / "training").exists()


def test_stop_keeps_what_was_learned_and_the_same_request_goes_on(engine: Engine, clip: Path) -> None:
    job_id = engine.submit(request(clip, steps=400))
    next(event for event in engine.watch(job_id, timeout=60) if isinstance(event, Learning) and event.index > 2)
    engine.stop(job_id)
    *_, last = engine.watch(job_id, timeout=60)
    before = engine.tuned_models.get("square")
    assert isinstance(last, Stopped), last
    assert before.steps > 2
    assert not before.finished
    again = engine.rerun(job_id)
    after = next(event for event in engine.watch(again, timeout=60) if isinstance(event, Learning) and event.index)
    engine.stop(again)
    list(engine.watch(again, timeout=60))
    assert after.index > before.steps
    assert engine.tuned_models.get("square").created == before.created


def test_a_tuning_that_the_studio_closed_on_is_kept_and_goes_on(settings: Settings, clip: Path) -> None:
    first = Engine(settings)
    first.start()
    job_id = first.submit(request(clip, steps=400))
    next(event for event in first.watch(job_id, timeout=60) if isinstance(event, Learning) and event.index > 2)
    first.close()
    second = Engine(settings)
    try:
        kept = second.tuned_models.get("square").steps
        second.start()
        again = second.rerun(job_id)
        event = next(event for event in second.watch(again, timeout=60) if isinstance(event, Learning) and event.index)
        assert event.index > kept
    finally:
        second.close()


def test_a_full_disk_at_the_end_is_waited_out(engine: Engine, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, tries = TunedModels.keep, []

    def failing(models: TunedModels, record: TunedRecord) -> TunedRecord:
        if record.finished and len(tries) < 2:
            tries.append(record)
            raise StorageError("No space is left.", "Make space.")
        return keep(models, record)

    monkeypatch.setattr(TunedModels, "keep", failing)
    monkeypatch.setattr(tuning, "RETRY_SECONDS", 0.01)
    assert tuned(engine, clip).finished
    assert len(tries) == 2


def test_a_full_disk_that_stays_full_fails_in_a_sentence_and_keeps_earlier_checkpoints(
    engine: Engine, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = TunedModels.keep

    def failing(models: TunedModels, record: TunedRecord) -> TunedRecord:
        if record.finished:
            engine.stop(job_id)
            raise StorageError("No space is left.", "Make space.")
        return keep(models, record)

    monkeypatch.setattr(TunedModels, "keep", failing)
    monkeypatch.setattr(tuning, "RETRY_SECONDS", 0.001)
    job_id = engine.submit(request(clip))
    *_, last = engine.watch(job_id, timeout=60)
    assert isinstance(last, Failed)
    assert "No space is left. Make space." in last.error
    assert engine.tuned_models.get("square").steps == 3


def test_the_model_itself_is_as_it_was_after_a_tuning(engine: Engine, clip: Path) -> None:
    plain = TextToVideoRequest(prompt="a", frames=4, steps=2)
    before = media.read_frames(made(engine, plain).path)
    tuned(engine, clip)
    assert (media.read_frames(made(engine, plain).path) == before).all()


@pytest.mark.parametrize("options", [{"rank": 2}, {"sparse_causal": False}])
def test_options_reach_the_tuning(engine: Engine, clip: Path, options: dict[str, object]) -> None:
    record = tuned(engine, clip, **options)
    assert record.request | options == record.request


def test_the_usual_settings_are_the_method_s_own(settings: Settings) -> None:
    from pipelines.checkpoints import load_text_to_video
    from pipelines.one_shot import default_settings

    own, usual = default_settings(load_text_to_video(settings.model_dir)), tuning.usual(settings.model_dir)
    assert (usual.steps, usual.learning_rate) == (own.steps, own.learning_rate)


def test_the_time_is_estimated_from_the_last_tuning(engine: Engine, clip: Path) -> None:
    wanted = request(clip, steps=60, frames=16)
    assert tuning.estimate(wanted, engine.bench) == pytest.approx(60 * tuning.SECONDS_PER_STEP)
    record = tuned(engine, clip)
    engine.tuned_models.keep(replace(record, seconds=8.0))
    assert tuning.estimate(request(clip, steps=6, frames=4), engine.bench) == pytest.approx(12.0)


# -- Edits ------------------------------------------------------------------------------------------------------------


def test_a_wall_has_the_clip_its_reconstruction_and_every_edit(learned: Engine) -> None:
    columns = {"field": "prompt", "values": [SOURCE, RECONSTRUCTION, "red -> blue", "a green star"]}
    wall = parse_request({"kind": "edits", "base": EDIT.model_dump() | {"prompt": CAPTION}, "columns": columns})
    job_id = learned.submit(wall)
    *_, last = learned.watch(job_id, timeout=60)
    cells = learned.wall(job_id).cells
    assert isinstance(last, Done), last
    shows = [cells[i].clip.request.shows for i in range(4)]
    assert shows == ["source", "reconstruction", "edit", "edit"]
    assert [cells[i].clip.prompt for i in range(4)] == [CAPTION, CAPTION, "a blue square moving right", "a green star"]
    source = media.read_frames(cells[0].clip.path)[:, ::4, ::4].astype(int)
    assert np.abs(source - learned.tuned_models.get("square").source()).mean() < 8


def test_a_grid_varies_checkpoints_and_guidance_and_finds_the_inversion_again(learned: Engine) -> None:
    record = learned.tuned_models.get("square")
    grid = EditsRequest.model_validate(
        {
            "base": EDIT.model_dump(),
            "columns": {"field": "guidance_scale", "values": [1, 3]},
            "rows": {"field": "tuned_steps", "values": [1, 4]},
        }
    )
    *_, last = run(learned, grid)
    assert isinstance(last, Done), last
    assert len(last.clips) == 4
    assert len(list((record.folder / "inverted").iterdir())) == 2  # one a checkpoint


@pytest.mark.parametrize("change", [{"structure": 0.3}, {"base_strength": 1.0}, {"tuned_steps": 1}])
def test_what_decides_an_edit_changes_it_and_the_rest_repeats_it(learned: Engine, change: dict[str, object]) -> None:
    first, again = (media.read_frames(made(learned, EDIT).path) for _ in range(2))
    other = media.read_frames(made(learned, EDIT.model_copy(update=change)).path)
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tuned_model": "gone"}, "There is no tuned model 'gone'. Choose one of square."),
        ({"tuned_steps": 3000}, "no checkpoint after 3000 steps. Choose one of 1, 2, 3, 4."),
        ({"frames": 5}, "5 frames were asked for. The clip of the tuned model 'square' has 4."),
        ({"sampler": "unipc"}, "The sampler is 'unipc'."),
        ({"prompt": CAPTION.upper()}, "is the caption itself. Change some of its words."),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused_before_it_is_queued(learned: Engine, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        learned.submit(EDIT.model_copy(update=change))
    assert sentence in str(refusal.value)
    assert learned.queue() == []


def test_edits_without_a_tuned_model_are_refused() -> None:
    values = {"base": {"prompt": "a"}, "columns": {"field": "seed", "values": [1]}}
    with pytest.raises(InvalidInput, match="No tuned model was chosen"):
        parse_request({"kind": "edits", **values})


# -- Refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"clip": "/nowhere.mp4"}, "There is no clip '/nowhere.mp4'."),
        ({"frames": 30}, "30 frames were asked for. This model makes 1 to 24 frames."),
        ({"start": 0.6}, "gives 2 frames. Ask for at most 2 frames"),
        ({"edit": CAPTION}, "is the caption itself. Change some of its words, or leave it empty."),
    ],
)
def test_a_clip_that_cannot_be_learned_is_refused_at_once(engine: Engine, clip: Path, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        engine.submit(request(clip).model_copy(update=change))
    assert sentence in str(refusal.value)
    assert engine.queue() == []


def test_an_empty_caption_is_refused(clip: Path) -> None:
    with pytest.raises(InvalidInput, match=r"The caption is empty."):
        parse_request({"kind": "one_shot_tuning", "name": "a", "clip": str(clip), "caption": " "})


def test_a_name_that_is_taken_is_refused_and_a_free_one_is_found(learned: Engine, clip: Path) -> None:
    with pytest.raises(InvalidInput, match=r"There is a tuned model 'square' already. Choose another name."):
        learned.submit(request(clip))
    assert learned.tuned_models.free_title("Square") == "Square 2"


# -- Tuned models -----------------------------------------------------------------------------------------------------


def test_a_tuned_model_is_renamed_shared_added_and_deleted(engine: Engine, clip: Path, tmp_path: Path) -> None:
    record = tuned(engine, clip)
    engine.tuned_models.rename("square", "My best square")
    file = engine.tuned_models.export("square", tmp_path)
    added = engine.add_tuned_model(file)
    assert (file.name, added.name, added.title) == ("my-best-square.safetensors", "my-best-square", "My best square")
    assert (added.source() == record.source()).all()
    assert (
        media.read_frames(made(engine, EDIT).path)
        == media.read_frames(made(engine, EDIT.model_copy(update={"tuned_model": added.name})).path)
    ).all()
    engine.delete_tuned_model("square")
    assert [each.name for each in engine.tuned_models] == ["my-best-square"]


def test_a_tuned_model_of_another_model_is_refused(learned: Engine) -> None:
    record = learned.tuned_models.get("square")
    learned.tuned_models.keep(replace(record, signature="0123456789abcdef", base_name="grandmother"))
    try:
        with pytest.raises(WeightsMissing, match="belongs to the model 'grandmother', which is not here"):
            learned.submit(EDIT)
    finally:
        learned.tuned_models.keep(record)


def test_a_file_that_is_no_tuned_model_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsDamaged, match="is not a tuned model"):
        engine.add_tuned_model(tmp_path / "a.safetensors")
    assert list(engine.tuned_models) == []


def test_a_model_that_is_learning_is_not_deleted(engine: Engine, clip: Path) -> None:
    job_id = engine.submit(request(clip, steps=400))
    next(event for event in engine.watch(job_id, timeout=60) if isinstance(event, Learning))
    with pytest.raises(JobError, match=r"The tuned model 'square' is learning now. Stop it first."):
        engine.delete_tuned_model("square")
    engine.stop(job_id)
    list(engine.watch(job_id, timeout=60))


def test_a_folder_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / tuned_models.ABOUT).write_text("{")
    assert list(TunedModels(tmp_path)) == []
