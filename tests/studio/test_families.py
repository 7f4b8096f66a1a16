"""Every family in the studio: its tiny random directory is added, chosen by name, and makes a clip with progress, previews and stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.engine import Done, Engine, Event, Step, Stopped
from studio.media import read_metadata
from studio.requests import TextToVideoRequest
from studio.settings import Settings
from tests.pipelines.directories import LAYOUTS, save
from tests.studio.models import TEXT, events, text_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module", params=TEXT)
def layout(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def studio(layout: str, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    """A studio that has the directory."""
    folder = save(layout, tmp_path_factory.mktemp("here") / "added")
    data = tmp_path_factory.mktemp("studio") / "outputs"
    engine = Engine(Settings(data_dir=data, model_dir=tiny_model, device="cpu", preview_every=0, warm_up=False))
    engine.models.add(str(folder))
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def made(studio: Engine, layout: str) -> list[Event]:
    return events(studio, text_request(studio, "added", layout))


def test_it_makes_a_clip_with_progress_and_previews(made: list[Event], layout: str) -> None:
    *before, done = made
    assert isinstance(done, Done), done
    steps = [event for event in before if isinstance(event, Step)]
    assert steps
    assert any(step.preview for step in steps)
    order, (clip,) = LAYOUTS[layout].order, done.clips
    assert (clip.frames, clip.width, clip.height) == (order["num_frames"], order["width"], order["height"])


def test_the_file_names_the_model_its_family_and_its_weights(made: list[Event], studio: Engine, layout: str) -> None:
    done = made[-1]
    assert isinstance(done, Done)
    metadata = read_metadata(done.clips[0].path)
    assert (metadata["model"], metadata["family"]) == ("added", layout.partition(",")[0])
    assert any(name.startswith(("unet/", "transformer/")) for name in metadata["weights"])
    assert studio.restore(done.clips[0].path) == done.clips[0].request


def test_the_same_request_gives_the_same_pixels_and_loads_and_moves_nothing(made: list[Event], studio: Engine, layout: str) -> None:
    from studio.media import read_frames

    before = studio.pool.loads, studio.pool.moves
    again = events(studio, text_request(studio, "added", layout))[-1]
    assert isinstance(again, Done)
    assert isinstance(made[-1], Done)
    assert (studio.pool.loads, studio.pool.moves) == before
    assert (read_frames(again.clips[0].path) == read_frames(made[-1].clips[0].path)).all()


def test_it_stops_within_a_step_and_the_queue_goes_on(studio: Engine, layout: str) -> None:
    job_id = studio.submit(text_request(studio, "added", layout, steps=60))
    first = next(event for event in studio.watch(job_id, timeout=60) if isinstance(event, Step))
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=60)
    assert isinstance(last, Stopped)
    assert first.index < 30
    assert isinstance(events(studio, TextToVideoRequest(prompt="a", frames=4, steps=1))[-1], Done)
    deadline = time.monotonic() + 10
    while studio.active_job() and time.monotonic() < deadline:
        time.sleep(0.01)
