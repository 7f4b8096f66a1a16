"""The engine on the tiny real model: observing, stopping, leaving, coming back, restarting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import JobError, StorageError
from studio.engine import Done, Engine, Event, Failed, Loading, Queued, Step, Stopped
from studio.jobs import State
from studio.requests import TextToVideoRequest
from studio.settings import Settings

SHORT = TextToVideoRequest(prompt="a red ball moving left", frames=4, steps=3, seed=7)
LONG = SHORT.model_copy(update={"steps": 200})


def run(engine: Engine, request: TextToVideoRequest = SHORT) -> Event:
    """A job's last event."""
    *_, last = engine.watch(engine.submit(request), timeout=60)
    return last


def first_step(engine: Engine, job_id: str) -> Step:
    """Waits until the job denoises."""
    return next(event for event in engine.watch(job_id, timeout=60) if isinstance(event, Step))


def wait_until_idle(engine: Engine) -> None:
    deadline = time.monotonic() + 30
    while engine.active_job():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def resting(settings: Settings) -> Iterator[Engine]:
    """An engine whose worker was not started."""
    engine = Engine(settings)
    yield engine
    engine.close()


# -- Observing --------------------------------------------------------------------------------------------------------


def test_a_job_goes_from_queued_through_loading_and_steps_to_done(engine: Engine) -> None:
    kinds = [type(event) for event in engine.watch(engine.submit(LONG.model_copy(update={"steps": 20})), timeout=60)]
    assert kinds[-1] is Done
    assert Step in kinds
    assert kinds == sorted(kinds, key=[Queued, Loading, Step, Done].index)


def test_a_finished_clip_has_its_files_and_exactly_its_request(engine: Engine) -> None:
    done = run(engine)
    assert isinstance(done, Done)
    (clip,) = done.clips
    assert (clip.path.exists(), clip.thumbnail.exists()) == (True, True)
    assert engine.restore(clip.path) == clip.request == SHORT
    assert (clip.width, clip.height, clip.frames, clip.seed) == (64, 64, 4, 7)


def test_a_file_names_versions_and_weights(engine: Engine) -> None:
    from pipelines.checkpoints import weight_hashes
    from studio.media import read_metadata

    run(engine)
    metadata = read_metadata(engine.history.clips()[0].path)
    assert metadata["weights"] == weight_hashes(engine.settings.model_dir)
    assert {"prior-studio", "torch", "diffusers", "transformers"} <= set(metadata["versions"])


def test_submitting_does_not_wait_for_the_model(settings: Settings) -> None:
    gate = threading.Event()

    def load(path: Path, device: str):  # type: ignore[no-untyped-def]
        gate.wait(30)
        from pipelines.checkpoints import load_text_to_video

        return load_text_to_video(path, device)

    engine = Engine(settings, load)
    engine.start()
    job_id = engine.submit(SHORT)
    seen = next(event for event in engine.watch(job_id, timeout=30) if isinstance(event, Loading))
    gate.set()
    *_, last = engine.watch(job_id, timeout=60)
    engine.close()
    assert seen.what == "tiny"
    assert isinstance(last, Done)


def test_a_second_generation_loads_nothing(engine: Engine) -> None:
    run(engine)
    run(engine)
    assert engine.pool.loads == 1


def test_the_same_request_gives_the_same_pixels(engine: Engine) -> None:
    from studio.media import read_frames

    run(engine)
    run(engine)
    first, second = engine.history.clips()
    assert (read_frames(first.path) == read_frames(second.path)).all()


def test_variations_are_what_their_seeds_give_alone(engine: Engine) -> None:
    from studio.media import read_frames

    run(engine, SHORT.model_copy(update={"variations": 2}))
    run(engine, SHORT.model_copy(update={"seed": 8}))
    alone, second, _ = engine.history.clips()
    assert second.request == alone.request
    assert (read_frames(second.path) == read_frames(alone.path)).all()


def test_a_step_carries_a_preview_that_exists_and_the_time_left(engine: Engine) -> None:
    steps = [event for event in engine.watch(engine.submit(LONG.model_copy(update={"steps": 20})), timeout=60) if isinstance(event, Step)]
    shown = [step for step in steps if step.preview]
    assert shown
    assert all(step.preview is not None and step.preview.exists() for step in shown)
    assert steps[-1].seconds_left is not None
    assert steps[-1].seconds_left < 5


