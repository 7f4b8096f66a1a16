"""The model in the header, in a real browser: added by its path, chosen, used for a clip, and back again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from safetensors.torch import load_file, save_file

from studio.engine import Engine
from tests.pipelines.directories import save

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting", "ignore::FutureWarning", "ignore::UserWarning"),
]
SLOW = 60_000  # a clip on a busy machine, in milliseconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("wan", tmp_path_factory.mktemp("here") / "tiny-wan")


def other_weights(folder: Path, name: str) -> Path:
    """The same model with a denoiser that learned something else."""
    copy = folder.with_name(name)
    shutil.copytree(folder, copy)
    for file in (copy / "transformer").glob("*.safetensors"):
        save_file({key: 1.1 * value for key, value in load_file(file).items()}, file, {"format": "pt"})
    return copy


def choose(page: Page, title: str) -> None:
    page.locator("#model input").click()
    page.get_by_role("option", name=title, exact=True).click()


def field(page: Page, name: str) -> Any:
    return page.locator(f"#field-{name}")


def fill(page: Page, name: str, value: str) -> None:
    box = field(page, name).locator("input").first
    box.fill(value)
    box.press("Tab")


def test_a_model_is_added_chosen_used_and_left_again(page: Page, folder: Path) -> None:
    page.get_by_role("tab", name="Models").click()
    page.locator("#model-name input, #model-name textarea").fill(str(folder))
    page.locator("#model-add").click()
    page.get_by_role("button", name="Use tiny-wan in the other tabs").click()
    expect(page.get_by_role("tab", name="Text to video")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#model input")).to_have_value("tiny-wan")

    # Its limits, its own settings, and what it cannot do.
    expect(field(page, "frames").locator("input[type=range]")).to_have_attribute("max", "161")
    expect(field(page, "frames").locator("input").first).to_have_value("81")
    for name in ("Sampler", "Domain model", "Noise prior", "Output"):
        page.get_by_role("button", name=name).first.click()
    expect(field(page, "sampler")).to_contain_text("It is sampled the way it was trained for.")
    expect(field(page, "domain_model").locator("input")).to_be_disabled()
    expect(field(page, "noise_kind")).to_contain_text("trained with independent noise")

    fill(page, "frames", "5")
    fill(page, "width", "16")
    fill(page, "height", "16")
    fill(page, "steps", "4")
    page.locator("#prompt textarea").fill("a red ball moving left")
    page.locator("#prompt textarea").press("Control+Enter")
    page.locator("#stage [data-state=done]").wait_for(timeout=SLOW)
    expect(page.locator("#stage .caption")).to_contain_text("model tiny-wan")
    expect(page.locator("#header .loaded")).to_contain_text("tiny-wan loaded")

    choose(page, "tiny")
    expect(field(page, "frames").locator("input[type=range]")).to_have_attribute("max", "24")
    expect(field(page, "frames").locator("input").first).to_have_value("16")
    expect(field(page, "domain_model").locator("input")).to_be_enabled()


def test_a_clip_s_settings_bring_its_model_back_in_both_tabs(page: Page, studio: tuple[str, Engine], folder: Path) -> None:
    page.locator("#shelf .strip button").first.click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.locator("#model input")).to_have_value("tiny-wan")
    expect(field(page, "frames").locator("input").first).to_have_value("5")
    page.get_by_role("button", name="Output").first.click()
    expect(field(page, "width").locator("input").first).to_have_value("16")
    expect(page.locator("#note .alert")).to_have_count(0)
    page.get_by_role("tab", name="Reference image").click()
    expect(page.locator("#reference-frames input[type=range]")).to_have_attribute("max", "161")
    page.reload()
    expect(page.locator("#model input")).to_have_value("tiny-wan")
    expect(field(page, "frames").locator("input").first).to_have_value("5")


def test_a_model_that_came_while_the_page_is_open_can_be_the_prior(page: Page, studio: tuple[str, Engine], folder: Path) -> None:
    choose(page, "tiny-wan")
    page.get_by_role("tab", name="Prior strength").click()
    prior = page.locator("#wall-prior_model input")
    expect(page.locator("#wall-prior_model")).to_contain_text("No other model that is here shares its latents.")
    studio[1].models.add(str(other_weights(folder, "tiny-prior")))
    expect(prior).to_be_enabled()
    prior.click()
    page.get_by_role("option", name="tiny-prior", exact=True).click()

    # Strengths are compared, from the model alone to the prior alone.
    expect(page.locator("#columns-field input")).to_have_value("Prior strength")
    page.locator("#columns-values textarea").fill("0.5")
    for name, value in {"frames": "5", "steps": "2"}.items():
        box = page.locator(f"#wall-{name} input").first
        box.fill(value)
        box.press("Tab")
    page.get_by_role("button", name="Sampler and output").click()
    for name in ("width", "height"):
        page.locator(f"#wall-{name} input").fill("16")
    page.locator("#wall-prompt textarea").fill("a red ball moving left")
    page.locator("#wall-prompt textarea").press("Control+Enter")
    expect(page.locator('#wall .wall-cell[data-state="ready"]')).to_have_count(3, timeout=SLOW)
    for head in ("adapter alone", "0.5", "prior alone"):
        expect(page.locator("#wall")).to_contain_text(head)
    expect(page.locator("#wall-under .caption")).to_contain_text("prior tiny-prior")
