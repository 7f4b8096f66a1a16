"""A comparison job: the cells of a wall made one after another, each an ordinary clip in the history with its full settings.

A cell whose clip is in the history already, with the same settings and weights, is not made again: that is how an interrupted wall goes
on, and why a changed strength costs one clip. No torch is imported before a job runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import text_to_video
from .cells import MadeCell
from .events import CellStep, Event, Step
from .history import ClipRecord
from .making import Bench, Making, fingerprint
from .requests import Cell, ComparisonRequest, TextToVideoRequest
from .sources import small_frames

if TYPE_CHECKING:
    import numpy as np

    from pipelines.clip_reader import ClipReader
    from pipelines.pocket.oracle import Oracle

METRICS = {
    "style": "Style",
    "content": "Content",
    "color": "Colour",
    "motion": "Motion",
    "text": "Text similarity",
    "consistency": "Frame consistency",
}
COSINES = ("text", "consistency")  # read on scales of their own; the others are shares of what was asked for
CONTENT = ("object", "background")  # what a domain model has never seen in its style must come from the prior


@dataclass(frozen=True)
class WallState:
    """A wall as it is now.

    Args:
        job_id: the comparison.
        request: what was asked for.
        event: where the job is.
        cells: those that are made, by their place.
        picked: the place of the favourite, once one was picked.
    """

    job_id: str
    request: ComparisonRequest
    event: Event
    cells: Mapping[int, MadeCell]
    picked: int | None = None


def check(request: ComparisonRequest, bench: Bench) -> None:
    """Refuses what cannot be made, before it is queued.

    Raises:
        InvalidInput, ModelError: for the first cell that the model cannot make.
    """
    for cell in request.cells():
        text_to_video.check(cell.request, bench)


def make(making: Making, bench: Bench) -> None:
    """Fills the wall model by model (two that are mixed are one): first with what the history has, then clip by clip.

    Returns early once `making.stop` is set.
    """
    assert isinstance(making.request, ComparisonRequest)
    shutil.rmtree(making.previews, ignore_errors=True)
    wall = _Filling(making, bench, Reader.of(bench))
    wanted = list(dict.fromkeys(cell.request for cell in wall.cells))
    made: list[TextToVideoRequest] = []
    for models in dict.fromkeys((request.model, request.prior) for request in wanted):
        those = [request for request in wanted if (request.model, request.prior) == models]
        with text_to_video.borrowed(making, bench, those[0]) as maker:
            found = {r: bench.history.find(r, fingerprint(maker.weights(r))) for r in those}
            now = sorted(found, key=lambda request: found[request] is None)  # those that are there come first
            requests = [*made, *now, *(request for request in wanted if request not in found and request not in made)]
            for i, request in enumerate(now, start=len(made)):
                clip = found[request]
                if making.stop.is_set():
                    return
                if clip is None:
                    wall.now = i, request
                    clip = maker.make(requests, i, wall.tell)
                if clip is None:
                    return
                wall.put(clip)
        made += now


class _Filling:
    """A wall while it is made: every event of a clip tells the cells that are there."""

    def __init__(self, making: Making, bench: Bench, reader: Reader) -> None:
        assert isinstance(making.request, ComparisonRequest)
        self.job_id = making.job_id
        self.cells = making.request.cells()
        self.bench = bench
        self.reader = reader
        self.made: list[MadeCell] = []
        self.now: tuple[int, TextToVideoRequest] = (0, self.cells[0].request)

    def put(self, clip: ClipRecord) -> None:
        """A clip into every cell that asks for it."""
        frames = small_frames(clip)
        for i, cell in enumerate(self.cells):
            if cell.request == clip.request:
                self.made.append(self.bench.walls.put(self.job_id, i, clip, self.reader.read(frames, cell)))
        done, request = self.now
        count = len({cell.request for cell in self.cells})
        self.tell(Step(self.job_id, request.steps, request.steps, None, None, request.seed, done + 1, count))

    def tell(self, event: Event) -> None:
        """A clip's step as the wall's."""
        assert isinstance(event, Step)
        place = next(i for i, cell in enumerate(self.cells) if cell.request == self.now[1])
        self.bench.tell(CellStep(**vars(event), cell=place, cells=tuple(self.made)))


# -- What is read from the clips --------------------------------------------------------------------------------------


class Reader:
    """Reads metrics from clips: the oracle's where the resident model has one beside it, CLIP's where there is one, frame consistency
    always."""

    def __init__(self, bench: Bench, oracle: Oracle | None, clip: ClipReader | None) -> None:
        self.bench = bench
        self.oracle = oracle
        self.clip = clip

    @classmethod
    def of(cls, bench: Bench) -> Reader:
        """With the oracle that lies in the model's folder, if one does, and the CLIP of the settings."""
        from pipelines.clip_reader import ClipReader
        from pipelines.pocket.oracle import FILE, Oracle

        folder, clip = bench.settings.model_dir / "oracle", bench.settings.clip_dir
        oracle = Oracle.from_pretrained(folder) if (folder / FILE).exists() else None
        return cls(bench, oracle, ClipReader.from_folder(clip) if clip else None)

    def read(self, frames: np.ndarray, cell: Cell) -> dict[str, float]:
        """Metric -> value: shares in [0, 1], or cosines.

        Args:
            frames: uint8 (f, h, w, 3), of the model's own size.
            cell: whose clip it is.
        """
        from pipelines.metrics import frame_consistency
        from pipelines.pocket.world import SIZE

        readings = {"consistency": frame_consistency(frames)} if len(frames) > 1 else {}
        if self.clip:
            readings |= self.clip.read(frames, cell.request.prompt)
        if self.oracle is None or frames.shape[1:3] != (SIZE, SIZE) or not self.bench.model_for(cell.request).own:
            return readings  # of other sizes, and of another model's clips, it knows nothing
        seen, asked = self.oracle.read(frames), self._asked(cell)
        hits = {name: float(getattr(seen, name) == value) for name, value in asked.items() if hasattr(seen, name)}
        told = {name: hits[name] for name in ("style", "color", "motion") if name in hits}
        content = [hits[name] for name in CONTENT if name in hits]
        return told | ({"content": sum(content) / len(content)} if content else {}) | readings

    def _asked(self, cell: Cell) -> dict[str, Any]:
        """What the clip should show: what the prompt says, and the style of the domain model of its place."""
        from pipelines.pocket.captions import read_prompt

        style = self.bench.domain_model(cell.domain_model).style if cell.domain_model else None
        return dict(read_prompt(cell.request.prompt)) | ({"style": style} if style else {})


