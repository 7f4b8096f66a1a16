"""A page with nothing but a wall on it, and clips that carry the number of each frame in their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from studio import media, theme
from studio.tabs.views import file_url
from studio.wall import Curve, Wall, WallCell, component, value
from tests.serving import free_port

STRENGTHS = ("domain model alone", "0.1", "0.25", "0.5", "0.75", "1", "2", "4", "prior alone")
FRAMES = 16


def numbered_clip(colour: int, frames: int = FRAMES) -> np.ndarray:
    """uint8 (f, 64, 64, 3): the lowest rows say the frame's number in eight black or white squares; above it a ball moves."""
    hue = np.array([[220, 60, 50], [60, 160, 220], [240, 180, 60], [120, 200, 110], [180, 110, 210]][colour % 5], np.uint8)
    clip = np.full((frames, 64, 64, 3), (18 + 14 * colour, 34, 92 - 8 * colour), np.uint8)
    y, x = np.mgrid[:64, :64]
    for i, frame in enumerate(clip):
        frame[(x - 8 - 3 * i) ** 2 + (y - 26 - colour) ** 2 < 81] = hue
        for bit in range(8):
            frame[56:, 8 * bit : 8 * bit + 8] = 255 if i >> bit & 1 else 0
    return clip


# Reads the number back from a canvas that shows such a clip.
READ_FRAME = """canvas => {
  const side = canvas.width / 8, y = canvas.height * 60 / 64;
  const pixels = canvas.getContext('2d').getImageData(0, y, canvas.width, 1).data;
  return [...Array(8).keys()].reduce((sum, bit) => sum + (pixels[4 * Math.floor((bit + 0.5) * side)] > 127 ? 1 << bit : 0), 0);
}"""


@dataclass
class WallPage:
    """The served page: `wall` is what it shows from the next load or press of its button on; `events` what was asked for."""

    folder: Path
    wall: Wall = field(default_factory=Wall)
    events: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def clip(self, colour: int, frames: int = FRAMES, name: str = "") -> str:
        path = self.folder / f"{name or colour}-{frames}.mp4"
        if not path.exists():
            media.write_mp4(numbered_clip(colour, frames), 8, path, "{}", {})
        return file_url(path)

    def row(self, **changes: Any) -> Wall:
        """Nine strengths, all made, with curves."""
        cells = tuple(
            WallCell(
                0,
                i,
                f"one-{i}",
                "ready",
                self.clip(i),
                label=f"Prior strength {name}",
                detail=f"style {96 - 8 * i} %, content {22 + 8 * i} %",
            )
            for i, name in enumerate(STRENGTHS)
        )
        style = Curve("style", tuple((name, 0.96 - 0.012 * i**2) for i, name in enumerate(STRENGTHS)))
        content = Curve("content", tuple((name, 0.22 + 0.6 * (1 - 0.6**i)) for i, name in enumerate(STRENGTHS)))
        steady = Curve("frame consistency", tuple((name, 0.97 + 0.002 * i) for i, name in enumerate(STRENGTHS)), percent=False)
        shown = Wall((), STRENGTHS, "", "Prior strength", cells, FRAMES, 8, (style, content, steady), best=4)
        return replace(shown, **changes)

    def grid(self, rows: tuple[str, ...] = ("1", "2", "3")) -> Wall:
        """Strengths by seeds."""
        one = self.row()
        cells = tuple(
            replace(
                cell, row=row, key=f"{seed}-{cell.column}", label=f"{cell.label}, seed {seed}", video=self.clip((cell.column + row) % 9)
            )
            for row, seed in enumerate(rows)
            for cell in one.cells
        )
        return replace(one, rows=rows, row_title="Seed", cells=cells)


def build(state: WallPage) -> gr.Blocks:
    with gr.Blocks(title="Wall", fill_width=True, analytics_enabled=False) as page:
        push = gr.Button("Update", elem_id="push", size="sm")
        wall = component("wall")

        def asked(event: gr.EventData) -> None:
            state.events.append(dict(event._data))

        wall.click(asked, None, None, queue=False)
        push.click(lambda: value(state.wall), None, wall, queue=False, show_progress="hidden")
        page.load(lambda: value(state.wall), None, wall, queue=False, show_progress="hidden")
    return page


@contextmanager
def wall_page(folder: Path) -> Iterator[WallPage]:
    state = WallPage(folder)
    page = build(state)
    page.launch(
        server_port=free_port(),
        theme=theme.theme(),
        css=theme.css(),
        head=theme.head(),
        allowed_paths=[str(folder)],
        run_history=False,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    state.url = page.local_url
    try:
        yield state
    finally:
        page.close(verbose=False)
