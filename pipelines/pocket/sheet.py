"""Contact sheets: one row a clip, its caption above it, what the oracle read differently marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .captions import plain_caption
from .evaluate import Report, wrong_attributes

COLUMNS = 8  # frames of a clip that are shown
SCALE = 2  # nearest neighbour
MARGIN, GAP, LABEL = 8, 2, 20  # pixels
INK, WRONG, PAPER = (32, 33, 36), (200, 30, 45), (250, 250, 248)


@dataclass(frozen=True)
class Row:
    """A clip uint8 (f, h, w, 3), what stands above it, and beside that in red what is wrong with it."""

    clip: np.ndarray
    label: str
    wrong: str = ""


def write_sheet(report: Report, path: Path) -> None:
    """Writes the report's sample clips as a PNG. Does nothing where there are none."""
    rows = []
    for clip, asked, read in zip(report.samples, report.asked, report.read, strict=False):
        wrong = [f"{name} read as {getattr(read, name) or 'none'}" for name in wrong_attributes(asked, read)]
        rows.append(Row(clip, plain_caption(asked), ", ".join(wrong)))
    if rows:
        write_rows(rows, path)


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Clips under each other, as a PNG."""
    strips = [_strip(row.clip) for row in rows]
    height, width = strips[0].height + LABEL + GAP, max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width + 2 * MARGIN, height * len(strips) + 2 * MARGIN), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (row, strip) in enumerate(zip(rows, strips, strict=True)):
        top = MARGIN + i * height
        draw.text((MARGIN, top + 2), row.label, INK, font)
        draw.text((MARGIN + draw.textlength(row.label + "   ", font), top + 2), row.wrong, WRONG, font)
        sheet.paste(strip, (MARGIN, top + LABEL))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _strip(clip: np.ndarray) -> Image.Image:
    """Evenly spaced frames of a clip uint8 (f, h, w, 3) side by side."""
    frames = clip[np.linspace(0, len(clip) - 1, COLUMNS).round().astype(int)].repeat(SCALE, 1).repeat(SCALE, 2)
    framed = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=PAPER[0])
    return Image.fromarray(np.concatenate(list(framed), 1)[:, :-GAP])
