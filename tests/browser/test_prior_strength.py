"""The tab of walls in a real browser: compare, watch, stop, go on, come back, pick, export, train."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from studio.engine import Engine
from studio.media import write_mp4
from studio.requests import TextToVideoRequest
from tests.serving import Pace
from tests.tiny import save_tiny_domain_model

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")]
Studio = tuple[str, Engine]
SLOW = 60_000  # a wall on a busy machine, in milliseconds


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a domain model beside the tiny one."""
    model = shutil.copytree(tiny_model, tmp_path_factory.mktemp("adapted") / "tiny")
    save_tiny_domain_model(model, "sketch")
    return model


@pytest.fixture
def tab(page: Page) -> Page:
    page.get_by_role("tab", name="Prior strength").click()
    page.locator("#wall-run, #wall-stop").first.wait_for()
    return page


def choose(tab: Page, label: str, option: str) -> None:
    tab.get_by_label(label, exact=True).click()
    tab.get_by_role("option", name=option, exact=True).click()


def ask(tab: Page, prompt: str, columns: str, steps: int = 2) -> None:
    tab.locator("#wall-prompt textarea").fill(prompt)
    tab.locator("#columns-values textarea").fill(columns)
    tab.locator("#wall-steps input[type=number]").fill(str(steps))
    tab.locator("#wall-steps input[type=number]").press("Tab")
    expect(tab.locator("#wall-changed")).to_contain_text(f"Quality {steps}")
    tab.locator("#wall-run").click()


def compare(tab: Page, prompt: str, columns: str, steps: int = 2) -> None:
    """Asks for a wall and waits until the page shows it, finished or not: before, it may show the wall of another test."""
    ask(tab, prompt, columns, steps)
    expect(tab.locator("#wall-under .prompt")).to_have_text(prompt, timeout=SLOW)


def cells(tab: Page, state: str = "ready") -> Any:
    return tab.locator(f'#wall .wall-cell[data-state="{state}"]')


def seeds(tab: Page) -> None:
    choose(tab, "Columns", "Seed")
    expect(tab.locator("#columns-values textarea")).to_have_value("1, 2, 3")


def test_strengths_with_both_ends_become_a_wall_in_step(tab: Page) -> None:
    expect(tab.locator("#columns-values textarea")).to_have_value("0.1, 0.25, 0.5, 1, 2")
    compare(tab, "a red ball at night, as a pencil sketch", "0.5")
    expect(cells(tab)).to_have_count(3, timeout=SLOW)
    heads = tab.locator("#wall .wall-grid")
    for head in ("domain model alone", "0.5", "prior alone"):
        expect(heads).to_contain_text(head)
    expect(tab.locator("#wall .wall-curves")).to_contain_text("Frame consistency")
    frames = tab.evaluate("[...document.querySelectorAll('#wall .wall-cell')].map((cell) => cell.dataset.frame)")
    assert len(set(frames)) == 1


def test_the_values_follow_the_setting_and_rows_make_a_matrix(tab: Page) -> None:
    seeds(tab)
    choose(tab, "Rows", "Guidance")
    expect(tab.locator("#rows-values textarea")).to_have_value("1, 2, 3, 5, 8")
    tab.locator("#rows-values textarea").fill("1, 3")
    compare(tab, "a red ball", "1, 2")
    expect(cells(tab)).to_have_count(4, timeout=SLOW)


def test_cells_appear_one_by_one_and_a_stopped_wall_goes_on(tab: Page, studio: Studio, pace: Pace) -> None:
    seeds(tab)
    pace.seconds_per_step = 0.3
    compare(tab, "a wall to stop", "1, 2, 3", steps=20)
    expect(cells(tab, "making")).to_have_count(1)
    cells(tab).first.wait_for(timeout=SLOW)
    pace.seconds_per_step = 1.0  # slow enough that a busy page stops it before its end
    tab.keyboard.press("Escape")
    again = tab.get_by_role("button", name=re.compile("Make the missing"))
    again.wait_for(timeout=SLOW)
    pace.seconds_per_step = 0.0
    again.click()
    expect(cells(tab)).to_have_count(3, timeout=SLOW)
    assert studio[1].history.count("wall to stop") == 3


def test_a_reload_finds_the_wall_and_the_form(tab: Page) -> None:
    seeds(tab)
    compare(tab, "a wall to come back to", "5, 6")
    expect(cells(tab)).to_have_count(2, timeout=SLOW)
    tab.reload()
    tab.get_by_role("tab", name="Prior strength").click()
    expect(cells(tab)).to_have_count(2, timeout=SLOW)
    expect(tab.locator("#wall-prompt textarea")).to_have_value("a wall to come back to")
    expect(tab.locator("#columns-values textarea")).to_have_value("5, 6")


def test_bad_values_are_refused_above_the_button(tab: Page) -> None:
    seeds(tab)
    for columns, sentence in (
        ("1, 1", "The seed 1 is given twice. Leave one of them out."),
        ("-1", "The value of seed is '-1'."),
        (", ".join(map(str, range(100))), "100 values of seed were given. Give at most 24."),
        ("", "The values of seed are []. Give a list of one or more."),
    ):
        ask(tab, "a red ball", columns)
        expect(tab.locator("#wall-note .alert")).to_contain_text(sentence)


def test_a_blind_wall_tells_nothing_until_a_favourite_is_picked(tab: Page, studio: Studio) -> None:
    seeds(tab)
    tab.get_by_label("Blind").check()
    compare(tab, "a blind wall", "7, 8")
    expect(cells(tab)).to_have_count(2, timeout=SLOW)
    expect(tab.locator("#wall .wall-grid")).to_contain_text("A")
    expect(tab.get_by_role("button", name="CSV of the curves")).to_have_count(0)
    tab.locator('#wall [data-do="pick"]').first.click()
    expect(tab.locator("#wall .wall-curves")).to_contain_text("Frame consistency")
    assert len(studio[1].walls.picks()) == 1


