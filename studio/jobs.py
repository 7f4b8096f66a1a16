"""The durable queue: every job is a row, so that a restart loses none.

queued -> running -> done | stopped | failed
                  -> interrupted      (the process ended while it ran; one click runs it again)
queued | interrupted -> stopped       (skipped, or dismissed)
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from pipelines.errors import InvalidInput, JobError

from .history import Base, Store
from .requests import Request, parse_request


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class JobRow(Base):
    """A row for each job; `rank` orders the waiting ones."""

    __tablename__ = "jobs"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(index=True)
    rank: Mapped[int]
    request: Mapped[str]
    error: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime]


@dataclass(frozen=True)
class Job:
    """A job as it is stored; `error` is for people, and empty unless it failed."""

    id: str
    state: State
    request: Request
    error: str


@dataclass(frozen=True)
class QueuedJob:
    """A line of the queue: waiting, running, or interrupted by a restart.

    `position` is 1 for the next to run, 0 for one that does not wait. `prompt` is what it is about, in words. `thumbnail` is its newest
    picture, if it has one.
    """

    id: str
    position: int
    state: State
    prompt: str
    thumbnail: Path | None
    kind: str = "text_to_video"


class JobQueue:
    """Jobs in the order they will run. Every change is one transaction that names the state it expects.

    Args:
        store: the database.
        max_queue: most jobs that may wait.
    """

    def __init__(self, store: Store, max_queue: int = 100) -> None:
        self.store = store
        self.max_queue = max_queue

    def recover(self) -> None:
        """At start: what was running when the last process ended was interrupted; what this version cannot read has failed.

        Only the one owner of the data may call this.
        """
        with self.store.write() as session:
            session.execute(update(JobRow).where(JobRow.state == State.RUNNING).values(state=State.INTERRUPTED))
            for row in session.scalars(select(JobRow).where(JobRow.state.in_((State.QUEUED, State.INTERRUPTED)))):
                try:
                    parse_request(row.request)
                except InvalidInput as error:
                    row.state, row.error = State.FAILED, str(error)

    def add(self, request: Request) -> str:
        """Puts a job at the end; returns its id.

        Raises:
            JobError: when too many wait already.
        """
        with self.store.write() as session:
            waiting = session.scalar(select(func.count()).where(JobRow.state == State.QUEUED)) or 0
            if waiting >= self.max_queue:
                raise JobError(f"{waiting} jobs are waiting already.", "Wait for some to finish, or skip some.")
            rank = (session.scalar(select(func.max(JobRow.rank))) or 0) + 1
            now = datetime.now(UTC).replace(tzinfo=None)
            row = JobRow(id=uuid.uuid4().hex[:12], state=State.QUEUED, rank=rank, request=request.model_dump_json(), created=now)
            session.add(row)
        return row.id

    def take(self) -> Job | None:
        """The next waiting job, now running; None when none waits."""
        with self.store.write() as session:
            row = session.scalar(select(JobRow).where(JobRow.state == State.QUEUED).order_by(JobRow.rank).limit(1))
            if row is None:
                return None
            row.state = State.RUNNING
            return _job(row)

    def change(self, job_id: str, before: State, after: State, error: str = "") -> bool:
        """From one state to another; False when the job was not in the first."""
        with self.store.write() as session:
            change = update(JobRow).where(JobRow.id == job_id, JobRow.state == before).values(state=after, error=error)
            return session.execute(change).rowcount == 1  # type: ignore[attr-defined]

    def get(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
            JobError: when there is none.
        """
        with self.store.read() as session:
            row = session.scalar(select(JobRow).where(JobRow.id == job_id))
            if row is None:
                raise JobError(f"There is no job {job_id!r}.", "Reload the page to see the jobs there are.")
            return _job(row)

    def listed(self, state: State) -> list[Job]:
        """All jobs in a state, in the order they run."""
        with self.store.read() as session:
            return [_job(row) for row in session.scalars(select(JobRow).where(JobRow.state == state).order_by(JobRow.rank))]

    def recent(self, kind: str, limit: int = 1) -> list[str]:
        """The newest jobs of a kind, whatever became of them, the newest first."""
        with self.store.read() as session:
            query = select(JobRow.id).where(JobRow.request.startswith(f'{{"kind":"{kind}"', autoescape=True))
            return list(session.scalars(query.order_by(JobRow.number.desc()).limit(limit)))

    def position(self, job_id: str) -> int:
        """Place among the waiting jobs, 1 is next; 0 when it does not wait."""
        with self.store.read() as session:
            waiting = _waiting(session)
        return waiting.index(job_id) + 1 if job_id in waiting else 0

    def move(self, job_id: str, position: int) -> None:
        """Puts a waiting job at a place, 1 is next; places beyond the ends are the ends.

        Raises:
            JobError: when the job does not wait.
        """
        with self.store.write() as session:
            waiting = _waiting(session)
            if job_id not in waiting:
                raise JobError(f"Job {job_id!r} is not waiting.", "Only waiting jobs can be moved.")
            ranks = session.scalars(select(JobRow.rank).where(JobRow.state == State.QUEUED).order_by(JobRow.rank)).all()
            waiting.remove(job_id)
            waiting.insert(max(position, 1) - 1, job_id)
            for id, rank in zip(waiting, ranks, strict=True):
                session.execute(update(JobRow).where(JobRow.id == id).values(rank=rank))


def _waiting(session: Session) -> list[str]:
    return list(session.scalars(select(JobRow.id).where(JobRow.state == State.QUEUED).order_by(JobRow.rank)))


def _job(row: JobRow) -> Job:
    return Job(row.id, State(row.state), parse_request(row.request), row.error)
