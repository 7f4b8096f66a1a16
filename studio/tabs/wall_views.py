"""What the tab of walls shows beside the wall itself, as HTML; and the wall's value from the engine's. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from pipelines.domain_models import DomainModel

from .. import wall
from ..cells import MadeCell
from ..comparison import COSINES, METRICS, WallState, best_column, curves, preview_of
from ..events import FINAL, CellStep, Failed, Queued, Step
from ..exports import Kind
from ..requests import Cell, ComparisonRequest
from . import axes, example_walls, facts, views

EXPORTS: dict[Kind, str] = {"mp4": "Download MP4", "gif": "GIF", "csv": "CSV of the curves"}


# -- The wall's value -------------------------------------------------------------------------------------------------


def wall_of(state: WallState) -> wall.Wall:
    """All that the wall's component shows of a comparison."""
    request = state.request
    lines, columns = curves(request, state.cells), axes.labels(request.columns, bool(request.base.prior_model))
    return wall.Wall(
        rows=axes.labels(request.rows, bool(request.base.prior_model)) if request.rows else (),
        columns=columns,
        row_title=axes.title(request.rows.field) if request.rows else "",
        column_title=axes.title(request.columns.field),
        cells=tuple(cell_of(state, i, cell) for i, cell in enumerate(request.cells())),
        frames=request.base.frames,
        fps=request.base.fps,
        curves=tuple(curve(name, columns, values) for name, values in lines.items()),
        best=None if request.base.tuned_model else best_column(lines),
        blind=request.blind and state.picked is None,
        note=note(state),
        picked=None if state.picked is None else key(state.job_id, state.picked),
    )


def key(job_id: str, index: int) -> str:
    """Names a cell in the wall's events."""
    return f"{job_id}-{index}"


def index_of(cell_key: str) -> int:
    """The place that a key names."""
    return int(cell_key.rpartition("-")[2])


def cell_of(state: WallState, index: int, cell: Cell) -> wall.WallCell:
    made = state.cells.get(index)
    place = wall.WallCell(cell.row, cell.column, key(state.job_id, index), label=label(state.request, cell))
    if made:
        return _with(place, "ready", readings(made), views.file_url(made.clip.path), views.file_url(made.clip.thumbnail))
    event = state.event
    if isinstance(event, CellStep) and event.cell == index:
        preview = preview_of(event)
        return _with(place, "making", f"denoising {event.index}/{event.total}", None, views.file_url(preview) if preview else None)
    if not isinstance(event, FINAL):
        return place
    first = next(i for i in range(len(state.request.cells())) if i not in state.cells)
    if isinstance(event, Failed) and index == first:
        return _with(place, "failed", event.error)
    return _with(place, "stopped")


def _with(
    cell: wall.WallCell, state: wall.CellState, detail: str = "", video: str | None = None, preview: str | None = None
) -> wall.WallCell:
    return wall.WallCell(cell.row, cell.column, cell.key, state, video, preview, cell.label, detail)


def label(request: ComparisonRequest, cell: Cell) -> str:
    """What varies, in words: 'prior strength 0.5, seed 3'."""
    places = [(request.columns, cell.column), *([(request.rows, cell.row)] if request.rows else [])]
    said = []
    for axis, place in places:
        text = axes.labels(axis, bool(request.base.prior_model))[place]
        said.append(
            text if text in (*axes.ENDS, axes.ADAPTER_ALONE) or axis.field == "prompt" else f"{axes.title(axis.field).lower()} {text}"
        )
    return ", ".join(said)


def readings(made: MadeCell) -> str:
    """What was read from a clip, in one line: 'style yes · content 50 % · frame consistency 0.953'."""
    told = []
    for name, title in METRICS.items():
        if (value := made.readings.get(name)) is not None:
            said = f"{value:.3f}" if name in COSINES else {0.0: "no", 1.0: "yes"}.get(value, f"{value:.0%}".replace("%", " %"))
            told.append(f"{title.lower()} {said}")
    return " · ".join(told)


def curve(name: str, columns: Sequence[str], values: Sequence[float | None]) -> wall.Curve:
    points = tuple((column, value) for column, value in zip(columns, values, strict=True) if value is not None)
    return wall.Curve(METRICS[name], points, percent=name not in COSINES)


