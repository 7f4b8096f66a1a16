"""Pictures and clips that jobs start from: frames of the history's videos, and a person's own, kept once under the name of their content.

What is kept has the model's size and lost nothing since: pictures are PNG, clips FFV1. A source's text (`reference_requests.py`) names
either; here it becomes pixels, uint8 (f, h, w, 3).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipelines import families
from pipelines.defaults import MOST_FRAMES
from pipelines.errors import InvalidInput, StorageError
from pipelines.pictures import read_picture

from . import media, source_clips
from .history import ClipRecord, History
from .reference_requests import Source, source_of
from .source_clips import SourceClip
from .stages import pixels_hash

MOST_KEPT = MOST_FRAMES // 2  # frames of an upload: twice as smooth, it is as long as a clip may be
GONE = "It may have been deleted: give it again."


@dataclass(frozen=True)
class Kept:
    """A picture or clip that was taken in: its name as a source, what was done to it, a sentence each, and how it plays."""

    name: str
    notes: tuple[str, ...] = ()
    frames: int = 1
    fps: float = 1.0


class Sources:
    """All sources of a data folder.

    Args:
        data_dir: pictures and clips are kept in its `sources/`.
        model_dir: its model's size is theirs.
        history: has the videos.
    """

    def __init__(self, data_dir: Path, model_dir: Path, history: History) -> None:
        self.folder, self.model_dir, self.history = data_dir / "sources", model_dir, history

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in the model's pixels."""
        own = families.defaults(self.model_dir)
        return own.width, own.height

    # -- Taking in ----------------------------------------------------------------------------------------------------

    def add_picture(self, path: str | Path, size: tuple[int, int] | None = None) -> Kept:
        """Keeps a picture, cropped to a width and height: the model's, unless others are given.

        Raises:
            InvalidInput: when it is none, or too large or small.
            StorageError: when there is no room.
        """
        picture = read_picture(path, *(size or self.size))
        return Kept(self.keep_pixels(picture.pixels), picture.notes)

    def keep_pixels(self, pixels: np.ndarray) -> str:
        """Keeps a picture uint8 (h, w, 3) as it is; returns its name as a source."""
        name = f"{pixels_hash(pixels[None])}.png"
        if not (self.folder / name).is_file():
            media.write_picture(pixels, self.folder / name)
        return name

    def add_clip(self, path: str | Path) -> Kept:
        """Keeps a clip, cropped to the model's size; of a very long one, its beginning.

        Raises:
            InvalidInput: when it cannot be read, or not within a minute.
            StorageError: when there is no room.
        """
        path = Path(path)
        if not path.is_file():
            raise InvalidInput(f"There is no clip {path.name!r}.", source_clips.REMEDY)
        clip = source_clips.read_whole(path, self.size, MOST_KEPT)
        name = f"{pixels_hash(clip.frames)}{round(1000 * clip.fps):x}.mkv"
        about = {"frames": len(clip.frames), "fps": clip.fps, "width": clip.frames.shape[2], "height": clip.frames.shape[1]}
        if not self._about(name).is_file():
            media.write_lossless(clip.frames, clip.fps, self.folder / name)
            media.write_text(json.dumps(about), self._about(name))
        return Kept(name, clip.notes, len(clip.frames), clip.fps)

    # -- Giving out ---------------------------------------------------------------------------------------------------

    def picture(self, text: str, size: tuple[int, int] | None = None) -> np.ndarray:
        """The picture that a source names, at a width and height, the model's unless others are given, uint8 (h, w, 3); of a clip, its
        first frame unless it says which.

        Raises:
            InvalidInput: when it is not there, or the clip has no such frame.
            JobError, StorageError: when the video is gone.
        """
        source = read_source(text)
        if source.file.endswith(".png"):
            return read_picture(self._file(source.file), *(size or self.size)).pixels
        frame = source.frame or 0
        frames = self.clip(text.partition("#")[0]).frames
        return fitted(frame_of(frames, frame, text), *(size or self.size))

    def clip(self, text: str) -> SourceClip:
        """The clip that a source names, in its own pixels: those of a model, not of the file, which may be enlarged.

        Raises:
            InvalidInput: when it is not there, or a picture.
            JobError, StorageError: when the video is gone.
        """
        source = read_source(text)
        if source.file.endswith(".png") or source.frame is not None:
            raise InvalidInput(f"{text!r} is a picture.", "Give a clip.")
        if source.clip:
            record = self.history.get(source.clip)
            return SourceClip(small_frames(record), record.fps)
        about = self.facts(text)
        return SourceClip(media.read_lossless(self._file(source.file), about.width, about.height), about.fps)

    def facts(self, text: str) -> source_clips.ClipFacts:
        """How a clip plays and how large it is; none of it is decoded.

        Raises:
            InvalidInput: when it is not there, or a picture.
            JobError: when the video is gone.
        """
        source = read_source(text)
        if source.file.endswith(".png") or source.frame is not None:
            raise InvalidInput(f"{text!r} is a picture.", "Give a clip.")
        if source.clip:
            clip = self.history.get(source.clip)
            return source_clips.ClipFacts(clip.frames / clip.fps, clip.fps, clip.width, clip.height)
        self._file(source.file)
        try:
            about = json.loads(self._about(source.file).read_text(encoding="utf-8"))
            return source_clips.ClipFacts(about["frames"] / about["fps"], about["fps"], about["width"], about["height"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"What is known of the clip {text!r} cannot be read.", GONE) from error

    def _file(self, name: str) -> Path:
        if not (self.folder / name).is_file():
            raise InvalidInput(f"The file {name!r} is not kept any more.", GONE)
        return self.folder / name

    def _about(self, name: str) -> Path:
        return (self.folder / name).with_suffix(".json")


def fitted(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture (h, w, 3) cut and scaled to a size; as it is where it has that size."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS))


def read_source(text: str) -> Source:
    """What a source's text means; raises InvalidInput."""
    try:
        return source_of(text)
    except ValueError as error:
        raise InvalidInput(f"There is no picture or clip {text!r}.", "Give clip:ID, clip:ID#FRAME or what was uploaded.") from error


def frame_of(frames: np.ndarray, frame: int, what: str) -> np.ndarray:
    """One of frames (f, h, w, 3), from 0; from the end where it is negative.

    Raises:
        InvalidInput: when there is no such frame.
    """
    if not -len(frames) <= frame < len(frames):
        raise InvalidInput(f"Frame {frame} of {what!r} was asked for.", f"It has {len(frames)}: give 0 to {len(frames) - 1}.")
    return frames[frame]


def small_frames(clip: ClipRecord) -> np.ndarray:
    """A clip's frames as the model made them, uint8 (f, h, w, 3): small ones were enlarged for the file."""
    frames = media.read_frames(clip.path)
    count, height = frames.shape[:2]
    factor = height // clip.height
    blocks = frames.reshape(count, clip.height, factor, clip.width, factor, 3)
    return blocks.mean((2, 4)).round().astype("uint8")
