"""Clips in and out: what is written can be read, plays in browsers, and is whole or absent."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput, StorageError
from studio import media
from studio.requests import TextToVideoRequest

REQUEST = TextToVideoRequest(prompt="a = b; # c \\ d 'e' \"f\" 🎈", negative_prompt="x" * 2000).model_dump_json()


@pytest.fixture
def frames() -> np.ndarray:
    """A bright square that moves over a dark ground, (8, 64, 64, 3)."""
    frames = np.full((8, 64, 64, 3), (20, 30, 60), np.uint8)
    for i, frame in enumerate(frames):
        frame[24:40, 4 + 5 * i : 20 + 5 * i] = (230, 40, 30)
    return frames


def test_metadata_comes_back_exactly(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 8, tmp_path / "a.mp4", REQUEST, {"weights": {"unet": "0123"}})
    assert media.read_metadata(tmp_path / "a.mp4") == {"weights": {"unet": "0123"}, "scale": 4, "request": REQUEST}


def test_pixels_come_back_nearly(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 8, tmp_path / "a.mp4", REQUEST, {})
    read = media.read_frames(tmp_path / "a.mp4")
    assert read.shape == (8, 256, 256, 3)
    assert np.abs(read.astype(int) - media.enlarge(frames)).mean() < 2


def test_a_video_is_h264_in_a_pixel_format_that_all_browsers_play(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 12.5, tmp_path / "a.mp4", REQUEST, {})
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    facts = next(reader)
    reader.close()
    assert (facts["codec"], facts["pix_fmt"].partition("(")[0], facts["fps"]) == ("h264", "yuv420p", 12.5)


def test_a_video_tells_all_of_its_colour_space_so_that_no_browser_guesses(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 8, tmp_path / "a.mp4", REQUEST, {})
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "a.mp4")], capture_output=True, text=True).stderr
    assert "yuv420p(tv, bt709, progressive)" in told


@pytest.mark.parametrize(
    ("shape", "shown"), [((1, 64, 64), (256, 256)), ((2, 35, 45), (350, 450)), ((2, 63, 300), (126, 600)), ((1, 512, 512), (512, 512))]
)
def test_small_clips_are_enlarged_to_even_sides(shape: tuple[int, int, int], shown: tuple[int, int]) -> None:
    assert media.enlarge(np.zeros((*shape, 3), np.uint8)).shape[1:3] == shown


def test_a_single_frame_is_a_video_too(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames[:1], 8, tmp_path / "a.mp4", REQUEST, {})
    assert len(media.read_frames(tmp_path / "a.mp4")) == 1


@pytest.mark.parametrize("fps", [1, 8, 12, 24, 60])
def test_a_gif_keeps_the_frame_rate_on_average(tmp_path: Path, frames: np.ndarray, fps: int) -> None:
    media.write_gif(np.stack([np.roll(frames[0], i, axis=1) for i in range(24)]), fps, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        seconds = 0.0
        for i in range(gif.n_frames):
            gif.seek(i)
            seconds += gif.info["duration"] / 1000
        assert gif.info["loop"] == 0
    assert seconds == pytest.approx(24 / fps, abs=0.01)


def test_a_preview_loops_and_is_small(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_preview(frames, 8, tmp_path / "a.webp")
    assert (tmp_path / "a.webp").stat().st_size < 40_000
    with Image.open(tmp_path / "a.webp") as preview:
        assert (preview.n_frames, preview.size, preview.info["loop"]) == (8, (64, 64), 0)


def test_a_thumbnail_is_the_middle_frame(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_thumbnail(frames, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as thumbnail:
        assert np.array_equal(np.asarray(thumbnail)[::4, ::4], frames[4])


def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(InvalidInput, match=r"'notes\.mp4' cannot be read as a video"):
        media.read_metadata(tmp_path / "notes.mp4")


def test_a_video_from_elsewhere_is_refused_by_name(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 8, tmp_path / "a.mp4", REQUEST, {})
    media.ffmpeg(["-i", str(tmp_path / "a.mp4"), "-map_metadata", "-1", "-c", "copy", str(tmp_path / "bare.mp4")])
    with pytest.raises(InvalidInput, match=r"'bare\.mp4' carries no settings"):
        media.read_metadata(tmp_path / "bare.mp4")


def test_a_cut_off_video_is_refused(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 8, tmp_path / "a.mp4", REQUEST, {})
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[:500])
    with pytest.raises(InvalidInput, match=r"'cut\.mp4' cannot be read"):
        media.read_metadata(tmp_path / "cut.mp4")


WRITERS: dict[str, Callable[[np.ndarray, Path], None]] = {
    "a.mp4": lambda frames, path: media.write_mp4(frames, 8, path, REQUEST, {}),
    "a.gif": lambda frames, path: media.write_gif(frames, 8, path),
    "a.webp": lambda frames, path: media.write_preview(frames, 8, path),
    "a.png": media.write_thumbnail,
}


@pytest.mark.parametrize("name", WRITERS)
def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path: Path, frames: np.ndarray, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be written .* Check that the folder is writable"):
        WRITERS[name](frames, tmp_path / "file" / name)


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_fills_up_leaves_the_old_file_and_no_half_of_a_new_one(tmp_path: Path, frames: np.ndarray, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    (tmp_path / name).write_text("the old one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError):
            WRITERS[name](noise, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "the old one")]


def test_an_all_but_full_disk_is_named_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 5 * 2**20))
    with pytest.raises(StorageError, match="Only 5 MB are free"):
        media.check_folder(tmp_path)


def test_provenance_is_json_in_the_description(tmp_path: Path, frames: np.ndarray) -> None:
    media.write_mp4(frames, 8, tmp_path / "a.mp4", REQUEST, {"versions": {"torch": "2"}})
    tags = media.ffmpeg(["-i", str(tmp_path / "a.mp4"), "-f", "ffmetadata", "-"]).decode()
    assert json.dumps({"versions": {"torch": "2"}, "scale": 4}) in tags


@pytest.mark.parametrize(("count", "fps"), [(9, 7.3), (61, 480), (31, 16), (1, 8)])
def test_every_frame_is_read_once_whatever_the_rate(tmp_path: Path, count: int, fps: float) -> None:
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None] * 4 + np.zeros((1, 64, 64, 3), np.uint8)
    media.write_mp4(frames, fps, tmp_path / "a.mp4", "", {})
    read = media.read_frames(tmp_path / "a.mp4")
    assert read.shape == (count, 256, 256, 3)
    assert np.abs(read.mean((1, 2, 3)) - frames.mean((1, 2, 3))).max() < 2


def test_what_is_kept_for_ourselves_loses_nothing(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (7, 16, 24, 3), np.uint8)
    media.write_lossless(frames, 7.3, tmp_path / "a.mkv")
    assert (media.read_lossless(tmp_path / "a.mkv", 24, 16) == frames).all()
    with pytest.raises(StorageError, match="cannot be read"):
        media.read_lossless(tmp_path / "none.mkv", 24, 16)
