"""Clips in and out: MP4 with the settings inside, GIF, live previews, thumbnails. Pixel video is uint8 (f, h, w, 3), RGB.

Small clips are enlarged by a whole factor before encoding: 4:2:0 chroma, the only kind every browser plays, would smear 64-pixel
frames. Whatever is written appears under its name at once and whole, or not at all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image

from pipelines.errors import InvalidInput, StorageError

KEY_EVERY = 12  # frames: any frame is found by decoding at most so many, which keeps stepping and the wall quick
QUICK_PIXELS = 2**22  # of all shown frames: up to 64 of 256 x 256; their making is too short to wait for a small file
# Both at the same error (43.6 dB on clips of the pocket model); the quick one takes 0.4 times as long and 1.7 times the bytes.
SMALL, QUICK = "-preset fast -crf 12", "-preset ultrafast -crf 11"
SHOWN_SIDE = 256  # pixels: clips smaller than this are enlarged
PREVIEW_SIDE = 384  # pixels: previews of larger clips are thinned
EVERY_FRAME = ["-map", "0:v:0", "-fps_mode", "passthrough"]  # neither doubled nor dropped for the sake of a rate
MIN_FREE_BYTES = 64 * 2**20
REMEDY = "Check that the folder is writable and has free space, or choose another with --data."


def enlarge(frames: np.ndarray) -> np.ndarray:
    """By the whole factor that brings the longer side to at most 256 pixels, each pixel a crisp square; even sides, as H.264 wants."""
    height, width = frames.shape[1:3]
    factor = max(1, SHOWN_SIDE // max(height, width))
    if height * factor % 2 or width * factor % 2:
        factor *= 2
    return frames.repeat(factor, axis=2).repeat(factor, axis=1)  # whole rows are copied last, which is quicker


def write_mp4(frames: np.ndarray, fps: float, path: Path, request: str, provenance: Mapping[str, Any]) -> None:
    """H.264 that every browser plays.

    Args:
        frames: uint8 (f, h, w, 3).
        fps: frames a second.
        path: ends in .mp4.
        request: JSON of the request that makes this video; it becomes the file's comment.
        provenance: what made it (versions, weight hashes); as JSON it becomes the file's description.

    Raises:
        StorageError: when it cannot be written; nothing is left behind.
    """
    shown = enlarge(frames)
    scale = shown.shape[1] // frames.shape[1]
    tags = {"comment": request, "description": json.dumps({**provenance, "scale": scale})}
    # Set on the frames: newer ffmpeg overrules the encoder's own options, and a browser that is told only half shows other hues.
    colours = "-vf scale=out_color_matrix=bt709:out_range=tv,setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    preset = QUICK if shown.size <= 3 * QUICK_PIXELS else SMALL
    with _whole(path) as unfinished:
        ffmpeg(
            [
                *f"-f rawvideo -pix_fmt rgb24 -s {shown.shape[2]}x{shown.shape[1]} -r {fps:g} -i -".split(),
                *f"{colours} -c:v libx264 {preset} -g {KEY_EVERY} -pix_fmt yuv420p -movflags +faststart".split(),
                *(part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")),
                *("-f", "mp4", str(unfinished)),
            ],
            shown.tobytes(),
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """What `write_mp4` put in: {"request": JSON text, "versions": ..., "weights": ..., "scale": ...}.

    Raises:
        InvalidInput: when it is no video, or not one of the studio's.
    """
    try:
        text = ffmpeg(["-i", str(path), "-f", "ffmetadata", "-"]).decode(errors="replace")
    except OSError as error:
        raise InvalidInput(f"{path.name!r} cannot be read as a video.", "Choose an MP4 that the studio wrote.") from error
    pairs = re.findall(r"^([^;#=\n]+)=((?:[^\\\n]|\\[\s\S])*)$", text, re.MULTILINE)
    tags = {key: re.sub(r"\\([\s\S])", r"\1", value) for key, value in pairs}
    try:
        return {**json.loads(tags["description"]), "request": tags["comment"]}
    except (KeyError, json.JSONDecodeError, TypeError) as error:
        raise InvalidInput(
            f"{path.name!r} carries no settings.", "Choose an MP4 that the studio wrote and no other program changed."
        ) from error


def read_frames(path: Path) -> np.ndarray:
    """All frames of an MP4, each as often as it is in the file, uint8 (f, h, w, 3).

    Raises:
        StorageError: when it cannot be read.
    """
    from moviepy.video.io.ffmpeg_reader import FFMPEG_VideoReader  # takes half a second, which no start of the page should wait for

    try:
        count, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
        reader = FFMPEG_VideoReader(str(path))
        # Counted, and one after another: by its time, a frame is off by one at rates like 11.
        frames = np.stack([reader.last_read, *(reader.read_frame() for _ in range(count - 1))])
        reader.close()
        return frames
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise StorageError(f"The video {str(path)!r} cannot be read.", "It may have been moved or deleted.") from error


def write_lossless(frames: np.ndarray, fps: float, path: Path) -> None:
    """FFV1 of frames uint8 (f, h, w, 3), exactly; for ourselves, no browser plays it.

    Raises:
        StorageError: when it cannot be written.
    """
    source = f"-f rawvideo -pix_fmt rgb24 -s {frames.shape[2]}x{frames.shape[1]} -r {fps:g} -i -".split()
    with _whole(path) as unfinished:
        ffmpeg([*source, "-c:v", "ffv1", "-pix_fmt", "gbrp", "-f", "matroska", str(unfinished)], frames.tobytes())


def read_lossless(path: Path, width: int, height: int) -> np.ndarray:
    """What `write_lossless` was given, uint8 (f, height, width, 3).

    Raises:
        StorageError: when it cannot be read, or has another size.
    """
    try:
        data = ffmpeg(["-i", str(path), *EVERY_FRAME, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3).copy()  # torch wants it writable
    except (OSError, ValueError) as error:
        raise StorageError(f"The frames in {str(path)!r} cannot be read ({error}).", "They may have been moved or deleted.") from error


def write_gif(frames: np.ndarray, fps: float, path: Path) -> None:
    """A looping GIF of frames uint8 (f, h, w, 3). Its clock ticks in 10 ms: frames last unequal ticks so that the rate is kept on average.

    Raises:
        StorageError: when it cannot be written.
    """
    ends = [round(100 * (i + 1) / fps) for i in range(len(frames))]
    durations_ms = [10 * (end - start) for start, end in zip([0, *ends], ends, strict=False)]
    images = [Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames]
    with _whole(path) as unfinished:
        images[0].save(unfinished, "GIF", save_all=True, append_images=images[1:], duration=durations_ms, loop=0)


def write_preview(frames: np.ndarray, fps: float, path: Path) -> None:
    """A small looping WebP of frames uint8 (f, h, w, 3), at their own size: quick to write, quick to send."""
    images = [Image.fromarray(frame) for frame in frames]
    with _whole(path) as unfinished:
        # Each frame as a change of the one before (`kmin`): no second try as a whole one.
        options: dict[str, Any] = {"quality": 70, "method": 0, "kmin": len(images), "kmax": len(images) + 1}
        images[0].save(unfinished, "WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, **options)


def write_picture(pixels: np.ndarray, path: Path) -> None:
    """A PNG of uint8 (h, w, 3), exactly.

    Raises:
        StorageError: when it cannot be written.
    """
    with _whole(path) as unfinished:
        Image.fromarray(pixels).save(unfinished, "PNG")


def write_text(text: str, path: Path) -> Path:
    """A text file; raises StorageError when it cannot be written."""
    with _whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


def write_thumbnail(frames: np.ndarray, path: Path) -> None:
    """A PNG of the middle one of frames uint8 (f, h, w, 3), enlarged like the video.

    Raises:
        StorageError: when it cannot be written.
    """
    with _whole(path) as unfinished:
        Image.fromarray(enlarge(frames[len(frames) // 2, None])[0]).save(unfinished, "PNG")


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Float in [0, 1] to uint8, rounded."""
    return (frames * 255).round().clip(0, 255).astype(np.uint8)


