"""What the page says, without a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from studio.app import build, frame_limits
from studio.engine import Engine, QueuedJob
from studio.events import Done, Event, Loading, Queued, Step, Stopped
from studio.history import ClipRecord
from studio.jobs import State
from studio.requests import TextToVideoRequest
from studio.residency import MemoryReport, ResidentModel
from studio.settings import Settings
from studio.tabs import controls, facts, gallery_views, stage_views, views
from studio.tabs.finishing import Offers

FORM = controls.Form()
REQUEST = TextToVideoRequest(prompt='a <b>ball</b> & "more"', seed=41)
CLIP = ClipRecord("c1", "j1", Path("/data/a b.mp4"), Path("/data/a b.png"), REQUEST, datetime(2026, 1, 2, tzinfo=UTC), 64, 64)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Queued("j", 1), "next in the queue"),
        (Queued("j", 3), "waiting · number 3 in the queue"),
        (Loading("j", "pocket"), "loading the model pocket"),
        (Step("j", 12, 24, None, 3.2, 41), "denoising 12/24 · 3 s left · seed 41"),
        (Step("j", 1, 24, None, None, 41, 2, 4), "denoising 1/24 · seed 41 · video 2 of 4"),
        (Step("j", 1, 24, None, 80.0, 41), "denoising 1/24 · 1 min 20 s left · seed 41"),
        (Step("j", 1, 24, None, None, 41, note="decoded in tiles"), "denoising 1/24 · seed 41 · decoded in tiles"),
        (Stopped("j", ()), "stopped"),
        (Stopped("j", (CLIP,)), "stopped · 1 video kept"),
        (Done("j", (CLIP,)), "done"),
    ],
)
def test_the_status_line_says_it_in_words(event: Event, line: str) -> None:
    assert views.status_line(event) == line


@pytest.mark.parametrize(
    "html",
    [
        stage_views.finished((CLIP,), CLIP, Offers()),
        gallery_views.card(CLIP, Offers()),
        views.recent([CLIP], None),
        views.queue([QueuedJob("j", 1, State.QUEUED, REQUEST.prompt, None)]),
        stage_views.running(Queued("j", 1), REQUEST, (), 1.0),
        views.unknown_words(["<b>dragon</b>"], "pocket"),
        views.alert("<b>no</b>"),
    ],
)
def test_what_people_type_is_never_markup(html: str) -> None:
    assert "<b>ball" not in html
    assert "<b>dragon</b></b>" not in html
    assert "<b>no" not in html
    assert "&lt;b&gt;" in html


def test_addresses_of_files_are_quoted_and_relative_to_the_page() -> None:
    assert views.file_url(Path("/data/a b#1.mp4")) == "gradio_api/file=/data/a%20b%231.mp4"


def test_a_running_job_has_a_place_for_each_variation() -> None:
    request = REQUEST.model_copy(update={"variations": 4})
    html = stage_views.running(Step("j", 3, 24, Path("/p.webp"), None, 42, 2, 4), request, [CLIP], 1.0)
    assert [html.count(part) for part in ("<video", "<img", 'class="blank"')] == [1, 1, 2]


def test_the_chips_say_every_setting() -> None:
    said = re.sub("<[^>]+>", " ", facts.chips(REQUEST, "64 by 64"))
    for part in ("seed 41", "16 frames", "8 fps", "24 steps", "guidance 3", "DDIM", "progressive noise", "alpha 2", "64 by 64"):
        assert part in said


def test_only_settings_that_differ_are_marked() -> None:
    values = {**FORM.defaults, "steps": 40, "guidance_scale": 4.0, "seed": 5}
    assert FORM.differing(values) == {"steps": 40, "guidance_scale": 4.0}


def test_every_control_takes_range_default_and_help_from_its_field() -> None:
    for name in ("frames", "steps", "guidance_scale", "fps", "variations"):
        slider, field = FORM.slider(name), FORM.schema[name]
        assert (slider.minimum, slider.maximum, slider.value, slider.info) == (
            field["minimum"],
            field["maximum"],
            field["default"],
            field["description"],
        )


def test_the_length_ends_where_the_model_does(engine: Engine) -> None:
    page = build(engine)
    length = next(block for block in page.blocks.values() if getattr(block, "elem_id", "") == "field-frames")
    assert (length.minimum, length.maximum) == (engine.defaults().min_frames, engine.defaults().max_frames)


def test_without_a_model_the_page_is_built_all_the_same(settings: Settings) -> None:
    engine = Engine(settings.model_copy(update={"model_dir": Path("nowhere")}))
    assert frame_limits(engine) is None
    assert build(engine)
    engine.close()


def test_the_header_names_model_memory_and_queue() -> None:
    said = re.sub("<[^>]+>", " ", views.header([], MemoryReport("CPU", 2**30, 4 * 2**30), 2, True))
    assert "1.0 of 4 GB" in said
    assert "1 running · 2 waiting" in said


def test_the_header_lists_what_is_loaded_and_what_waits() -> None:
    one, other = ResidentModel("pocket", 55 * 2**20, {}), ResidentModel("wan", 3 * 2**30, {}, waiting=True)
    assert "loads with the first video" in views.loaded([])
    assert "pocket loaded, 55 MB" in views.loaded([one])
    assert "2 models loaded, 3,127 MB" in views.loaded([one, other])
    assert "wan 3,072 MB, waiting beside the device" in views.loaded([one, other])
