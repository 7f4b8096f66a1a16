"""What the page says of reference images and of finishing, without a page."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from studio.events import Done, StageStep, Stopped
from studio.history import ClipRecord
from studio.requests import ClipRequest, FinishingRequest, ReferenceRequest, TextToVideoRequest
from studio.stages import MadeStage
from studio.tabs import chain_views, facts, finishing, gallery_views, stage_views, views
from studio.tabs.chain_views import Chain
from studio.tabs.finishing import Offers

REQUEST = ReferenceRequest(prompt="a <b>ball</b>", smoother=2, seed=7, picture_seed=3)
FINISHING = FinishingRequest(source="clip:c1", prompt="a ball", smoother=2, smoother_way="optical")
PICTURE = MadeStage("picture", Path("/stages/p.png"), 1, 64, 64, 8, 2.0, True)
MOTION = MadeStage("motion", Path("/stages/m.webp"), 16, 64, 64, 8, 12.0, False)
MADE = {"picture": PICTURE, "motion": MOTION}
DONE = Chain("j1", REQUEST, Done("j1", ()), MADE | {"smooth": replace(MOTION, name="smooth", frames=31, fps=16)})


def clip(request: ClipRequest, size: int = 64) -> ClipRecord:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return ClipRecord("c1", "j1", Path("/data/a.mp4"), Path("/data/a.png"), request, now, size, size)


def said(html: str) -> str:
    return re.sub("<[^>]+>", " ", html)


def test_the_chips_of_a_reference_say_what_decides_it() -> None:
    chips = said(facts.chips(REQUEST, "64 by 64"))
    for part in ("drawn picture, seed 3", "reference strength 1", "seed 7", "x2 smoother (learned)", "now 31 frames, 16 fps", "64 by 64"):
        assert part in chips


def test_a_frame_of_a_clip_is_counted_as_people_do() -> None:
    request = REQUEST.model_copy(update={"picture": "clip:abc#6", "last_picture": "abc.png"})
    chips = said(facts.chips(request))
    assert "from frame 7 of a clip" in chips
    assert "ends at a file of yours" in chips
    assert "seed 3" not in chips  # nothing is drawn


def test_a_finished_clip_says_no_seed_where_nothing_was_drawn() -> None:
    assert "seed" not in said(facts.chips(FINISHING))
    assert "seed 0" in said(facts.chips(FINISHING.model_copy(update={"longer": 8})))


def test_every_chip_of_every_kind_is_short() -> None:
    for request in (REQUEST, FINISHING, TextToVideoRequest(prompt="a ball")):
        assert all(len(fact) <= 32 for fact in facts.settings(request).values())


@pytest.mark.parametrize("request_", [REQUEST, FINISHING, TextToVideoRequest(prompt="a ball")])
def test_every_clip_can_be_finished_and_used_as_a_reference(request_: Any) -> None:
    strip = stage_views.actions(clip(request_), Offers())
    card = gallery_views.card(clip(request_), Offers())
    for html in (strip, card):
        for action in ("finish-longer", "finish-smoother", "finish-steadier", "finish-sharper", "as-reference"):
            assert f'data-do="{action}"' in html


def test_what_the_model_cannot_do_is_greyed_out_and_says_why() -> None:
    html = Offers({"sharper": "No upscaler.", "steadier": "No decoder."}, (64, 64)).buttons("c1", (64, 64))
    assert re.search(r'data-do="finish-sharper"[^>]*title="No upscaler." disabled', html)
    assert "finish-steadier" not in html
    assert re.search(r'data-do="finish-longer"[^>]*title="Continue[^"]*">', html)


def test_a_clip_of_another_size_can_only_be_smoothed() -> None:
    offers = Offers({}, (64, 64))
    assert [step for step in finishing.STEPS if not offers.why_not(step, (128, 128))] == ["smoother"]


def test_the_status_line_names_the_stage() -> None:
    assert views.status_line(StageStep("j", 3, 24, None, 9.0, 7, stage="motion")) == "motion 3/24 · 9 s left · seed 7"


def test_a_stage_is_done_made_awaited_or_left_out() -> None:
    chain = replace(DONE, event=StageStep("j1", 3, 24, None, 9.0, 7, stage="motion"), made={"picture": PICTURE})
    states = {name: chain.state(name) for name in chain_views.shown(chain)}
    assert states == {
        "picture": "done",
        "motion": "making",
        "longer": "skipped",
        "smooth": "waiting",
        "steady": "skipped",
        "sharp": "skipped",
    }
    assert "kept from before" in chain_views.card(chain, "picture")
    assert "being made 3/24" in chain_views.card(chain, "motion")


def test_a_stopped_chain_says_what_was_not_made() -> None:
    assert "not made" in chain_views.card(replace(DONE, event=Stopped("j1", ()), made=MADE), "smooth")


def test_a_stage_is_made_again_left_out_or_taken_in() -> None:
    assert 'data-do="again" data-clip="picture_seed"' in chain_views.card(DONE, "picture")
    assert 'data-do="again" data-clip="seed"' in chain_views.card(DONE, "motion")
    assert 'data-do="leave-out"' in chain_views.card(DONE, "smooth")
    assert 'data-do="take-in"' in chain_views.card(DONE, "sharp")
    lacking = replace(DONE, lacking={"sharper": "No upscaler."})
    assert 'title="No upscaler." disabled' in chain_views.card(lacking, "sharp")


def test_a_given_picture_is_not_drawn_again() -> None:
    given = replace(DONE, request=REQUEST.model_copy(update={"picture": "abc.png"}))
    assert "again" not in chain_views.card(given, "picture")


def test_the_only_step_of_a_finishing_cannot_be_left_out() -> None:
    chain = Chain("j1", FINISHING, Done("j1", ()), {"smooth": replace(MOTION, name="smooth")})
    assert chain_views.shown(chain) == ("clip", "longer", "smooth", "steady", "sharp")
    assert "leave-out" not in chain_views.card(chain, "smooth")


@pytest.mark.parametrize(("name", "field"), [("longer", "longer"), ("smooth", "smoother"), ("steady", "steadier"), ("sharp", "sharper")])
def test_what_is_taken_in_is_left_out_again(name: str, field: str) -> None:
    taken = REQUEST.model_copy(update=chain_views.changes(name, True, 16, "learned"))
    assert getattr(taken, field)
    left = taken.model_copy(update=chain_views.changes(name, False, 16, "learned"))
    assert getattr(left, field) in (False, 0, 1)


def test_both_ends_of_a_stage_become_references() -> None:
    html = chain_views.hero(DONE, MOTION)
    assert 'data-clip="motion#0"' in html
    assert 'data-clip="motion#-1"' in html
    assert 'data-clip="picture#0"' in chain_views.hero(DONE, PICTURE)


def test_what_people_type_is_never_markup() -> None:
    for html in (stage_views.finished((clip(REQUEST),), clip(REQUEST), Offers()), gallery_views.card(clip(REQUEST), Offers())):
        assert "<b>ball" not in html
