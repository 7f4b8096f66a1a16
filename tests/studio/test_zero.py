"""Jobs on a GPU that is lent by the call: made in another process, seen, stopped and kept here. Under a stand-in for `spaces`."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipelines.errors import JobError
from studio.engine import Engine
from studio.events import Done, Failed, Step, Stopped
from studio.gpu_seconds import BASE, seconds
from studio.media import read_frames
from studio.requests import Axis, ComparisonRequest, TextToVideoRequest
from studio.settings import Settings
from studio.wires import Home
from studio.zero import on_zero_gpu

STAND_INS = Path(__file__).resolve().parent.parent / "stand_ins"
REQUEST = TextToVideoRequest(prompt="a red ball", frames=4, steps=3)


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package, as on a Space with ZeroGPU."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.syspath_prepend(str(STAND_INS))
    yield importlib.import_module("spaces")
    del sys.modules["spaces"]


@pytest.fixture
def engine(spaces: ModuleType, settings: Settings) -> Iterator[Engine]:
    engine = Engine(settings)
    assert engine.lent
    engine.lent.load()
    engine.start()
    yield engine
    engine.close()


def run(engine: Engine, request: Any = REQUEST) -> list[Any]:
    return list(engine.watch(engine.submit(request), timeout=120))


def test_a_gpu_is_lent_only_where_the_space_says_so(spaces: ModuleType) -> None:
    assert on_zero_gpu({"SPACES_ZERO_GPU": "true"})
    assert not on_zero_gpu({})
    assert not on_zero_gpu({"SPACES_ZERO_GPU": "false"})


def test_a_clip_is_made_there_and_kept_here_with_its_steps_and_previews_seen(engine: Engine, spaces: ModuleType) -> None:
    *events, done = run(engine)
    assert isinstance(done, Done)
    steps = [event for event in events if isinstance(event, Step)]
    assert steps[-1].index == 3
    assert any(step.preview and step.preview.exists() for step in steps)
    assert engine.history.get(done.clips[0].id).path.exists()
    assert len(spaces.calls) == 1
    assert BASE <= spaces.calls[0].seconds <= 120
    assert spaces.calls[0].size == "large"


def test_nothing_in_memory_comes_back_and_the_model_is_loaded_once_here(engine: Engine) -> None:
    loads = engine.pool.loads
    assert loads == 1
    run(engine)
    run(engine)
    assert engine.pool.loads == loads
    assert "STAND_IN_GPU" not in os.environ


def test_the_same_seed_gives_the_same_clip_as_without_a_lender(engine: Engine) -> None:
    lent = run(engine)[-1].clips[0]
    engine.lent = None
    own = run(engine)[-1].clips[0]
    assert (read_frames(lent.path) == read_frames(own.path)).all()


def test_a_job_stops_within_a_step_and_keeps_what_was_finished(engine: Engine) -> None:
    job = engine.submit(REQUEST.model_copy(update={"steps": 40, "variations": 3}))
    for event in engine.watch(job, timeout=120):
        if isinstance(event, Step) and event.variation == 2:
            engine.stop(job)
    stopped = engine.status(job)
    assert isinstance(stopped, Stopped)
    assert len(stopped.clips) == 1
    assert isinstance(run(engine)[-1], Done)


def test_an_error_there_is_told_here_in_its_own_words(engine: Engine, settings: Settings) -> None:
    blocked = settings.data_dir / "clips"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where the folder of clips should be")
    failed = run(engine)[-1]
    assert isinstance(failed, Failed)
    assert str(blocked) in failed.error
    blocked.unlink()
    assert isinstance(run(engine)[-1], Done)


def test_a_wall_reads_and_writes_its_cells_from_there(engine: Engine) -> None:
    wall = ComparisonRequest(base=REQUEST, columns=Axis(field="seed", values=(1, 2)))
    done = run(engine, wall)[-1]
    assert isinstance(done, Done)
    assert len(done.clips) == 2
    job = engine.recent_jobs("comparison")[0]
    assert [cell.index for cell in engine.walls.cells(job)] == [0, 1]


def test_time_that_is_over_or_not_given_is_said_and_the_queue_goes_on(
    engine: Engine, spaces: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv(spaces.DIE, "1")
        failed = run(engine)[-1]
    assert isinstance(failed, Failed)
    assert failed.error.startswith("The GPU was not lent for this job, or not for long enough (GPU task aborted).")
    monkeypatch.setattr(spaces, "MOST_SECONDS", 1)
    assert "larger than the maximum allowed" in run(engine)[-1].error
    monkeypatch.setattr(spaces, "MOST_SECONDS", 120)
    assert isinstance(run(engine)[-1], Done)


def test_the_time_is_taken_from_the_share_of_whoever_asked(engine: Engine, spaces: ModuleType) -> None:
    def ask(name: str) -> None:
        spaces.visitor.set(name)
        engine.submit(REQUEST)

    for name in ("ada", "grace"):
        thread = threading.Thread(target=ask, args=(name,))
        thread.start()
        thread.join()
    run(engine)
    assert [call.visitor for call in spaces.calls[-3:]] == ["ada", "grace", "nobody"]


def test_seconds_grow_with_steps_frames_and_variations_up_to_what_is_allowed(engine: Engine) -> None:
    def of(**changes: Any) -> int:
        return seconds(REQUEST.model_copy(update=changes), engine.bench)

    assert of() < of(steps=100, frames=16) < of(steps=100, frames=16, variations=4)
    assert of(steps=200, frames=24, variations=64) == engine.settings.gpu_seconds


def test_an_answer_that_is_an_error_is_raised_at_the_other_end() -> None:
    def refuse() -> None:
        raise JobError("There is no video.", "Make one.")

    with Home({"get": refuse, "add": lambda *, a: a + 1}) as home, pickle.loads(pickle.dumps(home.wire)).connected() as ask:
        assert ask("add", a=1) == 2
        with pytest.raises(JobError, match=r"There is no video\. Make one\."):
            ask("get")


def test_a_home_that_nobody_came_to_closes() -> None:
    with Home({}):
        pass
    assert not any(thread.name == "studio-wire" for thread in threading.enumerate())
