"""The durable queue: order, states, and what a restart finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from pipelines.errors import JobError
from studio.history import Store
from studio.jobs import JobQueue, JobRow, State
from studio.requests import TextToVideoRequest

REQUEST = TextToVideoRequest(prompt="a red ball", seed=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'studio.db'}")
    yield store
    store.close()


@pytest.fixture
def jobs(store: Store) -> JobQueue:
    return JobQueue(store, max_queue=4)


def test_jobs_run_in_the_order_they_came(jobs: JobQueue) -> None:
    ids = [jobs.add(REQUEST) for _ in range(3)]
    assert [job.id for job in iter(jobs.take, None)] == ids


def test_a_job_keeps_its_request(jobs: JobQueue) -> None:
    assert jobs.get(jobs.add(REQUEST)).request == REQUEST


def test_positions_count_from_the_next(jobs: JobQueue) -> None:
    ids = [jobs.add(REQUEST) for _ in range(3)]
    assert [jobs.position(id) for id in ids] == [1, 2, 3]
    jobs.take()
    assert [jobs.position(id) for id in ids] == [0, 1, 2]


@pytest.mark.parametrize(("place", "order"), [(1, "cab"), (2, "acb"), (3, "abc"), (99, "abc"), (-5, "cab")])
def test_a_waiting_job_can_be_moved(jobs: JobQueue, place: int, order: str) -> None:
    names = {jobs.add(REQUEST): name for name in "abc"}
    jobs.move(list(names)[2], place)
    assert "".join(names[job.id] for job in jobs.listed(State.QUEUED)) == order


def test_only_waiting_jobs_can_be_moved(jobs: JobQueue) -> None:
    id = jobs.add(REQUEST)
    jobs.take()
    with pytest.raises(JobError, match="is not waiting"):
        jobs.move(id, 1)


def test_a_change_needs_the_state_it_expects(jobs: JobQueue) -> None:
    id = jobs.add(REQUEST)
    assert not jobs.change(id, State.RUNNING, State.DONE)
    assert jobs.change(id, State.QUEUED, State.STOPPED)
    assert jobs.take() is None


def test_a_restart_marks_the_running_job_and_keeps_the_waiting_ones(jobs: JobQueue, store: Store) -> None:
    running, waiting = jobs.add(REQUEST), jobs.add(REQUEST)
    jobs.take()
    after = JobQueue(store)
    after.recover()
    assert (after.get(running).state, after.get(waiting).state) == (State.INTERRUPTED, State.QUEUED)


def test_a_job_that_this_version_cannot_read_fails_alone(jobs: JobQueue, store: Store) -> None:
    broken, good = jobs.add(REQUEST), jobs.add(REQUEST)
    with store.write() as session:
        session.execute(update(JobRow).where(JobRow.id == broken).values(request='{"kind": "from the future"}'))
    jobs.recover()
    taken = jobs.take()
    assert taken is not None
    assert taken.id == good


def test_a_full_queue_refuses(jobs: JobQueue) -> None:
    for _ in range(4):
        jobs.add(REQUEST)
    with pytest.raises(JobError, match="4 jobs are waiting already"):
        jobs.add(REQUEST)


def test_an_unknown_job_is_named(jobs: JobQueue) -> None:
    with pytest.raises(JobError, match="There is no job 'nope'"):
        jobs.get("nope")
