"""A clip to tune on: what it is, a strip of pictures to trim it by, and exactly the frames that a model will see.

ffmpeg says what a file is without reading it, and decodes no more than what is asked for: an hour costs as much as a second. It turns
phone clips upright, and frames are taken by time, so that a varying frame rate does no harm. Pixel video is uint8 (f, h, w, 3), RGB.
"""

from __future__ import annotations

import io
import math
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from pipelines.errors import InvalidInput, StorageError

from . import media
from .training_requests import Fitting, TuningRequest

SUFFIXES = (".mp4", ".mov", ".webm", ".gif")
REMEDY = "Choose an MP4, MOV, WebM or GIF."
UNKNOWN_SECONDS = 60  # of a clip that does not say how long it is, no more is looked at
STRIP = 10  # pictures
STRIP_SIDE = 96  # pixels
MOST_SECONDS = 60.0  # that reading may take
GROUND = 255  # what stands behind transparent parts


@dataclass(frozen=True)
class ClipFacts:
    """What a file says of itself.

    Args:
        seconds: how long it is.
        fps: frames a second; their mean where they vary.
        width, height: upright, in pixels.
        turned: it was stored lying and says so.
        alpha: it may have transparent parts.
        decoder: what ffmpeg needs to be told to see them.
    """

    seconds: float
    fps: float
    width: int
    height: int
    turned: bool = False
    alpha: bool = False
    decoder: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """About how many there are."""
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True)
class SourceClip:
    """Frames uint8 (f, h, w, 3) as a model sees them, how fast they play, and what was done to them, a sentence each."""

    frames: np.ndarray
    fps: float
    notes: tuple[str, ...] = ()


