"""The comparison wall: clips in a labelled grid that play in step. The page's side is assets/wall.{html,css,js} and wall_*.js."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import gradio as gr

from .theme import ASSETS

CellState = Literal["waiting", "making", "ready", "failed", "stopped"]
UNFINISHED = ("waiting", "making")
SCRIPTS = ("wall_clips.js", "wall_curves.js", "wall.js")  # one script, in this order


@dataclass(frozen=True)
class WallCell:
    """One place of the wall, and the clip in it when there is one.

    Args:
        row: index into the wall's rows; 0 where it has none.
        column: index into the wall's columns.
        key: names the cell in events and between updates: a cell that keeps key and video is not loaded again. Differs from wall to wall.
        state: how far its clip is.
        video: address of the MP4, as the page finds it; None until it is ready.
        preview: address of a picture to show until then.
        label: what varies, in words ("prior strength 0.5, seed 3"); read aloud, and shown under the enlarged clip.
        detail: one line more: metrics of a clip that is ready, "denoising 5/24", "number 3 in the queue", the sentence of an error.
    """

    row: int
    column: int
    key: str
    state: CellState = "waiting"
    video: str | None = None
    preview: str | None = None
    label: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Curve:
    """One metric over the columns.

    Args:
        name: for the legend.
        points: (column's text, value); columns without a value are left out.
        percent: values are shares in [0, 1] and share one chart from 0 to 100 %. Otherwise the curve has a chart and a scale of its own.
    """

    name: str
    points: tuple[tuple[str, float], ...]
    percent: bool = True


@dataclass(frozen=True)
class Tool:
    """A button under a clip that is pinned: `action` is told with the clip's key."""

    action: str
    text: str
    help: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Wall:
    """All that the page shows.

    Args:
        rows: texts of the second axis; empty when only the columns vary, which then flow over several lines.
        columns: texts of the first axis, in order.
        row_title, column_title: what varies ("Seed", "Prior strength").
        cells: in any order.
        frames: frames of a clip.
        fps: frames a second.
        curves: drawn under the clips.
        best: index of the column with the best trade-off.
        blind: clips are shuffled and nothing tells which is which; the page then offers to pick a favourite.
        note: one line beside the transport ("5 of 9 made, 40 s left").
        picked: key of the favourite that was picked, marked.
        tools: buttons under a clip that is pinned; a blind wall has none.
    """

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    row_title: str = ""
    column_title: str = ""
    cells: tuple[WallCell, ...] = ()
    frames: int = 0
    fps: float = 8.0
    curves: tuple[Curve, ...] = ()
    best: int | None = None
    blind: bool = False
    note: str = ""
    picked: str | None = None
    tools: tuple[Tool, ...] = ()


def value(wall: Wall) -> dict[str, Any]:
    """The wall as JSON for the component. A blind one is sent shuffled and without whatever would tell."""
    return asdict(blinded(wall) if wall.blind else wall)


def blinded(wall: Wall) -> Wall:
    """The wall without labels, curves and order: its columns are letters.

    The shuffle depends on the keys alone, so that a clip keeps its place while others are made. Clips are held back until the last one
    is done: the order of their appearance would tell which is which.
    """
    cells = sorted(wall.cells, key=lambda cell: cell.key)
    random.Random("\n".join(cell.key for cell in cells)).shuffle(cells)
    finished = not any(cell.state in UNFINISHED for cell in cells)
    hidden = tuple(_hidden(cell, place, finished) for place, cell in enumerate(cells))
    return Wall(
        columns=letters(len(cells)),
        column_title="Clip",
        cells=hidden,
        frames=wall.frames,
        fps=wall.fps,
        blind=True,
        note=wall.note,
    )


def _hidden(cell: WallCell, place: int, finished: bool) -> WallCell:
    """A cell in its shuffled place; an error is told, since a clip is missing there anyway."""
    shown = replace(cell, row=0, column=place, label=f"clip {letters(place + 1)[-1]}", preview=None)
    if not finished:
        return replace(shown, state="waiting", video=None, detail="")
    return replace(shown, detail=cell.detail if cell.state == "failed" else "")


def letters(count: int) -> tuple[str, ...]:
    """A, B, ... Z, AA, AB, ..."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return tuple((alphabet[i // 26 - 1] if i >= 26 else "") + alphabet[i % 26] for i in range(count))


def component(elem_id: str) -> gr.HTML:
    """The wall's place on the page; update it with `value(wall)`.

    Its click event carries what was asked for in `event._data`: {"do": "open" | "retry" | "pick" | a tool's action, "cell": key}.
    """
    return gr.HTML(
        value(Wall()),
        html_template=_asset("wall.html"),
        css_template=_asset("wall.css"),
        js_on_load="\n".join(map(_asset, SCRIPTS)),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="wall-block",
    )


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
