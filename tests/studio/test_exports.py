"""A wall as a file: grid videos that say what they are, and curves as a table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from pipelines.errors import InvalidInput, JobError
from studio.comparison import WallState
from studio.engine import Done, Engine
from studio.exports import export
from studio.media import read_frames, read_metadata
from studio.requests import Axis, ComparisonRequest, TextToVideoRequest, parse_request

REQUEST = ComparisonRequest(
    base=TextToVideoRequest(prompt="a red ball", frames=4, steps=2), columns=Axis(field="seed", values=(1, 2)), rows=None
)


@pytest.fixture
def wall(engine: Engine) -> WallState:
    *_, done = engine.watch(engine.submit(REQUEST), timeout=60)
    assert isinstance(done, Done)
    return engine.wall(done.job_id)


def test_a_grid_as_mp4_carries_the_request_of_the_wall(wall: WallState, tmp_path: Path, engine: Engine) -> None:
    path = export(wall, "mp4", tmp_path, (), ("1", "2"))
    frames = read_frames(path)
    assert len(frames) == 4
    assert frames.shape[2] > frames.shape[1]  # two clips side by side
    assert parse_request(read_metadata(path)["request"]) == REQUEST
    with pytest.raises(InvalidInput, match="of a job of kind 'comparison'"):
        engine.restore(path)


def test_a_grid_as_gif_loops(wall: WallState, tmp_path: Path) -> None:
    with Image.open(export(wall, "gif", tmp_path, (), ("1", "2"))) as image:
        assert image.n_frames == 4
        assert image.info["loop"] == 0


def test_the_curves_are_a_table(wall: WallState, tmp_path: Path) -> None:
    with export(wall, "csv", tmp_path, (), ("1", "2")).open() as table:
        rows = list(csv.DictReader(table))
    assert [row["seed"] for row in rows] == ["1", "2"]
    assert all(-1 <= float(row["Frame consistency"]) <= 1 for row in rows)


def test_a_wall_without_clips_cannot_be_exported(wall: WallState, tmp_path: Path) -> None:
    empty = WallState(wall.job_id, wall.request, wall.event, {})
    with pytest.raises(JobError, match="has no clips yet"):
        export(empty, "mp4", tmp_path, (), ("1", "2"))