def probe(path: Path) -> ClipFacts:
    """What the file is; nothing is decoded.

    Raises:
        InvalidInput: when it is no video, or has no picture.
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    told = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stderr.decode(errors="replace")
    picture = re.search(r"Stream #.*?: Video: (\w+).*?(?=\n\s*Stream #|\Z)", told, re.DOTALL)
    if not picture and "Audio:" in told:
        raise InvalidInput(f"{path.name!r} has sound, but no picture.", REMEDY)
    size = re.search(r", (\d+)x(\d+)\b", picture[0]) if picture else None
    if not picture or not size:
        raise InvalidInput(f"{path.name!r} cannot be read as a video.", REMEDY)
    width, height = int(size[1]), int(size[2])
    turn = re.search(r"rotation of (-?[\d.]+) degrees", picture[0])
    turned = turn is not None and round(float(turn[1])) % 180 == 90
    hidden = re.search(r"alpha_mode\s*: 1", picture[0]) is not None  # ffmpeg's own decoders of VP8 and VP9 leave it out
    codec = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(picture[1], "")
    return ClipFacts(
        seconds=_seconds(told) or _counted_seconds(path),
        fps=_fps(picture[0]),
        width=height if turned else width,
        height=width if turned else height,
        turned=turned,
        alpha=hidden or re.search(r", (yuva|rgba|bgra|argb|abgr|gbra|ya\d|pal8)", picture[0]) is not None,
        decoder=("-c:v", codec) if hidden and codec else (),
    )


def _seconds(told: str) -> float:
    found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", told)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else 0.0


def _counted_seconds(path: Path) -> float:
    """Of a clip that does not say: from the times of its packets, for as long as we look."""
    listing = _output(path, ["-t", str(UNKNOWN_SECONDS), "-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]).decode()
    base = re.search(r"#tb 0: (\d+)/(\d+)", listing)
    packets = [line.split(",") for line in listing.splitlines() if line and not line.startswith("#")]
    if not base or not packets:
        return 0.0
    end = max(int(packet[2]) + int(packet[3]) for packet in packets)
    return end * int(base[1]) / int(base[2])


def _fps(picture: str) -> float:
    found = re.search(r"([\d.]+) fps", picture) or re.search(r"([\d.]+) tbr", picture)
    rate = float(found[1]) if found else 25.0
    return rate if 0.01 <= rate <= 240 else 25.0


def usual_stride(facts: ClipFacts, frames: int, fps: float) -> int:
    """The stride that comes closest to a model's frame rate and still finds enough frames in the clip."""
    return max(1, min(round(facts.fps / fps), (facts.frames - 1) // max(1, frames - 1), 240))


def strip(path: Path, facts: ClipFacts) -> list[tuple[float, bytes]]:
    """(seconds, small JPEG) evenly over the clip; each is found by seeking."""
    size = max(2, round(facts.width * STRIP_SIDE / facts.height / 2) * 2), STRIP_SIDE
    pictures = []
    for i in range(min(STRIP, facts.frames)):
        at = facts.seconds * (i + 0.5) / min(STRIP, facts.frames)
        frames = _decode(path, facts, at, 1, size, f"scale={size[0]}:{size[1]}:flags=area")
        if len(frames):
            pictures.append((at, jpeg(frames[0])))
    return pictures


def jpeg(frame: np.ndarray) -> bytes:
    """A frame uint8 (h, w, 3 or 4) as a small file."""
    written = io.BytesIO()
    Image.fromarray(_composited(frame[None])[0]).save(written, "JPEG", quality=85)
    return written.getvalue()


def read(path: Path, request: TuningRequest, size: tuple[int, int]) -> SourceClip:
    """Exactly the frames that a model of this size (width, height) will see.

    Raises:
        InvalidInput: when there are too few.
    """
    facts = probe(path)
    fps = facts.fps / request.stride
    # Half an interval later, rounding to the nearest place shows there the last frame that had begun by then.
    filters = f"{_shaped(facts, size, request.fit)},setpts=PTS+{0.499 / fps:.6f}/TB,fps=fps={fps:.6f}:start_time=0"
    frames = _decode(path, facts, request.start, request.frames, size, filters)
    if len(frames) < request.frames:
        _refuse(path, request, len(frames), facts)
    return SourceClip(_composited(frames), min(60.0, max(1.0, fps)), tuple(_notes(facts, frames)))


def read_whole(path: Path, size: tuple[int, int], most: int) -> SourceClip:
    """All its frames, at most so many, as a model of this size (width, height) takes them: the largest middle part of its proportions.

    Raises:
        InvalidInput: when it cannot be read, or not within a minute.
    """
    facts = probe(path)
    filters = f"{_shaped(facts, size, 'crop')},fps=fps={facts.fps:.6f}:start_time=0"
    frames = _decode(path, facts, 0.0, most, size, filters)
    if not len(frames):
        raise InvalidInput(f"{path.name!r} is damaged: no frame of it can be read.", REMEDY)
    notes = _notes(facts, frames)
    if abs(facts.width * size[1] - facts.height * size[0]) > max(facts.width, facts.height):
        notes.append(f"Cropped from {facts.width} x {facts.height} to the middle.")
    if len(frames) < min(most, 0.9 * facts.frames - 1):
        notes.append(f"Of about {facts.frames:,} frames, {len(frames):,} could be read.")
    if len(frames) == most and facts.frames > most:
        notes.append(f"Of about {facts.frames:,} frames, the first {most:,} were taken.")
    return SourceClip(_composited(frames), facts.fps, tuple(notes))


def _notes(facts: ClipFacts, frames: np.ndarray) -> list[str]:
    notes = ["It was stored lying on its side, and stands upright here."] if facts.turned else []
    if frames.shape[-1] == 4 and frames[..., 3].min() < 255:
        notes.append("Its transparent parts were put on white.")
    return notes


def _refuse(path: Path, request: TuningRequest, found: int, facts: ClipFacts) -> None:
    if found < 2 and facts.frames < 2:
        raise InvalidInput(f"{path.name!r} has one frame.", "Motion needs two or more: choose a clip.")
    if not found and not request.start:
        raise InvalidInput(f"{path.name!r} is damaged: no frame of it can be read.", REMEDY)
    given = {0: "no frame", 1: "one frame"}.get(found, f"{found} frames")
    happened = f"From {request.start:g} s on, with stride {request.stride}, {path.name!r} ({facts.seconds:.1f} s) gives {given}."
    less = f"Ask for at most {found} frames, or choose" if found >= 2 else "Choose"
    raise InvalidInput(happened, f"{less} a smaller stride or an earlier start.")


def _shaped(facts: ClipFacts, size: tuple[int, int], fit: Fitting) -> str:
    """ffmpeg's filters that bring a clip to a size (width, height)."""
    width, height = size
    smaller = facts.width >= width and facts.height >= height
    how = "increase" if fit == "crop" else "decrease"
    scaled = f"scale={width}:{height}:force_original_aspect_ratio={how}:flags={'area' if smaller else 'bicubic'}"
    return f"{scaled},crop={width}:{height}" if fit == "crop" else f"{scaled},pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"


def _decode(path: Path, facts: ClipFacts, start: float, count: int, size: tuple[int, int], filters: str) -> np.ndarray:
    """At most `count` frames of a size (width, height) from `start` on, uint8 (f, h, w, 3), or 4 where there may be transparency."""
    channels, pixels = (4, "rgba") if facts.alpha else (3, "rgb24")
    after = ["-map", "0:v:0", "-an", "-vf", f"format={pixels},{filters}", "-frames:v", str(count)]
    data = _output(path, [*after, "-f", "rawvideo", "-"], [*facts.decoder, "-ss", f"{start:.6f}"])
    shape = (size[1], size[0], channels)
    whole = len(data) // math.prod(shape)
    return np.frombuffer(data, np.uint8)[: whole * math.prod(shape)].reshape(whole, *shape).copy()  # torch wants it writable


def _composited(frames: np.ndarray) -> np.ndarray:
    """Transparent parts on white: (f, h, w, 3 or 4) to (f, h, w, 3)."""
    if frames.shape[-1] == 3:
        return frames
    share = frames[..., 3:].astype(np.float32) / 255
    return (frames[..., :3] * share + GROUND * (1 - share)).round().astype(np.uint8)


def _output(path: Path, after: list[str], before: list[str] | None = None) -> bytes:
    try:
        return media.ffmpeg([*(before or []), "-i", str(path), *after], seconds=MOST_SECONDS)
    except OSError as error:
        raise InvalidInput(f"{path.name!r} cannot be read to the end ({error}).", REMEDY) from error


# -- Kept frames ------------------------------------------------------------------------------------------------------


def pack(frames: np.ndarray) -> bytes:
    """Frames uint8 (f, h, w, 3) as one PNG, under each other: a moving picture would join frames that are alike."""
    written = io.BytesIO()
    Image.fromarray(frames.reshape(-1, *frames.shape[2:])).save(written, "PNG")
    return written.getvalue()


def unpack(data: bytes, count: int) -> np.ndarray:
    """What `pack` was given, exactly: so many frames.

    Raises:
        StorageError: when it is damaged.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB"))
        return pixels.reshape(count, -1, *pixels.shape[1:]).copy()
    except (OSError, ValueError) as error:
        raise StorageError("The frames of the clip cannot be read.", "Tune on the clip again.") from error
