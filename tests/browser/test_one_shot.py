"""The tab of one-shot tuning in a real browser: a clip is taken, trimmed, learned; its words are edited on the wall."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from studio.engine import Engine
from tests.pipelines.directories import save

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting", "ignore::FutureWarning", "ignore::UserWarning"),
]
SLOW = 60_000  # a tuning on a busy machine, in milliseconds


@pytest.fixture(scope="module")
def studio(studio: tuple[str, Engine], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Engine]:
    """With a Stable Diffusion beside its model."""
    studio[1].models.add(str(save("stable-diffusion", tmp_path_factory.mktemp("here") / "tiny-sd")))
    return studio


@pytest.fixture
def tab(page: Page) -> Page:
    page.get_by_role("tab", name="One-shot tuning").click()
    page.get_by_role("tab", name="Tune on a clip").click()
    page.locator("#tune").wait_for()
    return page


def take(tab: Page) -> None:
    tab.locator("#picks").get_by_text("Star", exact=True).click()
    tab.locator("#seen-frames .film").wait_for()


def test_a_clip_is_tuned_on_and_its_words_are_edited_in_step(tab: Page, studio: tuple[str, Engine]) -> None:
    take(tab)
    expect(tab.locator("#tuning-caption textarea")).to_have_value("a big red star moving right over green hills, flat cartoon")
    expect(tab.locator("#seen-frames .film i")).to_have_count(16)
    tab.locator("#tuning-frames input[type=number]").fill("4")
    tab.locator("#tuning-frames input[type=number]").press("Tab")
    expect(tab.locator("#seen-frames .film i")).to_have_count(4)
    tab.locator("#tuning-edit textarea").fill("a big blue star moving right over green hills, flat cartoon")
    tab.get_by_text("Advanced", exact=True).locator("visible=true").click()
    tab.locator("#tuning-steps input[type=number]").fill("4")
    tab.locator("#tuning-steps input[type=number]").press("Tab")
    tab.locator("#tune").click()
    tab.locator("#tuning-live").get_by_role("button", name="Edit with it").click(timeout=SLOW)
    tab.locator("#edits-field textarea").fill("red -> blue\nstar -> heart")
    tab.locator("#edit-run").click()
    expect(tab.locator('#edits .wall-cell[data-state="ready"]')).to_have_count(4, timeout=SLOW)
    for head in ("source clip", "reconstruction", "red → blue", "star → heart"):
        expect(tab.locator("#edits .wall-grid")).to_contain_text(head)
    assert [record.title for record in studio[1].tuned_models] == ["Big red star moving"]


def test_a_file_that_is_no_clip_is_refused_where_it_was_dropped(tab: Page, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no clip at all")
    tab.locator("#tuning-file input[type=file]").set_input_files(tmp_path / "a.mp4")
    expect(tab.locator("#tuning-note .alert")).to_contain_text("'a.mp4' cannot be read as a video.")


def test_without_a_clip_nothing_is_tuned(tab: Page) -> None:
    tab.locator("#tune").click()
    expect(tab.locator("#tuning-note .alert")).to_have_text("No clip was chosen. Drop one, or take one of those above.")


def test_on_a_narrow_screen_nothing_runs_over(tab: Page) -> None:
    take(tab)
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def choose(page: Page, title: str) -> None:
    page.locator("#model input").click()
    page.get_by_role("option", name=title, exact=True).click()


def fill(tab: Page, name: str, value: str) -> None:
    tab.locator(f"#tuning-{name} input[type=number]").fill(value)
    tab.locator(f"#tuning-{name} input[type=number]").press("Tab")


def test_a_stable_diffusion_that_is_chosen_in_the_header_is_tuned_and_named_where_its_clip_is_edited(tab: Page) -> None:
    choose(tab, "tiny-sd")
    expect(tab.locator("#tuning-frames input[type=range]")).to_have_attribute("max", "64")
    expect(tab.locator("#real-footage")).to_be_hidden()
    take(tab)
    fill(tab, "frames", "3")
    expect(tab.locator("#seen-frames .film i")).to_have_count(3)
    tab.get_by_text("Advanced", exact=True).locator("visible=true").click()
    expect(tab.locator("#tuning-learning_rate input")).to_have_value("0.00003")
    fill(tab, "steps", "1")
    tab.locator("#tuning-name textarea, #tuning-name input").first.fill("On another")
    tab.locator("#tune").click()
    tab.locator("#tuning-live").get_by_role("button", name="Edit with it").click(timeout=SLOW)
    expect(tab.locator("#edit-about")).to_contain_text("Its model, whichever is chosen above: tiny-sd")
    expect(tab.locator("#edit-guidance_scale input").first).to_have_value("12.5")
    expect(tab.locator("#tuned-models button", has_text="On another")).to_contain_text("on tiny-sd")