def glimpse(pipe: Any, denoised: Any) -> np.ndarray:
    """What a preview shows of latents (1, c, f, h, w), float32 (f, h, w, 3) in [0, 1]: all frames, or the few that a large model's decoder
    gives at once."""
    return (pipe.preview if hasattr(pipe, "preview") else pipe.decode_latents)(denoised)[0]


def thinned(frames: np.ndarray) -> np.ndarray:
    """Frames float (f, h, w, 3) in [0, 1] as a preview has them, uint8: of large ones, every second or fourth pixel."""
    stride = max(1, max(frames.shape[1:3]) // PREVIEW_SIDE)
    return to_uint8(frames[:, ::stride, ::stride])


def check_folder(folder: Path) -> None:
    """Makes the folder where it is missing.

    Raises:
        StorageError: when it cannot be made, or its disk is all but full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"The folder {str(folder)!r} cannot be used ({error.strerror}).", REMEDY) from error
    if free < MIN_FREE_BYTES:
        raise StorageError(f"Only {free / 2**20:.0f} MB are free in {str(folder)!r}.", "Make space, or choose another folder with --data.")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name to write to beside `path`; it takes the place of `path` when all went well and is removed otherwise."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written ({error.strerror or error}).", REMEDY) from error
    finally:
        # The folder itself may be what is wrong.
        if unfinished.exists():
            unfinished.unlink()


def ffmpeg(arguments: list[str], input: bytes = b"", seconds: float | None = None) -> bytes:
    """Runs ffmpeg, at most so many seconds; returns what it wrote out where it was given nothing. Raises OSError with the last line it
    said."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *arguments]
    # Where the input is the only pipe, it goes there at once; beside others, in pieces of 4 kB.
    stdin: dict[str, Any] = {"input": input} if input else {"stdin": subprocess.DEVNULL}
    stdout = subprocess.DEVNULL if input else subprocess.PIPE
    with tempfile.TemporaryFile() as complaints:
        try:
            run = subprocess.run(command, stdout=stdout, stderr=complaints, timeout=seconds, **stdin)
        except subprocess.TimeoutExpired as error:
            raise OSError(f"it took longer than {seconds:.0f} seconds") from error
        if run.returncode:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines()
            raise OSError(said[-1] if said else f"ffmpeg ended with {run.returncode}")
    return run.stdout or b""
