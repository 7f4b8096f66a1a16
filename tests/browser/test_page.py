"""What a person does, in a real browser: ask, watch, stop, come back, restore."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from studio.engine import Engine
from studio.jobs import State
from studio.requests import TextToVideoRequest
from tests.browser.conftest import PATIENCE_MS
from tests.serving import Pace

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")]
PROMPT = "a big red star bouncing over green hills, pixel art"
Studio = tuple[str, Engine]


def ask(page: Page, prompt: str = PROMPT) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#prompt textarea").press("Control+Enter")


def stage(page: Page, state: str) -> Any:
    return page.locator(f"#stage [data-state={state}]")


def run_to_the_end(page: Page, prompt: str = PROMPT) -> None:
    ask(page, prompt)
    stage(page, "done").wait_for()


def set_field(page: Page, name: str, value: int) -> None:
    box, marked = page.locator(f"#field-{name} input").first, page.locator(f'#changed [data-field="{name}"]')
    for _ in range(3):  # a busy machine may still be filling the form when the first letters arrive
        box.fill(str(value))
        box.press("Tab")
        try:
            marked.wait_for(timeout=5_000)
        except PlaywrightTimeout:
            continue
        return
    pytest.fail(f"the page did not take {value} for {name}")


def test_a_prompt_becomes_a_playing_video_with_progress_on_the_way(page: Page, pace: Pace) -> None:
    set_field(page, "steps", 30)
    pace.seconds_per_step = 0.4
    ask(page)
    expect(page.locator("#stage .status")).to_have_text(re.compile(r"denoising \d+/30 · \d+ s left · seed \d+"))
    expect(page.locator("#stage img.preview")).to_have_js_property("complete", True)
    pace.seconds_per_step = 0.0
    stage(page, "done").wait_for()
    video = page.locator("#stage .hero video")
    expect(video).to_have_js_property("paused", False)
    page.wait_for_function("document.querySelector('#stage .hero video').currentTime > 0.2")
    assert video.evaluate("v => v.videoWidth") == 256


def test_a_small_clip_is_shown_at_four_times_its_size_or_more_and_crisp(page: Page) -> None:
    run_to_the_end(page)
    video = page.locator("#stage .hero video")
    assert video.bounding_box()["width"] >= 4 * 64  # type: ignore[index]
    expect(video).to_have_css("image-rendering", "pixelated")


def test_run_turns_into_stop_in_place_and_stopping_frees_the_device(page: Page, studio: Studio, pace: Pace) -> None:
    before = page.locator("#run").bounding_box()
    pace.seconds_per_step = 0.2
    set_field(page, "steps", 200)
    ask(page)
    page.locator("#stop").wait_for()
    after = page.locator("#stop").bounding_box()
    assert (before["x"], before["y"]) == (after["x"], after["y"])  # type: ignore[index]
    expect(page.locator("#stage .status")).to_contain_text("denoising")
    page.wait_for_timeout(500)  # a press right after Run counts as a double click
    page.keyboard.press("Escape")
    stage(page, "stopped").wait_for()
    page.locator("#run").wait_for()
    assert studio[1].active_job() is None


def test_a_reload_in_the_middle_finds_the_running_job_and_the_form(page: Page, studio: Studio, pace: Pace) -> None:
    set_field(page, "steps", 40)
    pace.seconds_per_step = 0.8
    ask(page)
    expect(page.locator("#stage .status")).to_contain_text("denoising")
    job = studio[1].active_job()
    page.reload()
    expect(page.locator("#stage .status")).to_contain_text("denoising")
    assert studio[1].active_job() == job
    expect(page.locator("#prompt textarea")).to_have_value(PROMPT)
    pace.seconds_per_step = 0.0
    stage(page, "done").wait_for(timeout=3 * PATIENCE_MS)


def test_a_reload_afterwards_shows_the_last_result(page: Page) -> None:
    run_to_the_end(page)
    shown = page.locator("#stage .hero video").get_attribute("src")
    page.reload()
    expect(page.locator("#stage .hero video")).to_have_attribute("src", shown or "")


def test_dropping_a_video_on_the_gallery_restores_its_settings(page: Page, studio: Studio) -> None:
    request = TextToVideoRequest(prompt="a tiny pink fish at night", seed=41, steps=3, guidance_scale=4)
    *_, done = studio[1].watch(studio[1].submit(request))
    page.get_by_role("tab", name="Gallery").click()
    page.locator("#restore input[type=file]").set_input_files(done.clips[0].path)
    expect(page.locator("#prompt textarea")).to_have_value(request.prompt)
    expect(page.locator("#field-seed input")).to_have_value("41")
    expect(page.locator("#changed")).to_contain_text("Quality 3")
    expect(page.locator("#seed-mode label.selected")).to_have_text("Keep")


def test_a_foreign_file_is_refused_in_one_sentence(page: Page, tmp_path: Any) -> None:
    (tmp_path / "other.mp4").write_bytes(b"not a video")
    page.get_by_role("tab", name="Gallery").click()
    page.locator("#restore input[type=file]").set_input_files(tmp_path / "other.mp4")
    expect(page.locator("#gallery-note .alert")).to_contain_text("other.mp4")


def test_an_error_appears_above_the_button_and_nothing_is_lost(page: Page) -> None:
    page.locator("#prompt textarea").fill("   ")
    page.locator("#run").click()
    expect(page.locator("#note .alert")).to_have_text("The prompt is empty. Say in a few words what the video should show.")
    run_to_the_end(page)
    expect(page.locator("#note .alert")).to_have_count(0)


def test_unknown_words_are_named_and_known_ones_are_one_click_away(page: Page) -> None:
    page.locator("#prompt textarea").fill("a blue dragon")
    expect(page.locator("#unknown")).to_contain_text("has never seen: dragon")
    page.get_by_text("model knows").click()
    page.locator("#vocabulary").get_by_role("button", name="goldfish").click()
    expect(page.locator("#prompt textarea")).to_have_value("a blue dragon goldfish")


def test_a_changed_setting_is_marked_and_reset_with_one_click(page: Page) -> None:
    set_field(page, "steps", 40)
    chip = page.locator("#changed").get_by_role("button", name="Reset Quality")
    chip.click()
    expect(page.locator("#field-steps input[type=number]")).to_have_value("24")
    expect(chip).to_have_count(0)


def test_waiting_jobs_can_be_reordered_and_skipped(page: Page, pace: Pace) -> None:
    set_field(page, "steps", 200)
    pace.seconds_per_step = 0.2
    ask(page, "a red ball")
    page.locator("#another").wait_for()
    for prompt in ("a green ball", "a blue ball"):
        page.locator("#prompt textarea").fill(prompt)
        page.locator("#another").click()
        expect(page.locator(".queue")).to_contain_text(prompt)
    page.locator(".queue li", has_text="a blue ball").get_by_role("button", name="Earlier").click()
    expect(page.locator(".queue .what")).to_have_text(["a red ball", "a blue ball", "a green ball"])
    page.locator(".queue li", has_text="a blue ball").get_by_role("button", name="Skip").click()
    expect(page.locator(".queue .what")).to_have_text(["a red ball", "a green ball"])
    expect(page.locator("#header")).to_contain_text("1 running · 1 waiting")


def test_variations_appear_side_by_side_and_one_can_be_chosen(page: Page) -> None:
    set_field(page, "steps", 4)
    page.get_by_role("button", name="Output").click()
    set_field(page, "variations", 2)
    run_to_the_end(page)
    expect(page.locator("#stage .cell video")).to_have_count(2)
    page.locator("#stage .choice").nth(1).click()
    expect(page.locator("#stage .choice").nth(1)).to_have_attribute("aria-pressed", "true")
    seed = page.locator("#stage .choice span").nth(1).inner_text()
    expect(page.locator("#stage .facts")).to_contain_text(seed)


def test_a_clip_is_downloaded_as_mp4_and_as_gif(page: Page) -> None:
    run_to_the_end(page)
    with page.expect_download() as mp4:
        page.get_by_role("link", name="Download MP4").click()
    assert mp4.value.suggested_filename.endswith(".mp4")
    with page.expect_download() as gif:
        page.locator("#stage").get_by_text("GIF", exact=True).click()
    assert gif.value.suggested_filename.endswith(".gif")


def test_the_gallery_finds_opens_and_deletes(page: Page, studio: Studio) -> None:
    request = TextToVideoRequest(prompt="a purple kite in the desert", steps=2)
    *_, done = studio[1].watch(studio[1].submit(request))
    page.get_by_role("tab", name="Gallery").click()
    card = page.locator(f"[data-card='{done.clips[0].id}']")
    expect(card).to_be_visible()  # the gallery is as it is now, and takes what is typed
    page.locator("#search textarea, #search input").first.fill("purple kite")
    expect(page.locator(".card")).to_have_count(1)
    card.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("#stage .caption .prompt")).to_have_text(request.prompt)
    page.get_by_role("tab", name="Gallery").click()
    card.get_by_role("button", name="Delete").click()
    card.get_by_role("button", name="Delete for good?").click()
    expect(card).to_have_count(0)
    assert not done.clips[0].path.exists()


def test_a_result_is_found_in_the_gallery_from_the_stage(page: Page, studio: Studio) -> None:
    run_to_the_end(page, "a violet pyramid at the seaside")
    newest = studio[1].history.clips(limit=1)[0]
    page.get_by_role("button", name="Open in gallery").click()
    expect(page.locator(".card").first).to_have_attribute("data-card", newest.id)


def test_dark_is_the_default_and_light_is_remembered(page: Page) -> None:
    expect(page.locator("body")).to_have_class(re.compile("dark"))
    page.locator("[data-theme-toggle]").click()
    page.reload()
    page.locator("#run").wait_for()
    expect(page.locator("body")).not_to_have_class(re.compile("dark"))


def test_on_a_narrow_screen_the_stage_comes_first_and_nothing_runs_over(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    top = page.locator("#stage").bounding_box()["y"]  # type: ignore[index]
    assert top < page.locator("#prompt").bounding_box()["y"]  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.reload()
    page.locator("#prompt textarea").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "BODY"  # which would scroll the stage away


def test_every_control_can_be_reached_and_has_a_name(page: Page) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select, a[href]')]
            .filter((each) => each.offsetParent !== null)
            .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.title || each.labels?.length || each.placeholder
                               || each.getAttribute('aria-labelledby')))
            .map((each) => each.outerHTML.slice(0, 160))"""
    )
    assert nameless == []


