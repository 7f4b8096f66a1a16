"""The store: what was made, newest first. SQLAlchemy; SQLite in the data folder by default.

The store owns the database and the clips' files. The queue (`jobs.py`) keeps its table in the same database.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select, create_engine, event, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pipelines.errors import JobError, StorageError

from .requests import ClipRequest, parse_clip_request


class Base(DeclarativeBase):
    """Tables of the studio's database."""


class Clip(Base):
    """A row for each video; `path` is relative to the data folder, so that the folder can be moved."""

    __tablename__ = "clips"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    job_id: Mapped[str] = mapped_column(index=True)
    path: Mapped[str]
    request: Mapped[str]
    prompt: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    created: Mapped[datetime]
    weights: Mapped[str] = mapped_column(default="")  # a fingerprint; a clip of an earlier version has none


@dataclass(frozen=True)
class ClipRecord:
    """A video in the history.

    Args:
        id: its name in the history.
        job_id: the job that made it.
        path: the MP4.
        thumbnail: a PNG of its middle frame.
        request: the settings that make exactly this video.
        created: when, in UTC.
        width: of the model's pixels; the file may be enlarged by a whole factor.
        height: of the model's pixels.
    """

    id: str
    job_id: str
    path: Path
    thumbnail: Path
    request: ClipRequest
    created: datetime
    width: int
    height: int

    @property
    def gif_path(self) -> Path | None:
        """The GIF beside the video, once somebody asked for it."""
        gif = self.path.with_suffix(".gif")
        return gif if gif.exists() else None

    @property
    def prompt(self) -> str:
        return self.request.prompt

    @property
    def seed(self) -> int:
        return self.request.seed

    @property
    def frames(self) -> int:
        return self.request.made_frames

    @property
    def fps(self) -> float:
        return self.request.made_fps


class Store:
    """The database, and sessions on it whose errors are a person's.

    Args:
        url: SQLAlchemy address.

    Raises:
        StorageError: when it cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.database = create_engine(url)
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise StorageError(f"The database address {url!r} cannot be used ({error}).", "Choose another with --database.") from error
        self._writing = threading.Lock()
        if self.database.dialect.name == "sqlite":
            event.listen(self.database, "connect", _write_ahead)
        with self._translated():
            Base.metadata.create_all(self.database)
            _add_new_columns(self.database)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to look."""
        with self._translated(), Session(self.database) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session to change; all or nothing, one at a time."""
        with self._translated(), self._writing, Session(self.database, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self.database.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StorageError(
                f"The database {self.url!r} cannot be used ({reason}).", "Check that its folder is writable and has free space."
            ) from error


class History:
    """All videos of a data folder."""

    def __init__(self, store: Store, data_dir: Path) -> None:
        self.store = store
        self.data_dir = data_dir

    def add(self, *, id: str, job_id: str, path: Path, request: ClipRequest, width: int, height: int, weights: str = "") -> ClipRecord:
        """Records a video whose files are written; `weights` is the fingerprint of what made it."""
        clip = Clip(
            id=id,
            job_id=job_id,
            path=path.relative_to(self.data_dir).as_posix(),
            request=request.model_dump_json(),
            prompt=request.prompt,
            width=width,
            height=height,
            created=datetime.now(UTC).replace(tzinfo=None),
            weights=weights,
        )
        with self.store.write() as session:
            session.add(clip)
        return self._record(clip)

    def find(self, request: ClipRequest, weights: str) -> ClipRecord | None:
        """The newest video with exactly these settings and weights whose file is still there."""
        query = select(Clip).where(Clip.prompt == request.prompt, Clip.weights == weights).order_by(Clip.number.desc())
        with self.store.read() as session:
            records = (self._record(clip) for clip in session.scalars(query))
            return next((record for record in records if record.request == request and record.path.exists()), None)

    def clips(self, search: str = "", limit: int = 60, offset: int = 0) -> list[ClipRecord]:
        """Newest first; `search` is words that the prompt must all contain."""
        query = _matching(select(Clip), search).order_by(Clip.number.desc()).limit(limit).offset(offset)
        with self.store.read() as session:
            return [self._record(clip) for clip in session.scalars(query)]

    def count(self, search: str = "") -> int:
        """How many videos there are, or match."""
        with self.store.read() as session:
            return session.scalar(_matching(select(func.count(Clip.number)), search)) or 0

    def of_job(self, job_id: str) -> tuple[ClipRecord, ...]:
        """A job's videos, in the order they were made."""
        with self.store.read() as session:
            return tuple(self._record(clip) for clip in session.scalars(select(Clip).where(Clip.job_id == job_id).order_by(Clip.number)))

    def named(self, clip_ids: Collection[str]) -> dict[str, ClipRecord]:
        """The videos of these ids that are there."""
        with self.store.read() as session:
            return {clip.id: self._record(clip) for clip in session.scalars(select(Clip).where(Clip.id.in_(clip_ids)))}

    def get(self, clip_id: str) -> ClipRecord:
        """The video of that id.

        Raises:
            JobError: when there is none.
        """
        with self.store.read() as session:
            return self._record(_row(session, clip_id))

    def delete(self, clip_id: str) -> None:
        """Removes the row and the files; files that are gone already are no error.

        Raises:
            JobError: when there is no such video.
            StorageError: when a file cannot be removed; then the row stays.
        """
        with self.store.write() as session:
            clip = _row(session, clip_id)
            path = self.data_dir / clip.path
            session.delete(clip)
            try:
                for file in (path, path.with_suffix(".png"), path.with_suffix(".gif")):
                    file.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"{str(path)!r} cannot be deleted ({error.strerror}).", "Check the folder's permissions.") from error

    def _record(self, clip: Clip) -> ClipRecord:
        path = self.data_dir / clip.path
        request = parse_clip_request(clip.request)
        created = clip.created.replace(tzinfo=UTC)
        return ClipRecord(clip.id, clip.job_id, path, path.with_suffix(".png"), request, created, clip.width, clip.height)


def _matching(query: Select[Any], search: str) -> Select[Any]:
    for word in search.split():
        query = query.where(Clip.prompt.icontains(word, autoescape=True))
    return query


def _row(session: Session, clip_id: str) -> Clip:
    clip = session.scalar(select(Clip).where(Clip.id == clip_id))
    if clip is None:
        raise JobError(f"There is no video {clip_id!r} in the history.", "It may have been deleted; reload the gallery.")
    return clip


def _add_new_columns(database: Engine) -> None:
    """Text columns that an earlier version of the studio did not have yet come to its tables, empty."""
    for table in Base.metadata.sorted_tables:
        present = {column["name"] for column in inspect(database).get_columns(table.name)}
        with database.begin() as connection:
            for column in table.columns:
                if column.name not in present:
                    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} VARCHAR NOT NULL DEFAULT ''"))


def _write_ahead(connection: Any, _: object) -> None:
    """Readers never wait for the writer, and a killed process leaves a whole database."""
    connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA synchronous=NORMAL").close()
