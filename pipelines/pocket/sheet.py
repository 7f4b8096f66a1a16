"""Contact sheets: one row a clip, its caption above it, what the oracle read differently marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .captions import plain_caption
from .evaluate import Report, wrong_attributes

COLUMNS = 8  # frames of a clip that are shown
SCALE = 2  # nearest neighbour
MARGIN, GAP, LABEL = 8, 2, 20  # pixels
INK, WRONG, PAPER = (32, 33, 36), (200, 30, 45), (250, 250, 248)


def write_sheet(report: Report, path: Path) -> None:
    """Writes the report's sample clips as a PNG. Does nothing where there are none."""
    if not report.samples:
        return
    strips = [_strip(clip) for clip in report.samples]
    height, width = strips[0].height + LABEL + GAP, max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width + 2 * MARGIN, height * len(strips) + 2 * MARGIN), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, (strip, asked, read) in enumerate(zip(strips, report.asked, report.read, strict=False)):
        top = MARGIN + row * height
        text = plain_caption(asked)
        wrong = [f"{name} read as {getattr(read, name) or 'none'}" for name in wrong_attributes(asked, read)]
        draw.text((MARGIN, top + 2), text, INK, font)
        draw.text((MARGIN + draw.textlength(text + "   ", font), top + 2), ", ".join(wrong), WRONG, font)
        sheet.paste(strip, (MARGIN, top + LABEL))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _strip(clip: np.ndarray) -> Image.Image:
    """Evenly spaced frames of a clip uint8 (f, h, w, 3) side by side."""
    frames = clip[np.linspace(0, len(clip) - 1, COLUMNS).round().astype(int)].repeat(SCALE, 1).repeat(SCALE, 2)
    framed = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=PAPER[0])
    return Image.fromarray(np.concatenate(list(framed), 1)[:, :-GAP])
