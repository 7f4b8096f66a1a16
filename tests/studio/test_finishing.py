"""Finishing jobs: what the buttons ask for, on videos of the history and on uploads, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput, StudioError
from pipelines.flow import flow_between
from studio import media
from studio.engine import Engine, Stopped
from studio.history import ClipRecord
from studio.requests import FinishingRequest, TextToVideoRequest
from studio.settings import Settings
from tests.studio.chains import PROMPT, cached, finished, frames_of, moving, save_finishers, until, write_clip
from tests.tiny import save_tiny_model

CLIP = TextToVideoRequest(prompt=PROMPT, frames=4, fps=6, steps=2, seed=7)


def engine_of(folder: Path, model: Path) -> Engine:
    engine = Engine(Settings(data_dir=folder, model_dir=model, device="cpu", preview_every=0, warm_up=False))
    engine.start()
    return engine


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[Engine, ClipRecord]]:
    """An engine whose model has no finishers, and a video."""
    engine = engine_of(tmp_path_factory.mktemp("plain"), tiny_model)
    yield engine, finished(engine, CLIP)[1].clips[0]
    engine.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, ClipRecord]]:
    """An engine whose model has all finishers, and a video."""
    folder = tmp_path_factory.mktemp("whole")
    engine = engine_of(folder / "outputs", save_finishers(save_tiny_model(folder / "tiny")))
    yield engine, finished(engine, CLIP)[1].clips[0]
    engine.close()


# -- The buttons ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        ("smoother", {"smoother": 2, "smoother_way": "learned"}),
        ("longer", {"longer": 12}),
        ("sharper", {"sharper": True}),
        ("steadier", {"steadier": True}),
    ],
)
def test_a_button_fills_in_what_is_known_of_the_clip(whole: tuple[Engine, ClipRecord], step: str, asked: dict[str, object]) -> None:
    engine, clip = whole
    known = {"source": f"clip:{clip.id}", "prompt": PROMPT, "frames": 4, "fps": 6.0, "seed": 7, "steps": 4}
    assert engine.finishing_of(clip.id, step) == FinishingRequest.model_validate({**known, **asked})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "frames", "fps", "side", "stage"),
    [
        ("smoother", 7, 12.0, 64, "smooth"),
        ("longer", 16, 6.0, 64, "longer"),
        ("sharper", 4, 6.0, 128, "sharp"),
        ("steadier", 4, 6.0, 64, "steady"),
    ],
)
def test_a_button_makes_a_clip_of_the_history(
    whole: tuple[Engine, ClipRecord], step: str, frames: int, fps: float, side: int, stage: str
) -> None:
    engine, clip = whole
    job_id, done = finished(engine, engine.finishing_of(clip.id, step))  # type: ignore[arg-type]
    (made,) = done.clips
    assert (made.frames, made.fps, made.width, made.height, made.prompt, made.seed) == (frames, fps, side, side, PROMPT, 7)
    assert len(media.read_frames(made.path)) == frames
    assert list(cached(engine, job_id)) == ["clip", stage]
    assert engine.restore(made.path) == made.request == engine.request_of(job_id)
    assert list(media.read_metadata(made.path)["sources"]) == [f"clip:{clip.id}"]


def test_without_weights_smoother_follows_the_optical_flow_and_needs_none(plain: tuple[Engine, ClipRecord]) -> None:
    engine, clip = plain
    request = engine.finishing_of(clip.id, "smoother")
    assert request.smoother_way == "optical"
    job_id, done = finished(engine, request)
    assert (frames_of(engine, job_id, "smooth") == flow_between(frames_of(engine, job_id, "clip"), 2)).all()
    assert media.read_metadata(done.clips[0].path)["weights"] == {}


def test_a_finished_clip_can_be_finished_again(plain: tuple[Engine, ClipRecord]) -> None:
    engine, clip = plain
    _, done = finished(engine, engine.finishing_of(clip.id, "smoother"))
    again = engine.finishing_of(done.clips[0].id, "longer")
    assert (again.frames, again.fps, again.prompt) == (7, 12.0, PROMPT)
    _, done = finished(engine, again)
    assert (done.clips[0].frames, done.clips[0].fps) == (19, 12.0)


def test_the_same_twice_is_made_once(plain: tuple[Engine, ClipRecord]) -> None:
    engine, clip = plain
    request = engine.finishing_of(clip.id, "longer").model_copy(update={"seed": 5})
    finished(engine, request)
    job_id, done = finished(engine, request)
    assert cached(engine, job_id) == {"clip": True, "longer": True}
    assert done.clips[0].job_id == job_id


def test_stopped_within_a_stage_it_keeps_the_ones_before(plain: tuple[Engine, ClipRecord]) -> None:
    engine, clip = plain
    request = engine.finishing_of(clip.id, "smoother").model_copy(update={"longer": 1, "smoother_way": "network", "steps": 2, "seed": 9})
    slow = request.model_copy(update={"longer": 200, "steps": 60})
    job_id = engine.submit(slow)
    until(engine, job_id, "longer")
    engine.stop(job_id)
    *_, last = engine.watch(job_id, timeout=20)
    assert isinstance(last, Stopped)
    assert list(cached(engine, job_id)) == ["clip"]
    assert finished(engine, request)[1].clips[0].frames == 9


# -- Uploads ----------------------------------------------------------------------------------------------------------


def test_an_upload_is_finished_like_any_clip(plain: tuple[Engine, ClipRecord], tmp_path: Path) -> None:
    engine, _ = plain
    kept = engine.add_clip(write_clip(tmp_path / "a.mp4", moving(5, 128), fps=12))
    request = engine.finishing_of(kept.name, "smoother")
    assert (request.frames, request.fps, request.prompt) == (5, 12.0, "")
    _, done = finished(engine, request)
    assert (done.clips[0].frames, done.clips[0].fps, done.clips[0].path.name.split("-")[0]) == (9, 24.0, "video")


def test_an_upload_without_a_prompt_goes_on(plain: tuple[Engine, ClipRecord], tmp_path: Path) -> None:
    engine, _ = plain
    kept = engine.add_clip(write_clip(tmp_path / "a.gif", moving(1)))
    job_id, _ = finished(engine, engine.finishing_of(kept.name, "longer").model_copy(update={"longer": 3}))
    assert frames_of(engine, job_id, "longer").shape == (4, 64, 64, 3)


# -- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Nothing was asked for"),
        ({"frames": 5, "smoother": 2}, "has 4 frames, not 5"),
        ({"source": "clip:gone", "smoother": 2}, "no video 'gone'"),
        ({"source": "0a.mkv", "smoother": 2}, "'0a.mkv' is not kept any more"),
        ({"source": "0a.png", "smoother": 2}, "'0a.png' is a picture. Give a clip"),
        ({"smoother": 2}, "without a network for the frame between two. Choose frames between along the optical flow"),
        ({"smoother_way": "optical", "smoother": 8, "longer": 1000}, "are 8,025. At most 2,048"),
        ({"smoother_way": "optical", "smoother": 8, "fps": 31}, "248 frames a second"),
        ({"sharper": True}, "without an upscaler"),
        ({"steadier": True}, "without a video decoder"),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_is_queued(
    plain: tuple[Engine, ClipRecord], changes: dict[str, object], said: str
) -> None:
    engine, clip = plain
    request = FinishingRequest(source=f"clip:{clip.id}", frames=4, fps=6).model_copy(update=changes)
    with pytest.raises(StudioError) as refusal:
        engine.submit(request)
    assert said in str(refusal.value)
    assert not engine.queue()


def test_there_is_nothing_between_one_frame_and_none(plain: tuple[Engine, ClipRecord], tmp_path: Path) -> None:
    engine, _ = plain
    kept = engine.add_clip(write_clip(tmp_path / "a.gif", moving(1)))
    with pytest.raises(InvalidInput, match="has one frame"):
        engine.submit(engine.finishing_of(kept.name, "smoother"))


def test_a_sharp_clip_can_be_made_smoother_but_not_drawn_on(whole: tuple[Engine, ClipRecord]) -> None:
    engine, clip = whole
    _, done = finished(engine, engine.finishing_of(clip.id, "sharper"))
    sharp = done.clips[0].id
    for way in ("learned", "optical"):
        _, smooth = finished(engine, engine.finishing_of(sharp, "smoother").model_copy(update={"smoother_way": way}))
        assert (smooth.clips[0].width, smooth.clips[0].frames) == (128, 7)
    for step in ("longer", "steadier", "sharper"):
        with pytest.raises(InvalidInput, match=f"128 x 128 pixels; this model makes clips of 64 x 64 {step}"):
            engine.submit(engine.finishing_of(sharp, step))  # type: ignore[arg-type]


def test_a_step_that_does_not_exist_is_named(plain: tuple[Engine, ClipRecord]) -> None:
    engine, clip = plain
    with pytest.raises(InvalidInput, match="no finishing step 'louder'"):
        engine.finishing_of(clip.id, "louder")  # type: ignore[arg-type]