def note(state: WallState) -> str:
    """'5 of 9 made, 40 s left'; nothing once all are there."""
    made, count = len(state.cells), len(state.request.cells())
    if made == count:
        return ""
    line = f"{made} of {count} made"
    match state.event:
        case Queued(position=position):
            return "next in the queue" if position == 1 else f"number {position} in the queue"
        case Step(seconds_left=left) if left is not None:
            return f"{line}, {views.seconds(left)} left"
    return line


# -- Under the wall ---------------------------------------------------------------------------------------------------


def under(state: WallState) -> str:
    """What can be done with the wall, and what its clips share."""
    parts = [views.alert(state.event.error)] if isinstance(state.event, Failed) else []
    hidden = state.request.blind and state.picked is None
    tools = ""
    if isinstance(state.event, FINAL):
        missing = len(state.request.cells()) - len(state.cells)
        if missing:
            tools += views.button(f"Make the missing {views.plural(missing, 'clip')}", "rerun", job=state.job_id)
        if state.cells and not hidden:
            tools += "".join(views.button(text, f"export-{kind}", job=state.job_id) for kind, text in EXPORTS.items())
        tools += views.button("Use these settings", "use", job=state.job_id)
    if tools:
        parts.append(f'<div class="actions">{tools}</div>')
    varied = {axis.field for axis in state.request.axes}
    chips = facts.chips(state.request.base, without=varied)
    prompt = f'<p class="prompt">{escape(state.request.base.prompt)}</p>'
    return f'<section class="wall-under">{"".join(parts)}<div class="caption">{prompt}{chips}</div></section>'


def past(walls: Sequence[WallState], shown: str | None) -> str:
    """The last walls, to be opened again."""
    if not walls:
        return ""
    return f'<h2>Walls</h2><div class="past-walls">{"".join(past_wall(state, state.job_id == shown) for state in walls)}</div>'


def past_wall(state: WallState, shown: bool) -> str:
    clips = [made.clip for _, made in sorted(state.cells.items())][:4]
    pictures = "".join(f'<img src="{views.file_url(clip.thumbnail)}" alt="">' for clip in clips) or '<i class="blank"></i>'
    by = " and ".join(axes.title(axis.field).lower() for axis in state.request.axes)
    line = f"{by} · {len(state.cells)} of {len(state.request.cells())}"
    if state.picked is not None:
        line += f" · picked {label(state.request, state.request.cells()[state.picked])}"
    return (
        f'<button type="button" data-do="show" data-job="{state.job_id}" aria-pressed="{str(shown).lower()}">'
        f'<span class="pictures">{pictures}</span><span class="what">{escape(state.request.base.prompt)}</span>'
        f'<span class="line">{escape(line)}</span></button>'
    )


# -- Before the first wall --------------------------------------------------------------------------------------------


def welcome(models: Sequence[DomainModel]) -> str:
    """The stage before the first wall."""
    cards = "".join(preset_card(name, text) for name, (text, _) in example_walls.presets(models).items())
    lead = "Clips side by side, playing in step: vary one setting along the columns, and another down the rows. Or start from one of these."
    return f'<section class="wall-welcome"><p class="lead">{lead}</p><div class="presets">{cards}</div></section>'


def preset_card(name: str, text: str) -> str:
    """What to start from, with the clips that it gave; a domain model of one's own has none yet."""
    video = example_walls.clip_of(name)
    style, shown = "example" if video else "example words-only", f"{example(video)}<span>{escape(text)}</span>"
    return f'<button type="button" class="{style}" data-do="preset" data-clip="{escape(name)}">{shown}</button>'


def example(video: Path | None) -> str:
    """Shipped clips side by side, playing in a loop."""
    if video is None:
        return ""
    return f'<video data-clip src="{views.file_url(video)}" autoplay loop muted playsinline tabindex="-1" aria-hidden="true"></video>'


def about(model: DomainModel | None) -> str:
    """What a domain model is, and its words for the prompt."""
    if model is None:
        return ""
    words = f' <button type="button" data-insert="{escape(model.caption)}">{escape(model.caption)}</button>' if model.caption else ""
    prompts = f" Put its words into the prompt:{words}" if words else ""
    return f'<p class="about">{escape(model.description)} {size(model)}{prompts}</p>'


def size(model: DomainModel) -> str:
    return f"{model.parameters / 1e6:.2f} million parameters." if model.parameters else ""