# -- Curves -----------------------------------------------------------------------------------------------------------


def curves(request: ComparisonRequest, cells: Mapping[int, MadeCell]) -> dict[str, list[float | None]]:
    """Metric -> its mean over the rows, one value a column; None where no clip of the column has it yet."""
    width = len(request.columns.values)
    lines: dict[str, list[float | None]] = {}
    for name in METRICS:
        values: list[list[float]] = [[] for _ in range(width)]
        for index, made in cells.items():
            if name in made.readings:
                values[index % width].append(made.readings[name])
        if any(values):
            lines[name] = [sum(column) / len(column) if column else None for column in values]
    return lines


def best_column(lines: Mapping[str, Sequence[float | None]]) -> int | None:
    """The column that keeps both style and content best (their mean; then the steadier clip); None while one is not known everywhere."""
    style, content = lines.get("style", []), lines.get("content", [])
    if not style or not content or None in style or None in content:
        return None
    steady = lines.get("consistency") or [0.0] * len(style)
    return max(range(len(style)), key=lambda i: ((style[i] or 0) + (content[i] or 0), steady[i] or 0, -i))


def clips_of(cells: Mapping[int, MadeCell]) -> tuple[ClipRecord, ...]:
    """The clips of a wall, each once, in its order."""
    return tuple({made.clip.id: made.clip for _, made in sorted(cells.items())}.values())


def preview_of(event: Event) -> Path | None:
    return event.preview if isinstance(event, Step) else None