def test_the_page_needs_no_other_host(page: Page, studio: Studio) -> None:
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    page.reload()
    page.locator("#run").wait_for()
    page.wait_for_timeout(500)
    assert {url for url in asked if not url.startswith((studio[0], "data:", "blob:"))} == set()


def test_keys_alone_are_enough_to_switch_tabs_and_show_a_clip(page: Page, studio: Studio) -> None:
    *_, done = studio[1].watch(studio[1].submit(TextToVideoRequest(prompt="a cyan gem by the sea", steps=2)))
    page.get_by_role("tab", name="Gallery").focus()
    page.keyboard.press("Enter")
    card = page.locator(f"[data-card='{done.clips[0].id}'] .frame")
    card.wait_for()
    card.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stage .caption .prompt")).to_have_text("a cyan gem by the sea")


def test_an_interrupted_job_runs_again_with_one_click(page: Page, studio: Studio) -> None:
    jobs = studio[1]._jobs
    job_id = jobs.add(TextToVideoRequest(prompt="a green fish at night", steps=3))
    jobs.change(job_id, State.QUEUED, State.INTERRUPTED)
    page.reload()
    page.locator(".queue li", has_text="interrupted").get_by_role("button", name="Run again").click()
    stage(page, "done").wait_for()
    expect(page.locator("#stage .caption .prompt")).to_have_text("a green fish at night")
    expect(page.locator(".queue")).to_have_count(0)


def test_a_slider_brings_a_typed_value_into_its_range_before_running(page: Page) -> None:
    page.locator("#prompt textarea").fill(PROMPT)
    page.locator("#field-steps input[type=number]").fill("0")
    page.keyboard.press("Control+Enter")
    stage(page, "done").wait_for()
    expect(page.locator("#stage .facts")).to_contain_text("1 step")


def test_a_seed_out_of_range_is_refused_in_words(page: Page) -> None:
    page.locator("#prompt textarea").fill(PROMPT)
    page.get_by_text("Keep", exact=True).click()
    page.locator("#field-seed input").fill("-1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#note .alert")).to_contain_text("seed is -1")
