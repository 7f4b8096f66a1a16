"""What the stages of a chain have made, kept on disk and found again by all that decides it, so that nothing is made twice.

A result is a folder named by its key: the frames without loss, a preview, and what is known of them. The folder of all results is
bounded: those that were not used for longest go first. Beside them is noted which results a job has, for whoever comes back to it.
Pixel video is uint8 (f, h, w, 3).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import StorageError

from . import media

MOST_BYTES = 2**30
ORDER = ("clip", "picture", "last_picture", "motion", "longer", "smooth", "steady", "sharp")  # the first three are given, or drawn
FRAMES, ABOUT, NOTES = "frames.mkv", "about.json", "jobs"
PREVIEW_FRAMES, PREVIEW_FPS = 240, 50.0  # at most: a preview is looked at, not kept
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MadeStage:
    """A stage whose result is there.

    Args:
        name: one of `ORDER`.
        preview: a looping WebP, or a PNG of a single picture, at the result's own size.
        frames: of the result.
        width: pixels.
        height: pixels.
        fps: frames a second.
        seconds: that making it took, whenever that was.
        cached: it was there before this job.
    """

    name: str
    preview: Path
    frames: int
    width: int
    height: int
    fps: float
    seconds: float
    cached: bool


@dataclass(frozen=True)
class Stored:
    """A kept result: its key, where it is, and `pixels`, a hash of its frames."""

    key: str
    folder: Path
    frames: int
    width: int
    height: int
    fps: float
    seconds: float
    pixels: str

    @property
    def preview(self) -> Path:
        return self.folder / ("preview.png" if self.frames == 1 else "preview.webp")

    def shown(self, name: str, cached: bool) -> MadeStage:
        """As the result of a stage of that name."""
        return MadeStage(name, self.preview, self.frames, self.width, self.height, self.fps, self.seconds, cached)


class Stages:
    """All kept results of a data folder.

    Args:
        folder: where they are.
        most_bytes: that they take together.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes

    def find(self, key: str) -> Stored | None:
        """The result of that key, which counts as used now; None where there is none."""
        stored = self._read(key)
        if stored:
            try:
                os.utime(stored.folder)
            except OSError as error:
                log.warning("%s cannot be marked as used: %s", stored.folder, error)
        return stored

    def keep(self, key: str, frames: np.ndarray, fps: float, seconds: float, needed: Collection[str] = ()) -> Stored:
        """Writes a result, and makes room for it; `needed` are keys that stay whatever their age.

        Raises:
            StorageError: when it cannot be written.
        """
        height, width = frames.shape[1:3]
        stored = Stored(key, self.folder / key, len(frames), width, height, fps, seconds, pixels_hash(frames))
        unfinished = self.folder / f".{key}.{uuid.uuid4().hex[:6]}.unfinished"
        try:
            unfinished.mkdir(parents=True)
            media.write_lossless(frames, fps, unfinished / FRAMES)
            write_looped(frames, fps, unfinished / stored.preview.name)
            about = {name: value for name, value in asdict(stored).items() if name not in ("key", "folder")}
            (unfinished / ABOUT).write_text(json.dumps(about), encoding="utf-8")
            shutil.rmtree(stored.folder, ignore_errors=True)
            os.replace(unfinished, stored.folder)
        except OSError as error:
            raise StorageError(f"{str(stored.folder)!r} cannot be written ({error.strerror or error}).", media.REMEDY) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self.prune({key, *needed})
        return stored

    def frames(self, stored: Stored) -> np.ndarray:
        """The frames of a result, exactly.

        Raises:
            StorageError: when they are damaged or gone; then the result is forgotten.
        """
        try:
            frames = media.read_lossless(stored.folder / FRAMES, stored.width, stored.height)
        except StorageError:
            frames = np.empty((0, stored.height, stored.width, 3), np.uint8)
        if pixels_hash(frames) != stored.pixels:
            shutil.rmtree(stored.folder, ignore_errors=True)
            raise StorageError(f"A kept result of {stored.frames} frames is damaged.", "Run the job again: it is made anew.")
        return frames

    def prune(self, needed: Collection[str]) -> None:
        """Removes what was not used for longest until the rest fits, and the notes of jobs that have nothing left."""
        folders = sorted((each for each in self._results()), key=_used)
        sizes = {each: sum(file.stat().st_size for file in each.glob("*") if file.is_file()) for each in folders}
        total = sum(sizes.values())
        for each in folders:
            if total > self.most_bytes and each.name not in needed:
                shutil.rmtree(each, ignore_errors=True)
                total -= sizes[each]
        for unfinished in self.folder.glob(".*.unfinished"):  # of a studio that was killed: there is one writer, and it is here
            shutil.rmtree(unfinished, ignore_errors=True)
        left = {each.name for each in self._results()}
        for note in (self.folder / NOTES).glob("*.json"):
            if not any(line["key"] in left for line in _lines(note)):
                note.unlink(missing_ok=True)

    def note(self, job_id: str, made: Sequence[tuple[str, Stored, bool]]) -> None:
        """Which results a job has: the stage's name, the result, and whether it was there before the job.

        Raises:
            StorageError: when it cannot be written.
        """
        lines = [{"name": name, "key": stored.key, "cached": cached} for name, stored, cached in made]
        media.write_text(json.dumps(lines), self.folder / NOTES / f"{job_id}.json")

    def of_job(self, job_id: str) -> tuple[MadeStage, ...]:
        """The stages of a job that are still kept, in order."""
        lines = _lines(self.folder / NOTES / f"{job_id}.json")
        kept = [(line, self._read(line["key"])) for line in lines]
        return tuple(stored.shown(line["name"], line["cached"]) for line, stored in kept if stored)

    def stored_of(self, job_id: str, name: str) -> Stored | None:
        """The result of one stage of a job; None where it is not kept (any more)."""
        return next((self.find(line["key"]) for line in _lines(self.folder / NOTES / f"{job_id}.json") if line["name"] == name), None)

    def _read(self, key: str) -> Stored | None:
        folder = self.folder / key
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            stored = Stored(key, folder, **about)
        except (OSError, ValueError, TypeError):
            return None
        return stored if (folder / FRAMES).is_file() and stored.preview.is_file() else None

    def _results(self) -> list[Path]:
        try:
            return [each for each in self.folder.iterdir() if each.is_dir() and each.name != NOTES and not each.name.startswith(".")]
        except OSError:
            return []


def key_of(decides: Mapping[str, Any]) -> str:
    """A short name for everything that decides a result; two results of one key are the same."""
    return hashlib.sha256(json.dumps(dict(decides), sort_keys=True).encode()).hexdigest()[:24]


def pixels_hash(frames: np.ndarray) -> str:
    """A short name for the content of frames uint8 (f, h, w, 3)."""
    return hashlib.sha256(f"{frames.shape}".encode() + np.ascontiguousarray(frames).tobytes()).hexdigest()[:24]


def write_looped(frames: np.ndarray, fps: float, path: Path) -> None:
    """A preview of frames uint8 (f, h, w, 3): a PNG of one, else a WebP that skips some where there are many or they come fast."""
    if len(frames) == 1:
        return media.write_picture(frames[0], path)
    every = max(1, -(-len(frames) // PREVIEW_FRAMES), -(-fps // PREVIEW_FPS))
    media.write_preview(frames[:: int(every)], fps / every, path)


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _lines(note: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return []
