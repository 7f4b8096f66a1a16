"""A folder of a person's clips as training material: found, captioned, checked, cropped, and brought to a model's frame rate.

A caption is a text file beside its clip (NAME.txt), a row of `captions.csv` (file_name, text) or of `metadata.jsonl`, or one caption
for all that have none of their own. No torch here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import InvalidInput

SUFFIXES = (".mp4", ".mov", ".webm", ".gif")
MAX_BYTES = 2 * 10**9
MAX_SECONDS = 600.0
MAX_WINDOWS = 16  # training clips that one long clip gives
REMEDY = f"Give a folder with {', '.join(s[1:].upper() for s in SUFFIXES[:-1])} or GIF files."


@dataclass(frozen=True)
class ClipFile:
    """A clip on disk and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True)
class ClipFolder:
    """Clips as a model wants them.

    Args:
        pixels: uint8 (n, f, h, w, 3).
        captions: one a clip.
        notes: what was done to them that a person should know, a sentence each.
    """

    pixels: np.ndarray
    captions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Path | Sequence[Path], caption: str = "", *, width: int, height: int, frames: int, fps: float) -> ClipFolder:
        """Reads a folder, or a list of files. A clip that lasts longer than a model's gives several, one after another.

        Raises:
            InvalidInput: nothing there, nothing readable, a file too large or too long, or no caption; naming the file.
        """
        files = find_clips(source, caption)
        shapes: set[tuple[int, int]] = set()
        windows, captions, unreadable, short = [], [], [], []
        for file in files:
            cut, shape, stretched = _read_clip(file.path, width, height, frames, fps)
            if not cut:
                unreadable.append(file.path.name)
                continue
            shapes.add(shape)
            short += [file.path.name] * stretched
            windows += cut
            captions += [file.caption] * len(cut)
        if not windows:
            raise InvalidInput(f"None of {len(files)} clips can be read, {unreadable[0]!r} first.", REMEDY)
        return cls(np.stack(windows), tuple(captions), _notes(shapes, unreadable, short, (width, height)))


def find_clips(source: Path | Sequence[Path], caption: str = "") -> list[ClipFile]:
    """The clips and their captions, by name; nothing is decoded.

    Args:
        source: a folder, or files.
        caption: for clips that have none of their own.

    Raises:
        InvalidInput: see `ClipFolder.read`.
    """
    paths = _paths(source)
    listed = {folder: _listed_captions(folder) for folder in {path.parent for path in paths}}
    files = []
    for path in paths:
        if path.stat().st_size > MAX_BYTES:
            size = path.stat().st_size / 1e9
            raise InvalidInput(f"{path.name!r} has {size:.1f} GB.", f"Cut it into clips of at most {MAX_BYTES / 1e9:.0f} GB.")
        beside = path.with_suffix(".txt")
        own = beside.read_text(encoding="utf-8", errors="replace").strip() if beside.is_file() else listed[path.parent].get(path.name, "")
        if not (own or caption.strip()):
            raise InvalidInput(
                f"{path.name!r} has no caption.", f"Write one into {beside.name!r} beside it, or give one caption for all clips."
            )
        files.append(ClipFile(path, own or caption.strip()))
    return files


def _paths(source: Path | Sequence[Path]) -> list[Path]:
    if isinstance(source, Path):
        if not source.is_dir():
            raise InvalidInput(f"There is no folder {str(source)!r}.", REMEDY)
        try:
            found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
        except OSError as error:
            raise InvalidInput(f"The folder {str(source)!r} cannot be read ({error.strerror}).", REMEDY) from error
        if not found:
            raise InvalidInput(f"There are no clips in {str(source)!r}.", REMEDY)
        return found
    if not source:
        raise InvalidInput("No clips were given.", REMEDY)
    for path in source:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise InvalidInput(f"{path.name!r} is no clip that can be read.", REMEDY)
    return list(source)


