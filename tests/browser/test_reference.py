"""The tab of reference images in a real browser, and the finishing of clips wherever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from studio.engine import Engine
from studio.history import ClipRecord
from studio.requests import FinishingRequest, ReferenceRequest, TextToVideoRequest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")]
Studio = tuple[str, Engine]
SLOW = 60_000  # a chain on a busy machine, in milliseconds
PROMPT = "a big red star bouncing over green hills, pixel art"


@pytest.fixture
def tab(page: Page) -> Page:
    page.get_by_role("tab", name="Reference image").click()
    page.locator("#reference-run, #reference-stop").locator("visible=true").wait_for()
    return page


def clip(studio: Studio, prompt: str = PROMPT) -> ClipRecord:
    """A small clip in the history."""
    *_, done = studio[1].watch(studio[1].submit(TextToVideoRequest(prompt=prompt, frames=4, steps=1)))
    return done.clips[0]


def chain(studio: Studio, **settings: Any) -> ClipRecord:
    """A reference clip in the history, with its stages."""
    values = {"prompt": PROMPT, "frames": 4, "steps": 1, "smoother": 2, "smoother_way": "optical", **settings}
    *_, done = studio[1].watch(studio[1].submit(ReferenceRequest(**values)))
    return done.clips[0]


def stage(page: Page, state: str, on: str = "reference-stage") -> Any:
    return page.locator(f"#{on} [data-state={state}]")


def link(page: Page, name: str, state: str = "") -> Any:
    return page.locator(f'.link[data-stage="{name}"]' + (f'[data-state="{state}"]' if state else ""))


def open_clip(page: Page, record: ClipRecord) -> None:
    """From the gallery onto the stage where its kind is at home."""
    page.get_by_role("tab", name="Gallery").click()
    page.locator(f'[data-card="{record.id}"]').get_by_role("button", name="Open", exact=True).click()


def set_number(page: Page, name: str, value: int, title: str) -> None:
    box = page.locator(f"#reference-{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")
    expect(page.locator("#reference-changed")).to_contain_text(f"{title} {value}", timeout=SLOW)


def test_a_prompt_becomes_a_picture_a_motion_and_a_clip(tab: Page, studio: Studio) -> None:
    expect(link(tab, "motion", "idle")).to_be_visible()
    set_number(tab, "frames", 4, "Length")
    set_number(tab, "steps", 2, "Quality")
    tab.locator("#reference-prompt textarea").fill(PROMPT)
    tab.locator("#reference-prompt textarea").press("Control+Enter")
    stage(tab, "done").wait_for(timeout=SLOW)
    for name, state in {"picture": "done", "motion": "done", "longer": "skipped", "sharp": "skipped"}.items():
        expect(link(tab, name, state)).to_be_visible()
    expect(tab.locator("#reference-stage .facts")).to_contain_text("reference strength 1")
    tab.reload()
    tab.get_by_role("tab", name="Reference image").click()
    stage(tab, "done").wait_for(timeout=SLOW)
    expect(tab.locator("#reference-prompt textarea")).to_have_value(PROMPT)


def test_a_stage_is_taken_in_and_the_ones_before_it_are_kept(tab: Page, studio: Studio) -> None:
    open_clip(tab, chain(studio, seed=11, smoother=1))
    stage(tab, "done").wait_for(timeout=SLOW)
    link(tab, "smooth", "skipped").get_by_role("button", name="Take in").click()
    expect(link(tab, "smooth", "done")).to_be_visible(timeout=SLOW)
    expect(link(tab, "motion", "done")).to_contain_text("kept from before")
    stage(tab, "done").wait_for(timeout=SLOW)
    newest = studio[1].history.clips(limit=1)[0]
    assert (newest.frames, newest.request.seed) == (7, 11)


def test_the_picture_is_drawn_again_with_another_seed(tab: Page, studio: Studio) -> None:
    open_clip(tab, chain(studio, seed=12))
    stage(tab, "done").wait_for(timeout=SLOW)
    link(tab, "picture", "done").get_by_role("button", name="Again").click()
    expect(tab.locator("#reference-stage .facts")).not_to_contain_text("picture, seed 0", timeout=SLOW)
    stage(tab, "done").wait_for(timeout=SLOW)
    request = studio[1].history.clips(limit=1)[0].request
    assert isinstance(request, ReferenceRequest)
    assert (request.seed, request.picture_seed > 0) == (12, True)


def test_a_stage_is_looked_at_and_its_last_frame_becomes_the_reference(tab: Page, studio: Studio) -> None:
    open_clip(tab, chain(studio, seed=13))
    stage(tab, "done").wait_for(timeout=SLOW)
    link(tab, "motion", "done").get_by_role("button", name="Show Motion").click()
    stage(tab, "one-stage").get_by_role("button", name="Last frame as reference").click()
    expect(tab.locator("#reference-picture-shown")).to_contain_text("Your picture.", timeout=SLOW)
    expect(tab.locator("#reference-picture_seed")).to_be_hidden()


def test_a_dropped_picture_is_shown_as_the_model_will_see_it(tab: Page, tmp_path: Path) -> None:
    Image.fromarray(np.full((60, 200, 3), 128, np.uint8)).save(tmp_path / "wide.png")
    tab.locator("#reference-picture-file input[type=file]").set_input_files(tmp_path / "wide.png")
    shown = tab.locator("#reference-picture-shown")
    expect(shown).to_contain_text("Cropped from 200 x 60 to the middle.", timeout=SLOW)
    shown.get_by_role("button", name="Remove").click()
    expect(shown).to_contain_text("Drawn from the prompt.", timeout=SLOW)


def test_a_file_that_is_no_picture_is_refused_where_it_was_dropped(tab: Page, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    tab.locator("#reference-picture-file input[type=file]").set_input_files(tmp_path / "a.png")
    expect(tab.locator("#reference-picture-shown .alert")).to_contain_text("'a.png' cannot be read as a picture.", timeout=SLOW)


def test_any_clip_is_used_as_a_reference_and_any_frame_of_it(page: Page, studio: Studio) -> None:
    record = clip(studio, "a tiny pink fish at night")
    open_clip(page, record)
    stage(page, "done", "stage").get_by_role("button", name="Use as reference").click()
    shown = page.locator("#reference-picture-shown")
    expect(shown).to_contain_text("Frame 1 of 4 of a clip.", timeout=SLOW)
    expect(page.locator("#reference-prompt textarea")).to_have_value(record.prompt)
    page.locator("#reference-picture-frame input[type=range]").press("End")
    expect(shown).to_contain_text("Frame 4 of 4 of a clip.", timeout=SLOW)


def test_a_clip_is_made_smoother_on_the_stage_it_is_on(page: Page, studio: Studio) -> None:
    record = clip(studio, "a green ball at night")
    open_clip(page, record)
    strip = stage(page, "done", "stage")
    expect(strip.get_by_role("button", name="Sharper")).to_be_disabled()  # the tiny model has no upscaler
    strip.get_by_role("button", name="Smoother").click()
    expect(page.locator("#stage .facts")).to_contain_text("x2 smoother", timeout=SLOW)
    stage(page, "done", "stage").wait_for(timeout=SLOW)
    expect(page.locator("#stage .facts")).to_contain_text("now 7 frames, 16 fps")


def test_a_card_of_the_gallery_is_finished_in_the_tab_of_chains(page: Page, studio: Studio) -> None:
    record = clip(studio, "a blue ball at night")
    page.get_by_role("tab", name="Gallery").click()
    page.locator(f'[data-card="{record.id}"]').get_by_role("button", name="Smoother").click()
    stage(page, "done").wait_for(timeout=SLOW)
    expect(link(page, "clip", "done")).to_be_visible()
    expect(link(page, "smooth", "done")).to_contain_text("7 frames")


def test_a_clip_of_ones_own_is_dropped_and_finished(page: Page, studio: Studio) -> None:
    file = clip(studio, "a red ball at night").path
    page.get_by_role("tab", name="Gallery").click()
    page.locator("#own input[type=file]").set_input_files(file)
    own = page.locator("#own-shown")
    expect(own).to_contain_text("Your clip: 4 frames at 8 a second", timeout=SLOW)
    own.get_by_role("button", name="Smoother").click()
    stage(page, "done").wait_for(timeout=SLOW)
    newest = studio[1].history.clips(limit=1)[0].request
    assert isinstance(newest, FinishingRequest)
    assert newest.source.endswith(".mkv")


def test_on_a_narrow_screen_nothing_runs_over(tab: Page, studio: Studio) -> None:
    open_clip(tab, chain(studio, seed=14))
    stage(tab, "done").wait_for(timeout=SLOW)
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
