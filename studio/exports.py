"""A wall as a file: one labelled grid of clips, MP4 or GIF, or the curves as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pipelines.errors import JobError

from . import grids, media
from .comparison import METRICS, WallState, curves
from .making import versions
from .sources import small_frames

Kind = Literal["mp4", "gif", "csv"]
LARGEST = {"mp4": 1920, "gif": 1280}  # pixels, of the longer side


def export(state: WallState, kind: Kind, folder: Path, rows: Sequence[str], columns: Sequence[str]) -> Path:
    """Writes the wall as it is now, and returns where.

    Args:
        state: at least one cell is made.
        kind: of file.
        folder: where to.
        rows, columns: the heads.

    Raises:
        JobError: when there is nothing to write yet.
        StorageError: when it cannot be written.
    """
    if not state.cells:
        raise JobError("The wall has no clips yet.", "Wait for the first one.")
    slug = "-".join(re.findall(r"[a-z0-9]+", state.request.base.prompt.lower()))[:48].strip("-") or "wall"
    path = folder / f"{slug}-{state.job_id[:6]}-{len(state.cells)}.{kind}"
    if kind == "csv":
        lines = {METRICS[name]: values for name, values in curves(state.request, state.cells).items()}
        return media.write_text(grids.curve_csv(columns, lines, state.request.columns.field), path)
    frames, fps = grids.grid_frames(clips(state), rows, columns, LARGEST[kind]), state.request.base.fps
    if kind == "gif":
        media.write_gif(frames, fps, path)
    else:
        media.write_mp4(frames, fps, path, state.request.model_dump_json(), {"versions": versions()})
    return path


def clips(state: WallState) -> list[list[np.ndarray | None]]:
    """Row by row, uint8 (f, h, w, 3), or None where a clip is missing."""
    width = len(state.request.columns.values)
    places = [small_frames(state.cells[i].clip) if i in state.cells else None for i in range(len(state.request.cells()))]
    return [places[i : i + width] for i in range(0, len(places), width)]