def test_many_watch_and_one_that_leaves_changes_nothing(engine: Engine) -> None:
    job_id = engine.submit(LONG.model_copy(update={"steps": 30}))
    leaver = engine.watch(job_id)
    next(leaver)
    leaver.close()
    ends: list[Event] = []
    watchers = [threading.Thread(target=lambda: ends.append([*engine.watch(job_id, timeout=60)][-1])) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert [type(end) for end in ends] == [Done] * 3


def test_one_who_comes_back_finds_the_job_and_its_place(engine: Engine) -> None:
    job_id = engine.submit(LONG)
    first_step(engine, job_id)
    assert engine.active_job() == job_id
    assert isinstance(next(engine.watch(job_id)), Step)
    engine.stop(job_id)


def test_watching_ends_at_its_timeout(resting: Engine) -> None:
    events = list(resting.watch(resting.submit(SHORT), timeout=0.05))
    assert [type(event) for event in events] == [Queued]


def test_work_runs_in_the_workers_thread(settings: Settings) -> None:
    threads: list[str] = []

    def load(path: Path, device: str):  # type: ignore[no-untyped-def]
        from pipelines.checkpoints import load_text_to_video

        threads.append(threading.current_thread().name)
        return load_text_to_video(path, device)

    engine = Engine(settings, load)
    engine.start()
    run(engine)
    engine.close()
    assert threads == ["studio-worker"]


def test_warming_up_loads_the_model_before_anybody_asks(settings: Settings) -> None:
    engine = Engine(settings.model_copy(update={"warm_up": True}))
    engine.start()
    deadline = time.monotonic() + 30
    while not engine.resident() and time.monotonic() < deadline:
        time.sleep(0.01)
    (model,) = engine.resident()
    engine.close()
    assert model.name == "tiny"
    assert model.bytes > 1_000_000


# -- Stopping ---------------------------------------------------------------------------------------------------------


def test_stop_ends_a_running_job_within_a_step_and_frees_the_device(engine: Engine) -> None:
    job_id = engine.submit(LONG)
    before = first_step(engine, job_id)
    engine.stop(job_id)
    *steps, last = engine.watch(job_id, timeout=30)
    assert last == Stopped(job_id, ())
    assert all(isinstance(step, Step) and step.index <= before.index + 2 for step in steps)
    assert isinstance(run(engine), Done)


def test_stop_keeps_the_variations_that_were_finished(engine: Engine) -> None:
    job_id = engine.submit(LONG.model_copy(update={"steps": 40, "variations": 4}))
    for event in engine.watch(job_id, timeout=60):
        if isinstance(event, Step) and event.variation == 2:
            engine.stop(job_id)
            break
    *_, last = engine.watch(job_id, timeout=30)
    assert isinstance(last, Stopped)
    assert [clip.seed for clip in last.clips] == [7]


def test_a_waiting_job_that_is_stopped_never_runs(resting: Engine) -> None:
    skipped, kept = resting.submit(SHORT), resting.submit(SHORT)
    resting.stop(skipped)
    resting.start()
    *_, last = resting.watch(kept, timeout=60)
    assert isinstance(last, Done)
    assert resting.status(skipped) == Stopped(skipped, ())
    assert resting.history.count() == 1


def test_stopping_a_finished_job_does_nothing(engine: Engine) -> None:
    done = run(engine)
    engine.stop(done.job_id)
    assert engine.status(done.job_id) == done


def test_a_job_that_is_not_there_is_named(engine: Engine) -> None:
    for ask in (engine.stop, engine.status, engine.rerun, engine.request_of):
        with pytest.raises(JobError, match="There is no job 'nope'"):
            ask("nope")


# -- The queue and restarts -------------------------------------------------------------------------------------------


def test_the_queue_shows_the_running_job_first_and_can_be_reordered(engine: Engine) -> None:
    running = engine.submit(LONG)
    first_step(engine, running)
    a, b = (engine.submit(SHORT.model_copy(update={"prompt": prompt})) for prompt in ("a", "b"))
    engine.move(b, 1)
    assert [(job.id, job.position, job.state) for job in engine.queue()] == [
        (running, 0, State.RUNNING),
        (b, 1, State.QUEUED),
        (a, 2, State.QUEUED),
    ]
    for job_id in (a, b, running):
        engine.stop(job_id)


def test_waiting_observers_see_their_place_change(resting: Engine) -> None:
    first, second = resting.submit(SHORT), resting.submit(SHORT)
    places = resting.watch(second, timeout=5)
    assert next(places) == Queued(second, 2)
    resting.stop(first)
    assert next(places) == Queued(second, 1)


def test_waiting_jobs_run_on_after_a_restart(settings: Settings) -> None:
    before = Engine(settings)
    job_id = before.submit(SHORT)
    before.close()
    after = Engine(settings)
    after.start()
    *_, last = after.watch(job_id, timeout=60)
    after.close()
    assert isinstance(last, Done)


def test_a_running_job_is_interrupted_by_a_restart_and_runs_again_with_one_call(settings: Settings) -> None:
    before = Engine(settings)
    before.start()
    job_id = before.submit(LONG)
    first_step(before, job_id)
    before.close()

    after = Engine(settings)
    status = after.status(job_id)
    assert isinstance(status, Failed)
    assert "Run it again" in status.error
    assert [(job.id, job.state) for job in after.queue()] == [(job_id, State.INTERRUPTED)]
    again = after.rerun(job_id)
    assert [(job.id, job.state) for job in after.queue()] == [(again, State.QUEUED)]
    assert after.request_of(again) == LONG
    after.close()


def test_the_history_outlives_a_restart(settings: Settings, engine: Engine) -> None:
    done = run(engine)
    engine.close()
    after = Engine(settings)
    assert after.status(done.job_id) == done
    after.close()


def test_two_studios_never_share_a_folder(engine: Engine, settings: Settings) -> None:
    with pytest.raises(StorageError, match="Another studio is using the folder"):
        Engine(settings)


# -- Files and memory -------------------------------------------------------------------------------------------------


def test_a_gif_is_made_once_on_demand(engine: Engine) -> None:
    run(engine)
    (clip,) = engine.history.clips()
    assert clip.gif_path is None
    assert engine.gif(clip.id) == clip.gif_path
    engine.history.delete(clip.id)
    assert not clip.path.with_suffix(".gif").exists()


def test_memory_is_reported_for_the_device(engine: Engine) -> None:
    report = engine.memory()
    assert report.device == "CPU"
    assert 0 < report.used < report.total
