"""A wall as one picture that moves: clips in a labelled grid; and its curves as a table. Pixel video is uint8 (f, h, w, 3), RGB."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.errors import InvalidInput

from .media import SHOWN_SIDE

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LARGEST = 3840  # pixels: longer sides are beyond what many players decode
GAP = 8  # pixels
MARGIN = 16  # pixels
GROUND, WELL, LINE, TEXT = (17, 18, 20), (11, 12, 13), (41, 43, 48), (232, 232, 230)


def grid_frames(
    cells: Sequence[Sequence[np.ndarray | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    largest: int = LARGEST,
) -> np.ndarray:
    """All clips side by side under their labels.

    Small clips are enlarged, and large ones reduced, so that the grid stays within `largest`. A clip that is shorter than the others
    waits on its last frame; a missing one leaves its place empty.

    Args:
        cells: row by row, uint8 (f, h, w, 3) or None where there is no clip.
        rows: a text for each row; empty when only the columns vary, and then nothing stands at the left.
        columns: a text for each column.
        largest: pixels of the grid's longer side.

    Returns:
        uint8 (f, H, W, 3) with even sides, as H.264 wants.

    Raises:
        InvalidInput: when there is no clip at all, or the labels do not fit the cells.
    """
    clips = [clip for row in cells for clip in row if clip is not None]
    if not clips:
        raise InvalidInput("The grid has no clips.", "Wait until the first one is made.")
    if any(len(row) != len(columns) for row in cells) or (rows and len(rows) != len(cells)):
        raise InvalidInput(
            f"{len(rows)} row and {len(columns)} column labels do not fit {len(cells)} rows of {[len(row) for row in cells]} clips.",
            "Give a label for each row and each column.",
        )
    size = cell_size(clips, len(cells), len(columns), largest)
    sheet, places = labelled_sheet(rows, columns, len(cells), size)
    frames = np.repeat(sheet[None], max(len(clip) for clip in clips), axis=0)
    for (row, column), (x, y) in places.items():
        clip = cells[row][column]
        if clip is not None:
            shown = fitted(clip, size)
            top, left = y + (size[1] - shown.shape[1]) // 2, x + (size[0] - shown.shape[2]) // 2
            last = np.minimum(np.arange(len(frames)), len(shown) - 1)
            frames[:, top : top + shown.shape[1], left : left + shown.shape[2]] = shown[last]
    return frames


def curve_csv(columns: Sequence[str], curves: Mapping[str, Sequence[float | None]], column_title: str = "column") -> str:
    """The curves as a table: a line for each column of the wall, a column for each metric; empty where a value is missing.

    Args:
        columns: texts of the wall's columns, in order.
        curves: metric -> a value for each column, None where it is missing.
        column_title: what varies.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([column_title, *curves])
    for column, *values in zip(columns, *curves.values(), strict=True):
        table.writerow([column, *("" if value is None else f"{value:.6g}" for value in values)])
    return text.getvalue()


def cell_size(clips: Sequence[np.ndarray], rows: int, columns: int, largest: int) -> tuple[int, int]:
    """(width, height) in pixels of each place: the clips' largest sides, enlarged by a whole factor when small, reduced when too many."""
    height, width = (max(clip.shape[axis] for clip in clips) for axis in (1, 2))
    room = min((largest - 2 * MARGIN) / (columns * (width + GAP)), (largest - 2 * MARGIN) / (rows * (height + GAP)))
    wanted = max(1, SHOWN_SIDE // max(height, width))
    factor = max(1, min(wanted, int(room))) if room >= 1 else room
    return max(1, int(width * factor)), max(1, int(height * factor))


def fitted(clip: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A clip (f, h, w, 3) at the largest size that fits into (width, height); small ones enlarged to crisp squares."""
    height, width = clip.shape[1:3]
    scale = min(size[0] / width, size[1] / height)
    if scale >= 1:
        return clip.repeat(int(scale), axis=1).repeat(int(scale), axis=2)
    new = max(1, int(width * scale)), max(1, int(height * scale))
    return np.stack([np.asarray(Image.fromarray(frame).resize(new, Image.Resampling.BOX)) for frame in clip])


def labelled_sheet(
    rows: Sequence[str], columns: Sequence[str], lines: int, size: tuple[int, int]
) -> tuple[np.ndarray, dict[tuple[int, int], tuple[int, int]]]:
    """The ground with its labels and empty places, uint8 (H, W, 3), and the upper left corner (x, y) of each place by (row, column)."""
    width, height = size
    text_size = max(12, min(20, width // 12))
    font, line = ImageFont.load_default(text_size), round(text_size * 1.35)
    heads = [wrapped(text, font, width) for text in columns]
    sides = [wrapped(text, font, max(120, width // 2)) for text in rows]
    left = MARGIN + (GAP + 4 + round(max(font.getlength(part) for side in sides for part in side)) if sides else 0)
    top = MARGIN + line * max(map(len, heads)) + GAP // 2
    xs = [left + i * (width + GAP) for i in range(len(columns))]
    ys = [top + i * (height + GAP) for i in range(lines)]
    sheet = Image.new("RGB", (even(xs[-1] + width + MARGIN), even(ys[-1] + height + MARGIN)), GROUND)
    draw = ImageDraw.Draw(sheet)
    for x, head in zip(xs, heads, strict=True):
        draw_lines(draw, (x, top - GAP // 2 - line * len(head)), head, font, line)
    for y, side in zip(ys, sides, strict=False):
        draw_lines(draw, (MARGIN, y), side, font, line)
    places = {(row, column): (x, y) for row, y in enumerate(ys) for column, x in enumerate(xs)}
    for x, y in places.values():
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=WELL, outline=LINE)
    return np.asarray(sheet), places


def draw_lines(draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], font: Font, height: int) -> None:
    for i, text in enumerate(lines):
        draw.text((at[0], at[1] + height * i), text, TEXT, font)


def wrapped(text: str, font: Font, width: int, most: int = 3) -> list[str]:
    """A label in at most so many lines of so many pixels; what does not fit ends in dots."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [shortened(line, font, width) for line in lines]


def shortened(text: str, font: Font, width: int) -> str:
    """The text, or as much of it as fits with dots at its end."""
    if font.getlength(text) <= width:
        return text
    return next((text[:end] + "..." for end in range(len(text) - 1, 0, -1) if font.getlength(text[:end] + "...") <= width), text[:1])


def even(pixels: int) -> int:
    return pixels + pixels % 2
