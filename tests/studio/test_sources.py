"""Pictures and clips that jobs start from: kept once, brought to the model's size, named clearly when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput, JobError
from studio import media
from studio.history import History, Store
from studio.requests import TextToVideoRequest
from studio.sources import Sources, small_frames
from tests.studio.chains import PROMPT, moving, write_clip


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(f"sqlite:///{tmp_path / 'studio.db'}")
    yield History(store, tmp_path)
    store.close()


@pytest.fixture
def sources(tmp_path: Path, tiny_model: Path, history: History) -> Sources:
    return Sources(tmp_path, tiny_model, history)


def add_video(history: History, frames: np.ndarray, name: str = "abc") -> None:
    """A video of the history, as a job leaves it."""
    path, request = history.data_dir / "clips" / f"{name}.mp4", TextToVideoRequest(prompt=PROMPT, frames=len(frames))
    media.write_mp4(frames, 8, path, request.model_dump_json(), {})
    height, width = frames.shape[1:3]
    history.add(id=name, job_id="job", path=path, request=request, width=width, height=height)


def test_a_picture_is_kept_once_at_the_models_size_and_says_what_was_done(sources: Sources, tmp_path: Path) -> None:
    Image.fromarray(moving(1, 96)[0][:64]).save(tmp_path / "wide.png")
    kept, again = sources.add_picture(tmp_path / "wide.png"), sources.add_picture(tmp_path / "wide.png")
    assert kept == again
    assert kept.notes == ("Cropped from 96 x 64 to the middle.",)
    assert sources.picture(kept.name).shape == (64, 64, 3)
    assert len(list(sources.folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "said"), [(b"no picture", "cannot be read as a picture"), (b"", "cannot be read"), (b"\x89PNG\r\n\x1a\n", "cannot be read")]
)
def test_a_bad_picture_is_refused_and_not_kept(sources: Sources, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        sources.add_picture(tmp_path / "bad.png")
    assert not sources.folder.exists()


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_clip_is_kept_without_loss_from_then_on(sources: Sources, tmp_path: Path, name: str) -> None:
    kept = sources.add_clip(write_clip(tmp_path / name, moving(7), fps=10))
    assert (kept.frames, kept.fps) == (7, 10.0)
    clip, again = sources.clip(kept.name), sources.clip(kept.name)
    assert clip.frames.shape == (7, 64, 64, 3)
    assert (clip.frames == again.frames).all()
    assert np.abs(clip.frames.astype(int) - moving(7)).mean() < 30


def test_a_clip_of_other_proportions_is_cropped_and_that_is_said(sources: Sources, tmp_path: Path) -> None:
    kept = sources.add_clip(write_clip(tmp_path / "a.mp4", moving(3, 128)[:, :64]))
    assert kept.notes == ("Cropped from 128 x 64 to the middle.",)
    assert sources.clip(kept.name).frames.shape == (3, 64, 64, 3)


def test_of_ten_thousand_frames_the_first_are_kept_and_that_is_said(sources: Sources, tmp_path: Path) -> None:
    noise = "nullsrc=size=16x16:rate=30:duration=333.4,format=yuv420p"
    media.ffmpeg(["-f", "lavfi", "-i", noise, "-frames:v", "10000", "-preset", "ultrafast", str(tmp_path / "long.mp4")])
    kept = sources.add_clip(tmp_path / "long.mp4")
    assert kept.frames == 1024
    assert kept.notes == ("Of about 10,000 frames, the first 1,024 were taken.",)


@pytest.mark.parametrize(("content", "said"), [(b"no video", "cannot be read as a video"), (b"", "cannot be read as a video")])
def test_a_bad_clip_is_refused_and_not_kept(sources: Sources, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        sources.add_clip(tmp_path / "bad.mp4")
    with pytest.raises(InvalidInput, match="no clip 'none"):
        sources.add_clip(tmp_path / "none.mp4")
    assert not sources.folder.exists()


def test_a_clip_that_was_cut_off_says_how_much_of_it_there_was(sources: Sources, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), np.uint8)
    whole = write_clip(tmp_path / "a.gif", frames)
    fragmented = tmp_path / "whole.mp4"
    media.ffmpeg(["-i", str(whole), "-movflags", "faststart", "-pix_fmt", "yuv420p", str(fragmented)])
    (tmp_path / "cut.mp4").write_bytes(fragmented.read_bytes()[: fragmented.stat().st_size // 2])
    kept = sources.add_clip(tmp_path / "cut.mp4")
    assert 1 < kept.frames < 50
    assert kept.notes == (f"Of about 60 frames, {kept.frames} could be read.",)


def test_a_video_of_the_history_is_given_in_the_models_pixels(sources: Sources, history: History) -> None:
    frames = moving(5)
    add_video(history, frames)
    clip = sources.clip("clip:abc")
    assert clip.frames.shape == frames.shape
    assert np.abs(clip.frames.astype(int) - frames).mean() < 6
    assert (small_frames(history.get("abc")) == clip.frames).all()


def test_a_frame_of_a_video_is_a_picture(sources: Sources, history: History) -> None:
    add_video(history, moving(5))
    clip = sources.clip("clip:abc").frames
    assert (sources.picture("clip:abc#3") == clip[3]).all()
    assert (sources.picture("clip:abc") == clip[0]).all()


def test_a_frame_of_a_larger_video_is_brought_to_the_models_size(sources: Sources, history: History) -> None:
    add_video(history, moving(2, 128))
    assert sources.clip("clip:abc").frames.shape == (2, 128, 128, 3)
    assert sources.picture("clip:abc#1").shape == (64, 64, 3)


def test_what_is_not_there_is_named(sources: Sources, history: History) -> None:
    add_video(history, moving(5))
    with pytest.raises(InvalidInput, match=r"Frame 5 of 'clip:abc#5' was asked for\. It has 5: give 0 to 4"):
        sources.picture("clip:abc#5")
    with pytest.raises(JobError, match="no video 'gone'"):
        sources.picture("clip:gone")
    for gone in ("0123.png", "0123.mkv"):
        with pytest.raises(InvalidInput, match="not kept any more"):
            sources.picture(gone)
    with pytest.raises(InvalidInput, match="is a picture"):
        sources.clip("clip:abc#1")
    history.delete("abc")
    with pytest.raises(JobError, match="no video 'abc'"):
        sources.clip("clip:abc")


def test_a_frame_of_a_kept_clip_can_be_the_picture(sources: Sources, tmp_path: Path) -> None:
    kept = sources.add_clip(write_clip(tmp_path / "a.mp4", moving(3)))
    assert (sources.picture(kept.name) == sources.clip(kept.name).frames[0]).all()
