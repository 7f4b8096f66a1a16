"""The tab of models in a real browser: a download from the catalog to the list, what cannot be had, delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from playwright.sync_api import Page, expect

from studio.downloads import ModelStore
from studio.engine import Engine
from studio.settings import Settings
from tests.pipelines.directories import save
from tests.serving import serving
from tests.studio.hub import Hub, served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting", "ignore::FutureWarning", "ignore::UserWarning"),
]
WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
SLOW = 60_000  # a download on a busy machine, in milliseconds


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = save("wan", tmp_path_factory.mktemp("wan") / "model")
    patch = pytest.MonkeyPatch()
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    with served() as hub:
        hub.repositories[WAN] = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
        yield hub
    patch.undo()


@pytest.fixture(scope="module")
def studio(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, browser: Any, hub: Hub) -> Iterator[tuple[str, Engine]]:
    """A studio of its own, with a Hub of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("studio") / "outputs", model_dir=tiny_model, device="cpu", warm_up=False)
    with serving(settings) as (url, engine):
        engine.models.store = ModelStore(settings.data_dir / "models", endpoint=hub.address)
        yield url, engine


@pytest.fixture
def tab(page: Page) -> Page:
    page.get_by_role("tab", name="Models").click()
    page.locator("#models-catalog .model").first.wait_for()
    return page


def row(page: Page, where: str, title: str) -> Any:
    return page.locator(f"{where} .model", has=page.get_by_role("heading", name=title, exact=True))


def test_a_model_of_the_catalog_is_downloaded_described_and_deleted(tab: Page) -> None:
    row(tab, "#models-catalog", "Wan 2.1 T2V 1.3B").get_by_role("button", name="Download").click()
    here = row(tab, "#models-here", "Wan 2.1 T2V 1.3B")
    expect(here).to_be_visible(timeout=SLOW)
    expect(row(tab, "#models-catalog", "Wan 2.1 T2V 1.3B").locator(".actions")).to_have_text("here")
    expect(here.get_by_role("link", name=WAN)).to_have_attribute("href", f"https://huggingface.co/{WAN}")
    here.get_by_text("What it can do, and what not").click()
    expect(here.locator("dl").first).to_contain_text("It was told no frame rate in training")
    here.get_by_role("button", name="Delete").click()
    here.get_by_role("button", name="Delete for good?").click()
    expect(here).to_have_count(0)
    expect(row(tab, "#models-catalog", "Wan 2.1 T2V 1.3B").get_by_role("button", name="Download")).to_be_enabled()


def test_why_a_model_cannot_be_had_is_said_where_it_was_asked_for(tab: Page, hub: Hub) -> None:
    hub.errors["a/gated"] = (403, "GatedRepo")
    tab.locator("#model-name input, #model-name textarea").fill("a/gated")
    tab.locator("#model-add").click()
    expect(tab.locator("#fetches .alert")).to_contain_text("ask for consent", timeout=SLOW)
    tab.get_by_role("button", name="Put away").click()
    expect(tab.locator("#fetches li")).to_have_count(0)


def test_a_directory_that_is_none_is_refused_in_words(tab: Page) -> None:
    tab.locator("#model-name input, #model-name textarea").fill("/nowhere/at/all")
    tab.locator("#model-add").click()
    expect(tab.locator("#models-note .alert")).to_contain_text("no model in '/nowhere/at/all'")


def test_a_switch_is_applied_told_on_the_card_and_taken_off(tab: Page, studio: tuple[str, Engine]) -> None:
    here, speeds, path = tab.locator("#models-here .model").first, studio[1].models.speeds, studio[1].settings.model_dir
    expect(here.locator("select[name=precision]")).to_have_count(1, timeout=SLOW)
    here.get_by_text("Speed", exact=True).click()
    expect(here.locator("select[name=cache]")).to_be_disabled()
    expect(here.locator(".speed-form")).to_contain_text("not a row of transformer blocks")
    here.get_by_label("Compile the blocks that repeat").check()
    here.get_by_role("button", name="Apply").click()
    expect(here.locator(".chips")).to_contain_text("speed: compiled")
    assert speeds.values(path) == {"compiled": True}
    here.get_by_text("Speed", exact=True).click()
    here.get_by_label("Compile the blocks that repeat").uncheck()
    here.get_by_role("button", name="Apply").click()
    expect(tab.locator("#models-note")).to_contain_text("all switches off")
    assert speeds.values(path) == {}
