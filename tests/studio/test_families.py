"""Every family in the studio: its tiny random directory is added, chosen by name, and makes a clip with progress, previews and stop.

Those that start from a picture make the Reference tab's motion; what comes after is made by the studio's own networks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from studio.engine import Done, Engine, Event, StageStep, Step, Stopped
from studio.media import read_metadata
from studio.requests import TextToVideoRequest
from studio.settings import Settings
from tests.pipelines.directories import LAYOUTS, model_name, saved
from tests.studio.models import PICTURE, TEXT, events, photograph, reference_request, text_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
BOTH = ["wan, text or picture", "ltx"]
texts = pytest.mark.parametrize("layout", TEXT, scope="module")
pictures = pytest.mark.parametrize("layout", PICTURE + BOTH, scope="module")
one = pytest.mark.parametrize("layout", BOTH[:1], scope="module")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    """A studio for all of them."""
    data = tmp_path_factory.mktemp("studio") / "outputs"
    engine = Engine(Settings(data_dir=data, model_dir=tiny_model, device="cpu", preview_every=0, warm_up=False))
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def name(studio: Engine, layout: str) -> str:
    """The model in the studio."""
    studio.models.add(str(saved(layout)))
    return model_name(layout)


@pytest.fixture(scope="module")
def made(studio: Engine, layout: str, name: str) -> list[Event]:
    return events(studio, text_request(studio, name, layout))


@pytest.fixture(scope="module")
def picture(studio: Engine, name: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return studio.add_picture(photograph(tmp_path_factory.mktemp("picture") / "photograph.png"), name).name


# -- from text ------------------------------------------------------------------------------------------------------------


@texts
def test_it_makes_a_clip_with_progress_and_previews(made: list[Event], layout: str, name: str) -> None:
    *before, done = made
    assert isinstance(done, Done), done
    steps = [event for event in before if isinstance(event, Step)]
    assert steps
    assert any(step.preview for step in steps)
    order, (clip,) = LAYOUTS[layout].order, done.clips
    assert (clip.frames, clip.width, clip.height) == (order["num_frames"], order["width"], order["height"])


@texts
def test_the_file_names_the_model_its_family_and_its_weights(made: list[Event], studio: Engine, layout: str, name: str) -> None:
    done = made[-1]
    assert isinstance(done, Done)
    metadata = read_metadata(done.clips[0].path)
    assert (metadata["model"], metadata["family"]) == (name, layout.partition(",")[0])
    assert any(name.startswith(("unet/", "transformer/")) for name in metadata["weights"])
    assert studio.restore(done.clips[0].path) == done.clips[0].request


@texts
def test_the_same_request_gives_the_same_pixels_and_loads_and_moves_nothing(
    made: list[Event], studio: Engine, layout: str, name: str
) -> None:
    from studio.media import read_frames

    before = studio.pool.loads, studio.pool.moves
    again = events(studio, text_request(studio, name, layout))[-1]
    assert isinstance(again, Done)
    assert isinstance(made[-1], Done)
    assert (studio.pool.loads, studio.pool.moves) == before
    assert (read_frames(again.clips[0].path) == read_frames(made[-1].clips[0].path)).all()


@texts
def test_it_stops_within_a_step_and_the_queue_goes_on(studio: Engine, layout: str, name: str) -> None:
    job_id = studio.submit(text_request(studio, name, layout, steps=60))
    first = next(event for event in studio.watch(job_id, timeout=60) if isinstance(event, Step))
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=60)
    assert isinstance(last, Stopped)
    assert first.index < 30
    assert isinstance(events(studio, TextToVideoRequest(prompt="a", frames=4, steps=1))[-1], Done)
    deadline = time.monotonic() + 10
    while studio.active_job() and time.monotonic() < deadline:
        time.sleep(0.01)


# -- from a picture -------------------------------------------------------------------------------------------------------


@pictures
def test_a_picture_becomes_a_clip_with_progress_previews_and_the_model_in_its_file(
    studio: Engine, layout: str, picture: str, name: str
) -> None:
    *before, done = events(studio, reference_request(studio, name, layout, picture=picture))
    assert isinstance(done, Done), done
    assert any(event.preview for event in before if isinstance(event, StageStep))
    (clip,), order = done.clips, LAYOUTS[layout].order
    assert clip.frames == order["num_frames"]
    assert (clip.width, clip.height) == (order.get("width", clip.width), order.get("height", clip.height))
    assert read_metadata(clip.path)["family"] == layout.partition(",")[0]
    assert [stage.name for stage in studio.stages(done.job_id)] == ["picture", "motion"]


@pictures
def test_its_motion_stops_within_a_step(studio: Engine, layout: str, picture: str, name: str) -> None:
    job_id = studio.submit(reference_request(studio, name, layout, picture=picture, steps=60, seed=5))
    next(event for event in studio.watch(job_id, timeout=60) if isinstance(event, StageStep) and event.index)
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=60)
    assert isinstance(last, Stopped)


@one
def test_the_motion_of_another_model_is_kept_and_finished_by_the_studio_s_networks(
    studio: Engine, layout: str, picture: str, name: str
) -> None:
    first = reference_request(studio, name, layout, picture=picture, seed=9)
    smoother = first.model_copy(update={"smoother": 2, "smoother_way": "optical"})
    assert isinstance(events(studio, first)[-1], Done)
    done = events(studio, smoother)[-1]
    assert isinstance(done, Done)
    assert {stage.name: stage.cached for stage in studio.stages(done.job_id)} == {"picture": True, "motion": True, "smooth": False}
    assert done.clips[0].frames == 9


@one
def test_without_a_picture_a_model_that_can_draws_it(studio: Engine, layout: str, name: str) -> None:
    done = events(studio, reference_request(studio, name, layout))[-1]
    assert isinstance(done, Done), done
    assert [stage.name for stage in studio.stages(done.job_id)] == ["picture", "motion"]


@one
def test_what_a_model_with_a_motion_of_its_own_cannot_do_is_refused(studio: Engine, layout: str, picture: str, name: str) -> None:
    for changes, reason in [
        ({"last_picture": picture}, "goes where it goes"),
        ({"reference_strength": 0.5}, "leave the strength at 1"),
        ({"sharper": True}, "comes without"),
        ({"longer": 4}, "this model makes clips of 64 x 64 longer"),
    ]:
        with pytest.raises(InvalidInput if "comes" not in reason else Exception, match=reason):
            studio.submit(reference_request(studio, name, layout, picture=picture, **changes))


@pytest.mark.parametrize("layout", ["svd"], scope="module")
def test_a_model_that_needs_a_picture_says_so(studio: Engine, layout: str, name: str) -> None:
    with pytest.raises(InvalidInput, match="starts from a picture"):
        studio.submit(text_request(studio, name, layout))
    with pytest.raises(InvalidInput, match="Give a reference image"):
        studio.submit(reference_request(studio, name, layout))
