"""Kept results: exact, found again, bounded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import StorageError
from studio.stages import Stages, key_of, pixels_hash
from tests.studio.chains import moving


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages(tmp_path / "stages")


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(("count", "fps"), [(1, 8.0), (5, 7.3), (31, 16.0), (61, 240.0)])
def test_frames_come_back_exactly(stages: Stages, count: int, fps: float) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (count, 16, 24, 3), np.uint8)
    stages.keep("k1", frames, fps, 0.5)
    found = stages.find("k1")
    assert found is not None
    assert (stages.frames(found) == frames).all()
    assert (found.frames, found.width, found.height, found.fps, found.seconds) == (count, 24, 16, fps, 0.5)


def test_a_picture_is_shown_as_png_and_a_clip_as_a_looping_webp(stages: Stages) -> None:
    picture, clip = stages.keep("a", moving(1), 8.0, 0.0), stages.keep("b", moving(6), 8.0, 0.0)
    with Image.open(picture.preview) as shown:
        assert (np.asarray(shown) == moving(1)[0]).all()
    with Image.open(clip.preview) as shown:
        assert (shown.format, shown.n_frames) == ("WEBP", 6)


def test_the_preview_of_a_long_or_fast_clip_skips_frames(stages: Stages) -> None:
    with Image.open(stages.keep("a", moving(500), 8.0, 0.0).preview) as shown:
        assert shown.n_frames <= 240
    with Image.open(stages.keep("b", moving(48), 200.0, 0.0).preview) as shown:
        assert shown.n_frames == 12


def test_what_is_not_there_is_not_found(stages: Stages) -> None:
    assert stages.find("nothing") is None
    assert stages.of_job("nothing") == ()
    assert stages.stored_of("nothing", "motion") is None


def test_a_damaged_result_is_said_and_forgotten(stages: Stages) -> None:
    kept = stages.keep("k1", moving(3), 8.0, 0.0)
    (kept.folder / "frames.mkv").write_bytes(b"no video")
    with pytest.raises(StorageError, match="damaged"):
        stages.frames(kept)
    assert stages.find("k1") is None


def test_those_not_used_for_longest_make_room(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "stages")
    for i, key in enumerate(("old", "used", "new")):
        kept = stages.keep(key, moving(4, seed=i), 8.0, 0.0)
        os.utime(kept.folder, (i, i))
    stages.find("old")
    small = Stages(stages.folder, size(stages.folder) - 1)
    small.prune(())
    assert [key for key in ("old", "used", "new") if small.find(key)] == ["old", "new"]


def test_what_a_running_job_needs_stays(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "stages", most_bytes=0)
    stages.keep("first", moving(2), 8.0, 0.0)
    stages.keep("second", moving(3), 8.0, 0.0, needed={"first"})
    assert stages.find("first")
    stages.keep("third", moving(4), 8.0, 0.0)
    assert not stages.find("first")


def test_a_jobs_results_are_listed_as_long_as_they_are_kept(stages: Stages) -> None:
    motion, smooth = stages.keep("m", moving(3), 8.0, 1.5), stages.keep("s", moving(5), 16.0, 0.1)
    stages.note("job", [("motion", motion, True), ("smooth", smooth, False)])
    assert [(made.name, made.frames, made.cached) for made in stages.of_job("job")] == [("motion", 3, True), ("smooth", 5, False)]
    Stages(stages.folder, most_bytes=0).prune({"s"})
    assert [made.name for made in stages.of_job("job")] == ["smooth"]
    Stages(stages.folder, most_bytes=0).prune(())
    assert not list((stages.folder / "jobs").iterdir())


def test_what_a_killed_studio_left_half_written_is_cleared_away(stages: Stages) -> None:
    (stages.folder / ".k0.abc.unfinished").mkdir(parents=True)
    stages.keep("k1", moving(2), 8.0, 0.0)
    assert [each.name for each in stages.folder.iterdir()] == ["k1"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "stages").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        Stages(tmp_path / "stages").keep("k1", moving(2), 8.0, 0.0)


def test_a_key_is_of_all_that_decides_and_of_nothing_else() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert pixels_hash(np.zeros((2, 4, 1, 3), np.uint8)) != pixels_hash(np.zeros((2, 1, 4, 3), np.uint8))
