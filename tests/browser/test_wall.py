"""The wall in a real browser: every clip shows the same frame, whatever a person does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.walls import FRAMES, READ_FRAME, STRENGTHS, WallPage, numbered_clip, wall_page

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")]

# What all clips show, read from their pixels, and what they say they show, many times in two seconds of playing.
WATCH = f"""async () => {{
  const read = {READ_FRAME};
  const cells = [...document.querySelectorAll('#wall .wall-cell')];
  const seen = [];
  const end = performance.now() + 2000;
  while (performance.now() < end) {{
    seen.push(cells.map((cell) => [read(cell.querySelector('canvas')), Number(cell.dataset.frame)]));
    await new Promise((resolve) => setTimeout(resolve, 23));
  }}
  return seen;
}}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WallPage]:
    with wall_page(tmp_path_factory.mktemp("wall")) as state:
        yield state


@pytest.fixture
def site(served: WallPage) -> WallPage:
    served.wall, served.events = served.row(), []
    return served


@pytest.fixture
def open_page(browser: Browser, site: WallPage) -> Iterator[Any]:
    """Opens the page once the test has chosen what it shows, and waits until so many clips are there."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" and "js_on_load" in message.text else None)

    def opened(clips: int = 9, width: int = 1280) -> Page:
        page.set_viewport_size({"width": width, "height": 860})
        page.goto(site.url)
        ready(page, clips)
        return page

    yield opened
    context.close()
    assert not broken


def cells(page: Page, state: str = "") -> Locator:
    return page.locator("#wall .wall-cell" + (f"[data-state={state}]" if state else ""))


def ready(page: Page, clips: int) -> None:
    expect(cells(page, "ready")).to_have_count(clips, timeout=20_000)


def pause_at(page: Page, frame: int) -> None:
    page.locator("#wall .scrub input").evaluate(
        "(input, frame) => { input.value = frame + 1; input.dispatchEvent(new Event('input', {bubbles: true})); }", frame
    )


def shown(page: Page) -> set[int]:
    """The frames that the clips show, by their pixels."""
    return set(page.locator("#wall .wall-cell canvas").evaluate_all(f"all => all.map({READ_FRAME})"))


def update(page: Page, site: WallPage, **changes: Any) -> None:
    site.wall = replace(site.wall, **changes)
    page.locator("#push").click()
    page.mouse.move(1, 1)


def test_nine_clips_show_the_same_frame_at_every_instant(open_page: Any) -> None:
    seen = open_page().evaluate(WATCH)
    assert len(seen) > 20
    assert all(len({frame for clip in instant for frame in clip}) == 1 for instant in seen)
    assert len({instant[0][0] for instant in seen}) > FRAMES // 2


def test_each_frame_is_the_one_that_was_written(open_page: Any) -> None:
    page = open_page()
    for frame in range(FRAMES):
        pause_at(page, frame)
        assert shown(page) == {frame}


def test_colours_are_those_that_were_written(open_page: Any) -> None:
    corner = "all => all.map((c) => [...c.getContext('2d').getImageData(4, 4, 1, 1).data].slice(0, 3))"
    seen = np.array(open_page().locator("#wall .wall-cell canvas").evaluate_all(corner))
    written = np.stack([numbered_clip(i)[0, 1, 1] for i in range(9)])
    assert np.abs(seen - written).max() <= 6


def test_a_clip_plays_at_its_rate(open_page: Any) -> None:
    page = open_page()
    pause_at(page, 0)
    page.keyboard.press("Space")
    page.wait_for_timeout(1000)
    page.keyboard.press("Space")
    assert 6 <= shown(page).pop() <= 11  # 8 frames a second


def test_arrows_step_and_stop_the_playing(open_page: Any) -> None:
    page = open_page()
    pause_at(page, 5)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert shown(page) == {7}
    page.keyboard.press("ArrowLeft")
    assert shown(page) == {6}
    expect(page.locator("#wall output")).to_have_text(f"7 / {FRAMES}")


def test_stepping_goes_round_only_in_a_loop(open_page: Any) -> None:
    page = open_page()
    pause_at(page, FRAMES - 1)
    page.keyboard.press("ArrowRight")
    assert shown(page) == {0}
    page.get_by_role("button", name="Loop").click()
    page.keyboard.press("ArrowLeft")
    assert shown(page) == {0}


def test_a_shorter_clip_waits_on_its_last_frame(open_page: Any, site: WallPage) -> None:
    short = replace(site.wall.cells[2], video=site.clip(2, 5))
    site.wall = replace(site.wall, cells=(*site.wall.cells[:2], short))
    page = open_page(3)
    pause_at(page, 9)
    assert shown(page) == {9, 4}


def test_an_update_reloads_only_what_changed_and_keeps_the_place(open_page: Any, site: WallPage) -> None:
    site.wall = replace(
        site.wall, cells=(*site.wall.cells[:4], replace(site.wall.cells[4], state="making", video=None, detail="denoising 7/24"))
    )
    page = open_page(4)
    pause_at(page, 6)
    expect(cells(page, "making").locator(".wall-state")).to_have_text("denoising 7/24")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith(".mp4") else None)
    page.evaluate("document.querySelector('#wall canvas').marked = true")
    update(page, site, cells=site.row().cells[:5])
    ready(page, 5)
    assert [url.rpartition("/")[2] for url in asked] == [f"4-{FRAMES}.mp4"]
    assert page.evaluate("document.querySelector('#wall canvas').marked")
    assert shown(page) == {6}
    expect(page.locator("#wall .wall")).to_have_attribute("data-playing", "no")


def test_pointing_enlarges_and_leaving_ends_it(open_page: Any) -> None:
    page = open_page()
    cells(page).nth(2).locator(".wall-clip").hover()
    loupe = page.locator("#wall .wall-loupe")
    expect(loupe).to_be_visible()
    expect(loupe).to_contain_text("Prior strength 0.25")
    assert loupe.bounding_box()["width"] > cells(page).nth(2).bounding_box()["width"]  # type: ignore[index]
    page.mouse.move(1, 1)
    expect(loupe).to_be_hidden()


def test_a_click_pins_and_escape_lets_go(open_page: Any, site: WallPage) -> None:
    page = open_page()
    cells(page).nth(3).locator(".wall-clip").click()
    page.mouse.move(1, 1)
    loupe = page.locator("#wall .wall-loupe[data-pinned]")
    expect(loupe).to_contain_text("Prior strength 0.5")
    pause_at(page, 11)
    assert loupe.locator("canvas").evaluate(READ_FRAME) == 11
    loupe.get_by_role("button", name="Open").click()
    page.keyboard.press("Escape")
    expect(loupe).to_be_hidden()
    assert site.events == [{"do": "open", "cell": "one-3"}]


def test_the_divider_shows_the_reference_beside_the_clip(open_page: Any) -> None:
    page = open_page()
    pause_at(page, 3)
    cells(page).nth(5).locator(".wall-clip").click()
    frame, grip = page.locator("#wall .loupe-frame"), page.locator("#wall .loupe-divider")
    box, at = frame.bounding_box(), grip.bounding_box()
    page.mouse.move(at["x"] + 14, at["y"] + 60)  # type: ignore[index]
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60)  # type: ignore[index]
    page.mouse.up()
    left, right = frame.locator("canvas").evaluate(
        "c => [4, 252].map(x => [...c.getContext('2d').getImageData(x, 4, 1, 1).data].slice(0, 3))"
    )
    corner = "c => [...c.getContext('2d').getImageData(4, 4, 1, 1).data].slice(0, 3)"
    assert left == cells(page).nth(0).locator("canvas").evaluate(corner)
    assert right == cells(page).nth(5).locator("canvas").evaluate(corner)


def test_holding_d_shows_how_far_each_clip_is_from_the_chosen_one(open_page: Any) -> None:
    page = open_page()
    pause_at(page, 3)
    before = page.locator("#wall canvas").first.evaluate("c => c.toDataURL()")
    cells(page).nth(4).locator(".wall-clip").hover()
    page.keyboard.press("r")
    page.keyboard.down("d")
    expect(page.locator("#wall .legend")).to_contain_text("from Prior strength 0.75")
    expect(cells(page).nth(0).locator(".wall-delta")).not_to_be_empty()
    assert page.locator("#wall canvas").first.evaluate("c => c.toDataURL()") != before
    away = np.abs(numbered_clip(0).astype(int) - numbered_clip(4)).mean() / 255 * 100
    assert float(cells(page).nth(0).locator(".wall-delta").inner_text().removesuffix(" %")) == pytest.approx(
        away, abs=1
    )  # less some chroma
    assert cells(page).nth(4).locator("canvas").evaluate(READ_FRAME) == 3
    page.keyboard.up("d")
    assert page.locator("#wall canvas").first.evaluate("c => c.toDataURL()") == before


def test_equal_clips_have_no_difference(open_page: Any, site: WallPage) -> None:
    twin = replace(site.wall.cells[1], video=site.clip(0, name="twin"))
    site.wall = replace(site.wall, cells=(site.wall.cells[0], twin))
    page = open_page(2)
    page.get_by_role("button", name="Difference").click()
    expect(cells(page).nth(1).locator(".wall-delta")).to_have_text("0.0 %")


def test_a_point_of_a_curve_lights_its_clip_and_is_read_out(open_page: Any) -> None:
    page = open_page()
    page.locator("#wall .wall-chart").first.locator(".hit").nth(3).hover()
    expect(page.locator("#wall .wall-cell[data-lit]")).to_have_attribute("data-key", "one-3")
    expect(page.locator("#wall .wall-chart figcaption").first).to_contain_text(re.compile(r"style\s*85 %"))


def test_the_best_column_is_marked(open_page: Any) -> None:
    expect(open_page().locator("#wall .wall-cell:has(.flag) .wall-head .text")).to_have_text("0.75")


def test_blind_clips_have_no_labels_until_one_is_picked(open_page: Any, site: WallPage) -> None:
    site.wall = replace(site.wall, blind=True)
    page = open_page()
    expect(page.locator("#wall .wall-head .text")).to_have_text(list("ABCDEFGHI"))
    html = page.locator("#wall").inner_html()
    assert not any(name in html for name in ("0.75", "domain model alone", "prior alone", "Prior strength"))
    assert page.locator("#wall .wall-chart").count() == 0
    chosen = cells(page).nth(2)
    key = chosen.get_attribute("data-key")
    chosen.get_by_role("button", name="Pick this one").click()
    expect(chosen.locator(".wall-do")).to_be_disabled()
    assert site.events == [{"do": "pick", "cell": key}]
    update(page, site, blind=False, picked=key)
    expect(page.locator("#wall .wall-head .text")).to_have_text(list(STRENGTHS))
    expect(page.locator(f"#wall [data-key='{key}'] .wall-head")).to_contain_text("your pick")
    ready(page, 9)


def test_a_missing_clip_can_be_asked_for_again(open_page: Any, site: WallPage) -> None:
    failed = replace(site.wall.cells[1], state="failed", video=None, detail="The device ran out of memory.")
    site.wall = replace(site.wall, cells=(site.wall.cells[0], failed))
    page = open_page(1)
    expect(cells(page, "failed")).to_contain_text("The device ran out of memory.")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_timeout(300)
    assert site.events == [{"do": "retry", "cell": "one-1"}]


def test_a_deleted_clip_says_so_and_harms_no_other(open_page: Any, site: WallPage) -> None:
    lost = replace(site.wall.cells[1], video=f"{site.wall.cells[1].video}-lost")
    site.wall = replace(site.wall, cells=(site.wall.cells[0], lost))
    page = open_page(1)
    expect(cells(page, "failed")).to_contain_text("cannot be shown: its file is missing")


def test_rows_and_columns_are_labelled_and_scroll_inside_the_wall(open_page: Any, site: WallPage) -> None:
    site.wall = site.grid()
    page = open_page(27, width=900)
    expect(page.locator("#wall .wall-column .text")).to_have_text(list(STRENGTHS))
    expect(page.locator("#wall .wall-row .text")).to_have_text(["1", "2", "3"])
    pause_at(page, 8)
    assert shown(page) == {8}
    assert page.evaluate("document.documentElement.scrollWidth") <= 900


@pytest.mark.parametrize("width", [360, 700, 1600])
def test_nothing_runs_over_at_any_width_and_the_transport_stays_in_sight(open_page: Any, width: int) -> None:
    page = open_page(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bar = page.locator("#wall .wall-bar").bounding_box()
    assert bar["y"] + bar["height"] <= 861  # type: ignore[index]


def test_letters_typed_elsewhere_are_not_for_the_wall(open_page: Any) -> None:
    page = open_page()
    pause_at(page, 4)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<textarea id=other></textarea>')")
    page.locator("#other").fill("")
    page.locator("#other").press_sequentially("d r l ")
    page.keyboard.press("ArrowRight")
    assert shown(page) == {4}
    expect(page.locator("#wall .wall")).to_have_attribute("data-playing", "no")


def test_the_wall_can_be_used_by_keys_alone(open_page: Any) -> None:
    page = open_page()
    cells(page).nth(1).locator(".wall-clip").focus()
    page.keyboard.press("Space")
    expect(page.locator("#wall .wall")).to_have_attribute("data-playing", "no")
    expect(page.locator("#wall .wall-loupe[data-pinned]")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#wall .wall-loupe[data-pinned]")).to_contain_text("Prior strength 0.1")


def test_the_chosen_size_is_remembered(open_page: Any) -> None:
    page = open_page()
    before = cells(page).nth(0).bounding_box()["width"]  # type: ignore[index]
    page.get_by_role("button", name="Smaller clips").click()
    smaller = cells(page).nth(0).bounding_box()["width"]  # type: ignore[index]
    page.reload()
    ready(page, 9)
    assert smaller < before
    assert cells(page).nth(0).bounding_box()["width"] == smaller  # type: ignore[index]


def test_an_empty_wall_shows_nothing(browser: Browser, site: WallPage) -> None:
    site.wall = replace(site.wall, cells=())
    page = browser.new_page()
    page.goto(site.url)
    page.locator("#push").wait_for()
    expect(page.locator("#wall .wall")).to_be_hidden()
    page.close()
