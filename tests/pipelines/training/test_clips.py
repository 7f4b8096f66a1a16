"""A folder of clips: its captions, its sizes and lengths, and everything that can be wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.training.clips import MAX_BYTES, ClipFolder, crop, find_clips
from studio.media import write_gif, write_mp4

SHAPE = {"width": 64, "height": 64, "frames": 8, "fps": 8.0}


def ramp(frames: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Frame i is a grey of 10 i, its left half red."""
    clip = np.repeat(np.arange(frames, dtype=np.uint8)[:, None, None, None] * 10, 3, -1) * np.ones((1, height, width, 1), np.uint8)
    clip[:, :, : width // 2, 0] = 250
    return clip


def mp4(folder: Path, name: str, frames: int = 8, fps: float = 8.0, height: int = 64, width: int = 64) -> Path:
    folder.mkdir(exist_ok=True)
    write_mp4(ramp(frames, height, width), fps, folder / name, "", {})
    return folder / name


def test_clips_come_at_the_model_s_size_and_rate_in_rgb(tmp_path: Path) -> None:
    mp4(tmp_path, "a.mp4")
    clips = ClipFolder.read(tmp_path, "a ramp", **SHAPE)
    assert clips.pixels.shape == (1, 8, 64, 64, 3)
    assert clips.pixels.dtype == np.uint8
    assert np.abs(clips.pixels[0, :, 32, 60, 1].astype(int) - np.arange(8) * 10).max() <= 6
    assert clips.pixels[0, 0, 32, 4, 0] > 200 > clips.pixels[0, 0, 32, 4, 2]
    assert clips.captions == ("a ramp",)
    assert clips.notes == ()


@pytest.mark.parametrize(("fps", "expected"), [(16.0, [0, 20, 40, 60]), (4.0, [0, 0, 10, 10])])
def test_time_is_resampled(tmp_path: Path, fps: float, expected: list[int]) -> None:
    mp4(tmp_path, "a.mp4", frames=16, fps=fps)
    grey = ClipFolder.read(tmp_path, "x", **{**SHAPE, "frames": 4}).pixels[0, :, 32, 60, 1]
    assert np.abs(grey.astype(int) - expected).max() <= 6


def test_a_long_clip_gives_several_and_a_short_one_is_slowed_down(tmp_path: Path) -> None:
    mp4(tmp_path, "long.mp4", frames=20)
    mp4(tmp_path, "short.mp4", frames=4)
    clips = ClipFolder.read(tmp_path, "x", **SHAPE)
    assert len(clips.pixels) == len(clips.captions) == 3
    assert any("slowed down: short.mp4" in note for note in clips.notes)


def test_a_gif_is_a_clip(tmp_path: Path) -> None:
    write_gif(ramp(8), 8, tmp_path / "a.gif")
    assert ClipFolder.read(tmp_path, "x", **SHAPE).pixels.shape == (1, 8, 64, 64, 3)


def test_mixed_sizes_are_cropped_and_said(tmp_path: Path) -> None:
    mp4(tmp_path, "a.mp4")
    mp4(tmp_path, "b.mp4", height=64, width=128)
    clips = ClipFolder.read(tmp_path, "x", **SHAPE)
    assert clips.pixels.shape == (2, 8, 64, 64, 3)
    assert any("different sizes" in note and "64 x 64" in note for note in clips.notes)


def test_the_centre_is_kept() -> None:
    frame = np.zeros((40, 100, 3), np.uint8)
    frame[:, 30:70] = 255
    assert crop(frame, (64, 64)).min() == 255
    assert crop(frame.transpose(1, 0, 2), (64, 64)).shape == (64, 64, 3)


def test_each_clip_has_its_own_caption_where_there_is_one(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        mp4(tmp_path, f"{name}.mp4")
    (tmp_path / "a.txt").write_text("from a text file\n")
    (tmp_path / "captions.csv").write_text('file_name,text\nb.mp4,"from a table, quoted"\n')
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "c.mp4", "caption": "from lines"}) + "\n")
    assert [file.caption for file in find_clips(tmp_path, "for all others")] == [
        "from a text file",
        "from a table, quoted",
        "from lines",
        "for all others",
    ]


def test_files_can_be_given_instead_of_a_folder(tmp_path: Path) -> None:
    files = [mp4(tmp_path, "b.mp4"), mp4(tmp_path, "a.mp4")]
    assert [file.path for file in find_clips(files, "x")] == files
    with pytest.raises(InvalidInput, match="No clips"):
        find_clips([], "x")
    with pytest.raises(InvalidInput, match=r"none\.mp4"):
        find_clips([tmp_path / "none.mp4"], "x")


def test_a_clip_without_a_caption_is_refused(tmp_path: Path) -> None:
    mp4(tmp_path, "a.mp4")
    with pytest.raises(InvalidInput, match=r"'a\.mp4' has no caption.*a\.txt"):
        find_clips(tmp_path, "  ")


@pytest.mark.parametrize(("name", "table"), [("captions.csv", "nothing,useful\n1,2\n"), ("metadata.jsonl", "{"), ("metadata.jsonl", "3")])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, name: str, table: str) -> None:
    mp4(tmp_path, "a.mp4")
    (tmp_path / name).write_text(table)
    with pytest.raises(InvalidInput, match=f"The captions in '{name}'"):
        find_clips(tmp_path, "x")


def test_a_folder_without_clips_or_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no clips"):
        find_clips(tmp_path, "x")
    with pytest.raises(InvalidInput, match="no folder"):
        find_clips(tmp_path / "none", "x")


def test_files_that_are_no_videos_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(InvalidInput, match=r"None of 1 clips.*broken\.mp4"):
        ClipFolder.read(tmp_path, "x", **SHAPE)
    mp4(tmp_path, "whole.mp4")
    clips = ClipFolder.read(tmp_path, "x", **SHAPE)
    assert len(clips.pixels) == 1
    assert any("broken.mp4" in note for note in clips.notes)


def test_a_file_over_two_gigabytes_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    with (tmp_path / "huge.mp4").open("wb") as file:
        os.truncate(file.fileno(), MAX_BYTES + 1)
    with pytest.raises(InvalidInput, match=r"'huge\.mp4' has 2\.0 GB"):
        find_clips(tmp_path, "x")


def test_an_hour_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    mp4(tmp_path, "slow.mp4", frames=70, fps=0.1)
    with pytest.raises(InvalidInput, match=r"'slow\.mp4' lasts 12 minutes"):
        ClipFolder.read(tmp_path, "x", **SHAPE)