def _listed_captions(folder: Path) -> dict[str, str]:
    """File name -> caption, from `captions.csv` and `metadata.jsonl`."""
    captions: dict[str, str] = {}
    for name, parse in (("captions.csv", _csv_rows), ("metadata.jsonl", _json_rows)):
        try:
            rows = parse((folder / name).read_text(encoding="utf-8").splitlines()) if (folder / name).is_file() else []
            captions |= {_first(row, "file_name", "file"): _first(row, "text", "caption").strip() for row in rows}
        except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
            raise InvalidInput(f"The captions in {name!r} cannot be read ({error}).", "Give the columns file_name and text.") from error
    return captions


def _csv_rows(lines: list[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(lines))


def _json_rows(lines: list[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in lines if line.strip()]


def _first(row: dict[str, str], *names: str) -> str:
    for name in names:
        if row.get(name) is not None:
            return str(row[name])
    raise KeyError(names[0])


# ---------------------------------------------------------------------------------------------------------------------
# Decoding


def _read_clip(path: Path, width: int, height: int, frames: int, fps: float) -> tuple[list[np.ndarray], tuple[int, int], bool]:
    """(windows uint8 (frames, height, width, 3), the file's own width and height, whether it was too short and was slowed down).

    No windows where it cannot be read. Reading ends after MAX_WINDOWS: a long file is never decoded whole.
    """
    video = cv2.VideoCapture(str(path))
    try:
        rate = video.get(cv2.CAP_PROP_FPS)
        rate = rate if 0.1 <= rate <= 1000 else 25.0
        seconds = video.get(cv2.CAP_PROP_FRAME_COUNT) / rate
        if seconds > MAX_SECONDS:
            raise InvalidInput(f"{path.name!r} lasts {seconds / 60:.0f} minutes.", f"Cut it into clips of at most {MAX_SECONDS / 60:.0f}.")
        kept, shape = _sample(video, rate, (width, height), MAX_WINDOWS * frames, fps)
    finally:
        video.release()
    if not kept:
        return [], shape, False
    if len(kept) < frames:
        spread = np.linspace(0, len(kept) - 1, frames).round().astype(int)
        return [np.stack([kept[i] for i in spread])], shape, True
    starts = range(0, len(kept) - frames + 1, frames)
    return [np.stack(kept[start : start + frames]) for start in starts], shape, False


def _sample(
    video: cv2.VideoCapture, rate: float, size: tuple[int, int], count: int, fps: float
) -> tuple[list[np.ndarray], tuple[int, int]]:
    """At most `count` frames at `fps`, cropped and resized, RGB; and the file's own width and height."""
    kept: list[np.ndarray] = []
    shape, index = (0, 0), 0
    while len(kept) < count:
        there, frame = video.read()
        if not there:
            break
        shape = (frame.shape[1], frame.shape[0])
        # A slow clip shows a frame for several of ours.
        while len(kept) < count and len(kept) / fps < (index + 1) / rate - 1e-6:
            kept.append(crop(frame, size)[..., ::-1])
        index += 1
    return kept, shape


def crop(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The centre of a frame (h, w, 3) in the shape of size (width, height), resized to it."""
    (height, width), (w, h) = frame.shape[:2], size
    scale = min(width / w, height / h)
    cut_w, cut_h = max(1, round(w * scale)), max(1, round(h * scale))
    left, top = (width - cut_w) // 2, (height - cut_h) // 2
    return cv2.resize(frame[top : top + cut_h, left : left + cut_w], size, interpolation=cv2.INTER_AREA)


def _notes(shapes: set[tuple[int, int]], unreadable: list[str], short: list[str], size: tuple[int, int]) -> tuple[str, ...]:
    notes = []
    if len(shapes) > 1:
        sizes = ", ".join(f"{w} x {h}" for w, h in sorted(shapes))
        notes.append(f"The clips have different sizes ({sizes}); the middle of each was cut to {size[0]} x {size[1]}.")
    if unreadable:
        notes.append(f"{len(unreadable)} could not be read and were left out: {', '.join(unreadable[:5])}.")
    if short:
        notes.append(f"{len(short)} were shorter than the model's clips and were slowed down: {', '.join(short[:5])}.")
    return tuple(notes)
