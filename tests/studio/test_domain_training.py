"""Training jobs on the tiny real model, for seconds: told, stopped, gone on with, used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.domain_models import read_domain_model
from pipelines.errors import InvalidInput
from studio.domain_training import is_finished, keep_clips
from studio.engine import Done, Engine, Event, Stopped
from studio.events import Learning
from studio.fields import slug
from studio.learning import past_losses, thinned
from studio.media import write_mp4
from studio.requests import DomainTrainingRequest, TextToVideoRequest, parse_request

SECOND = 1 / 60  # in minutes


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of squares that move."""
    folder = tmp_path_factory.mktemp("clips")
    for n in range(3):
        frames = np.full((16, 64, 64, 3), 30 * n, np.uint8)
        for i in range(16):
            frames[i, 20:40, i : i + 20] = (200, 60, 60)
        write_mp4(frames, 8, folder / f"{n}.mp4", "", {})
    return folder


def request(folder: Path, **changes: object) -> DomainTrainingRequest:
    values = {"name": "My squares", "clips": str(folder), "caption": "a red square", "minutes": 3 * SECOND, "share": 0.4}
    return DomainTrainingRequest(**{**values, **changes})  # type: ignore[arg-type]


def run(engine: Engine, wanted: DomainTrainingRequest) -> list[Event]:
    return list(engine.watch(engine.submit(wanted), timeout=120))


def test_a_training_is_told_and_gives_a_domain_model_that_can_be_used(engine: Engine, clips: Path) -> None:
    events = run(engine, request(clips))
    learning = [event for event in events if isinstance(event, Learning) and event.index]
    assert isinstance(events[-1], Done), events[-1]
    assert learning[-1].losses[-1][1] > 0
    assert learning[-1].progress > learning[0].progress
    assert [(model.name, model.title, model.caption) for model in engine.domain_models()] == [("my-squares", "My squares", "a red square")]
    clip = TextToVideoRequest(prompt="a red square", frames=4, steps=2, domain_model="my-squares", prior_strength=0)
    *_, made = engine.watch(engine.submit(clip), timeout=60)
    assert isinstance(made, Done), made


def test_stop_keeps_what_was_learned_and_the_same_request_goes_on(engine: Engine, clips: Path) -> None:
    job_id = engine.submit(request(clips, minutes=5))
    before = next(event for event in engine.watch(job_id, timeout=60) if isinstance(event, Learning) and event.index > 2)
    engine.stop(job_id)
    *_, last = engine.watch(job_id, timeout=60)
    folder = engine.settings.data_dir / "domain_models" / "my-squares"
    assert isinstance(last, Stopped), last
    assert read_domain_model(folder).parameters > 0
    assert not is_finished(folder)
    again = engine.rerun(job_id)
    after = next(event for event in engine.watch(again, timeout=60) if isinstance(event, Learning) and event.index)
    engine.stop(again)
    list(engine.watch(again, timeout=60))
    assert after.index > before.index


def test_the_prior_is_as_it_was_after_a_training(engine: Engine, clips: Path) -> None:
    from studio.media import read_frames

    def clip() -> np.ndarray:
        *_, done = engine.watch(engine.submit(TextToVideoRequest(prompt="a", frames=4, steps=2)), timeout=60)
        assert isinstance(done, Done)
        return read_frames(done.clips[0].path)

    before = clip()
    run(engine, request(clips, minutes=SECOND / 10))
    assert (clip() == before).all()


def test_a_name_that_is_taken_is_refused(engine: Engine, clips: Path) -> None:
    run(engine, request(clips, minutes=SECOND / 10))
    with pytest.raises(InvalidInput, match=r"There is a domain model 'my-squares' already\. Choose another name\."):
        engine.submit(request(clips))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"clips": "/nowhere"}, "There is no folder '/nowhere'"),
        ({"caption": ""}, "'0.mp4' has no caption"),
    ],
)
def test_clips_that_nothing_can_be_learned_from_are_refused_at_once(
    engine: Engine, clips: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        engine.submit(request(clips, **changes))
    assert engine.queue() == []


def test_an_empty_folder_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There are no clips in"):
        engine.submit(request(tmp_path))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": ""}, "The name is empty. Say what it should be."),
        ({"name": "../up"}, "The value of name is '../up'. Use letters, digits, spaces, dots and hyphens, a letter or digit first."),
        ({"minutes": 0}, "The value of minutes is 0. It should be greater than 0."),
        ({"share": 1}, "The value of share is 1. It should be less than or equal to 0.5."),
    ],
)
def test_a_bad_value_is_named(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_request({"kind": "domain_training", "name": "a", "clips": "/clips", "caption": "a", **values})
    assert str(refusal.value) == sentence


def test_uploaded_clips_are_kept_with_their_captions(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text("a square")
    kept = keep_clips([clips / "0.mp4", tmp_path / "0.txt"], tmp_path / "data")
    assert sorted(file.name for file in kept.iterdir()) == ["0.mp4", "0.txt"]


def test_a_name_becomes_a_folder() -> None:
    assert slug("My cats, 2nd try") == "my-cats-2nd-try"


def test_losses_are_thinned_with_the_newest_kept() -> None:
    losses = [(float(i), 1.0) for i in range(1000)]
    assert len(thinned(losses)) <= 160
    assert thinned(losses)[-1] == losses[-1]
    assert thinned([]) == ()


def test_losses_of_an_interrupted_training_are_read_back(tmp_path: Path) -> None:
    (tmp_path / "loss.csv").write_text("step,seconds,loss\n50,60.0,0.5\n")
    assert past_losses(tmp_path / "loss.csv") == [(1.0, 0.5)]
    assert past_losses(tmp_path / "no.csv") == []
