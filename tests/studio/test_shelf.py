"""What the buttons find beside the jobs, on an engine that runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipelines.errors import InvalidInput
from studio import media
from studio.engine import Engine
from studio.requests import ComparisonRequest, FinishingRequest, ReferenceRequest, Request
from studio.settings import Settings
from tests.studio.chains import SHORT, moving, write_clip

FINISHING = FinishingRequest(source="0a.mkv", frames=3, smoother=2)


@pytest.fixture
def shelf(settings: Settings) -> Iterator[Engine]:
    engine = Engine(settings)
    yield engine
    engine.close()


def test_pictures_and_clips_are_taken_in(shelf: Engine, tmp_path: Path) -> None:
    Image.fromarray(moving(1)[0]).save(tmp_path / "a.png")
    picture, clip = shelf.add_picture(tmp_path / "a.png"), shelf.add_clip(write_clip(tmp_path / "a.mp4", moving(3)))
    kept = {path.name for path in (shelf.settings.data_dir / "sources").iterdir()}
    assert kept == {picture.name, clip.name, clip.name.replace(".mkv", ".json")}
    assert (picture.frames, clip.frames, clip.fps) == (1, 3, 8.0)


@pytest.mark.parametrize("request_", [SHORT, FINISHING], ids=["reference", "finishing"])
def test_settings_of_any_kind_of_clip_are_restored(shelf: Engine, tmp_path: Path, request_: ReferenceRequest | FinishingRequest) -> None:
    media.write_mp4(moving(2), 8, tmp_path / "a.mp4", request_.model_dump_json(), {})
    assert shelf.restore(tmp_path / "a.mp4") == request_


def test_settings_of_a_wall_are_not_a_clips(shelf: Engine, tmp_path: Path) -> None:
    wall: Request = ComparisonRequest.model_validate({"base": {"prompt": "a"}, "columns": {"field": "seed", "values": [1, 2]}})
    media.write_mp4(moving(2), 8, tmp_path / "a.mp4", wall.model_dump_json(), {})
    with pytest.raises(InvalidInput, match="of a job of kind 'comparison'"):
        shelf.restore(tmp_path / "a.mp4")


def test_the_gif_of_a_finished_clip_plays_at_its_rate(shelf: Engine) -> None:
    path = shelf.settings.data_dir / "clips" / "a.mp4"
    media.write_mp4(moving(5), 16, path, FINISHING.model_dump_json(), {})
    shelf.history.add(id="a1", job_id="job", path=path, request=FINISHING, width=64, height=64)
    clip = shelf.history.get("a1")
    assert (clip.frames, clip.fps, clip.prompt) == (5, 16.0, "")
    with Image.open(shelf.gif("a1")) as gif:
        assert gif.n_frames == 5
        assert gif.info["duration"] in (60, 70)