def test_a_wall_is_downloaded_as_mp4_gif_and_csv(tab: Page, tmp_path: Path) -> None:
    seeds(tab)
    compare(tab, "a wall to keep", "1, 2")
    for text, ending in (("Download MP4", ".mp4"), ("GIF", ".gif"), ("CSV of the curves", ".csv")):
        with tab.expect_download() as download:
            tab.locator("#wall-under").get_by_text(text, exact=True).click()
        assert download.value.suggested_filename.endswith(ending)
    download.value.save_as(tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open() as table:
        assert [row["seed"] for row in csv.DictReader(table)] == ["1", "2"]


def test_a_clip_of_the_wall_opens_where_it_can_be_made_again(tab: Page) -> None:
    seeds(tab)
    compare(tab, "a wall to open", "3, 4")
    expect(cells(tab)).to_have_count(2, timeout=SLOW)
    expect(tab.locator("#wall .wall-curves")).to_contain_text("Frame consistency", timeout=SLOW)
    cells(tab).nth(1).locator(".wall-clip").click()
    tab.locator("#wall .wall-loupe[data-pinned]").get_by_role("button", name="Open").click()
    expect(tab.locator("#stage .caption .prompt")).to_have_text("a wall to open")
    expect(tab.locator("#field-seed input")).to_have_value("4")


def test_strengths_are_compared_from_a_clip_on_the_stage(page: Page, studio: Studio) -> None:
    *_, _done = studio[1].watch(studio[1].submit(TextToVideoRequest(prompt="a clip to compare", seed=77, steps=2)))
    page.reload()
    page.locator("#shelf").get_by_role("button", name=re.compile("a clip to compare")).click()
    page.get_by_role("button", name="Compare strengths").click()
    expect(page.locator("#wall-prompt textarea")).to_have_value("a clip to compare")
    expect(page.locator("#wall-seed input")).to_have_value("77")
    expect(page.get_by_label("Columns", exact=True)).to_have_value("Prior strength")


def test_an_earlier_wall_is_opened_again(tab: Page) -> None:
    seeds(tab)
    for prompt, columns in (("an earlier wall", "1, 2"), ("a later wall", "1, 2, 3")):
        compare(tab, prompt, columns)
        expect(tab.locator("#wall-under .prompt")).to_have_text(prompt)
        tab.locator("#wall-run").wait_for()
    tab.locator("#wall-shelf").get_by_role("button", name=re.compile("an earlier wall")).click()
    expect(tab.locator("#wall-under .prompt")).to_have_text("an earlier wall")
    expect(cells(tab)).to_have_count(2, timeout=SLOW)


def test_while_a_wall_is_made_single_videos_can_be_queued(tab: Page, pace: Pace) -> None:
    seeds(tab)
    pace.seconds_per_step = 0.2
    compare(tab, "a long wall", "1, 2, 3", steps=200)
    cells(tab, "making").wait_for()
    tab.get_by_role("tab", name="Text to video").click()
    expect(tab.locator("#run")).to_be_visible()
    tab.locator("#prompt textarea").fill("a ball in between")
    tab.locator("#run").click()
    expect(tab.locator("#shelf .queue")).to_contain_text("a ball in between")
    expect(tab.locator("#shelf .queue")).to_contain_text("a long wall (3 clips side by side)")
    tab.locator("#shelf .queue").get_by_role("button", name="Show").click()
    expect(tab.locator("#wall-under .prompt")).to_have_text("a long wall")


def test_a_domain_model_is_trained_from_dropped_clips(tab: Page, studio: Studio, tmp_path: Path) -> None:
    for n in range(2):
        write_mp4(np.full((16, 64, 64, 3), 90 * n, np.uint8), 8, tmp_path / f"{n}.mp4", "", {})
    tab.get_by_text("Train your own domain model").click()
    tab.locator("#train").click()
    expect(tab.locator("#training-note .alert")).to_have_text("No clips were given. Drop some, or name a folder.")
    tab.locator("#training-files input[type=file]").set_input_files([tmp_path / "0.mp4", tmp_path / "1.mp4"])
    tab.locator("#training-caption textarea").fill("a grey square")
    tab.locator("#training-name input, #training-name textarea").fill("Grey squares")
    tab.locator("#training-files").get_by_role("row", name=re.compile("1.mp4")).wait_for()
    tab.locator("#train").click()
    expect(tab.locator("#training-live polyline")).to_have_count(1, timeout=SLOW)
    tab.locator("#train-stop").click()
    expect(tab.locator("#training-live")).to_contain_text("stopped, and kept")
    tab.get_by_role("button", name="Go on learning").wait_for()
    tab.get_by_label("Domain model", exact=True).last.click()
    expect(tab.get_by_role("option", name="Grey squares")).to_be_visible()
    assert [model.name for model in studio[1].domain_models()] == ["sketch", "grey-squares"]


def test_on_a_narrow_screen_nothing_runs_over(tab: Page) -> None:
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_every_control_of_the_tab_has_a_name(tab: Page) -> None:
    tab.get_by_text("Train your own domain model").click()
    nameless = tab.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select, a[href]')]
            .filter((each) => each.offsetParent !== null)
            .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.title || each.labels?.length || each.placeholder
                               || each.getAttribute('aria-labelledby')))
            .map((each) => each.outerHTML.slice(0, 160))"""
    )
    assert nameless == []
