"""Every family that starts from a picture: the Reference tab's job is made by its own motion stage; what comes after, by the studio's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from studio.engine import Done, Engine, StageStep, Stopped
from studio.media import read_metadata
from studio.settings import Settings
from tests.pipelines.directories import LAYOUTS, save
from tests.studio.models import PICTURE, events, photograph, reference_request, text_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
BOTH = ["wan, text or picture", "ltx"]
only = pytest.mark.parametrize("layout", [BOTH[0]], indirect=True, scope="module")


@pytest.fixture(scope="module", params=PICTURE + BOTH)
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
def picture(studio: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    return studio.add_picture(photograph(tmp_path_factory.mktemp("picture") / "photograph.png"), "added").name


def test_a_picture_becomes_a_clip_with_progress_previews_and_the_model_in_its_file(studio: Engine, layout: str, picture: str) -> None:
    *before, done = events(studio, reference_request(studio, "added", layout, picture=picture))
    assert isinstance(done, Done), done
    assert any(event.preview for event in before if isinstance(event, StageStep))
    (clip,), order = done.clips, LAYOUTS[layout].order
    assert clip.frames == order["num_frames"]
    assert (clip.width, clip.height) == (order.get("width", clip.width), order.get("height", clip.height))
    assert read_metadata(clip.path)["family"] == layout.partition(",")[0]
    assert [stage.name for stage in studio.stages(done.job_id)] == ["picture", "motion"]


def test_it_stops_within_a_step(studio: Engine, layout: str, picture: str) -> None:
    job_id = studio.submit(reference_request(studio, "added", layout, picture=picture, steps=60, seed=5))
    next(event for event in studio.watch(job_id, timeout=60) if isinstance(event, StageStep) and event.index)
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=60)
    assert isinstance(last, Stopped)


@only
def test_the_motion_of_another_model_is_kept_and_finished_by_the_studio_s_networks(studio: Engine, layout: str, picture: str) -> None:
    first = reference_request(studio, "added", layout, picture=picture, seed=9)
    smoother = first.model_copy(update={"smoother": 2, "smoother_way": "optical"})
    assert isinstance(events(studio, first)[-1], Done)
    done = events(studio, smoother)[-1]
    assert isinstance(done, Done)
    assert {stage.name: stage.cached for stage in studio.stages(done.job_id)} == {"picture": True, "motion": True, "smooth": False}
    assert done.clips[0].frames == 9


@only
def test_without_a_picture_a_model_that_can_draws_it(studio: Engine, layout: str) -> None:
    done = events(studio, reference_request(studio, "added", layout))[-1]
    assert isinstance(done, Done), done
    assert [stage.name for stage in studio.stages(done.job_id)] == ["picture", "motion"]


@only
def test_what_a_model_with_a_motion_of_its_own_cannot_do_is_refused(studio: Engine, layout: str, picture: str) -> None:
    for changes, reason in [
        ({"last_picture": picture}, "goes where it goes"),
        ({"reference_strength": 0.5}, "leave the strength at 1"),
        ({"sharper": True}, "comes without"),
        ({"longer": 4}, "this model makes clips of 64 x 64 longer"),
    ]:
        with pytest.raises(InvalidInput if "comes" not in reason else Exception, match=reason):
            studio.submit(reference_request(studio, "added", layout, picture=picture, **changes))


@pytest.mark.parametrize("layout", ["svd"], indirect=True, scope="module")
def test_a_model_that_needs_a_picture_says_so(studio: Engine, layout: str) -> None:
    with pytest.raises(InvalidInput, match="starts from a picture"):
        studio.submit(text_request(studio, "added", layout))
    with pytest.raises(InvalidInput, match="Give a reference image"):
        studio.submit(reference_request(studio, "added", layout))
