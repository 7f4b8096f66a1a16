"""Walls and picks in the store: which clip is in which cell of a comparison, what was read from it, and which one somebody preferred.

The clips themselves are in the history like any others; a wall only points at them, and two walls may share one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from pipelines.errors import JobError

from .history import Base, ClipRecord, History


class CellRow(Base):
    """A row for each cell that is made; `cell` counts a wall's cells row by row, from 0."""

    __tablename__ = "cells"

    number: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(index=True)
    cell: Mapped[int]
    clip_id: Mapped[str]
    readings: Mapped[str]


class PickRow(Base):
    """A row for each favourite that was picked blind; the newest of a wall counts."""

    __tablename__ = "picks"

    number: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(index=True)
    cell: Mapped[int]
    clip_id: Mapped[str]
    created: Mapped[datetime]


@dataclass(frozen=True)
class MadeCell:
    """A cell whose clip is there.

    Args:
        index: its place, row by row, from 0.
        clip: in the history.
        readings: metric -> value from 0 to 1.
    """

    index: int
    clip: ClipRecord
    readings: Mapping[str, float]


@dataclass(frozen=True)
class Pick:
    """A favourite: of a wall, its cell and clip."""

    job_id: str
    cell: int
    clip_id: str
    created: datetime


class Walls:
    """All walls of a data folder."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.store = history.store

    def put(self, job_id: str, cell: int, clip: ClipRecord, readings: Mapping[str, float]) -> MadeCell:
        """Records that a cell is made."""
        with self.store.write() as session:
            session.add(CellRow(job_id=job_id, cell=cell, clip_id=clip.id, readings=json.dumps(dict(readings))))
        return MadeCell(cell, clip, dict(readings))

    def cells(self, job_id: str) -> tuple[MadeCell, ...]:
        """A wall's cells that are there, in its order; one whose clip was deleted is missing again."""
        with self.store.read() as session:
            rows = list(session.scalars(select(CellRow).where(CellRow.job_id == job_id).order_by(CellRow.cell)))
        clips = self.history.named([row.clip_id for row in rows])
        return tuple(MadeCell(row.cell, clips[row.clip_id], json.loads(row.readings)) for row in rows if row.clip_id in clips)

    def pick(self, job_id: str, cell: int) -> Pick:
        """Keeps a favourite.

        Raises:
            JobError: when there is no clip in that cell.
        """
        made = next((each for each in self.cells(job_id) if each.index == cell), None)
        if made is None:
            raise JobError(f"The wall has no clip number {cell + 1}.", "Pick one that is there.")
        now = datetime.now(UTC).replace(tzinfo=None)
        with self.store.write() as session:
            session.add(PickRow(job_id=job_id, cell=cell, clip_id=made.clip.id, created=now))
        return Pick(job_id, cell, made.clip.id, now)

    def picks(self, job_id: str | None = None) -> list[Pick]:
        """Favourites, the newest first; of one wall, or all."""
        query = select(PickRow).order_by(PickRow.number.desc())
        if job_id is not None:
            query = query.where(PickRow.job_id == job_id)
        with self.store.read() as session:
            return [Pick(row.job_id, row.cell, row.clip_id, row.created) for row in session.scalars(query)]
