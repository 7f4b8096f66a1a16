"""A real Chromium, and a studio that it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from studio.settings import Settings
from tests.serving import Pace, serving

PATIENCE_MS = 20_000  # of actions and expectations alike: a busy machine is slow, not wrong
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Path:
    """The studio's own model; a test file may have another."""
    return tiny_model


@pytest.fixture(scope="module")
def shared_pace() -> Pace:
    return Pace()


@pytest.fixture
def pace(shared_pace: Pace) -> Iterator[Pace]:
    """How slow the models are, where a test must see them at work: as fast as they can before it, and after it again."""
    yield shared_pace
    shared_pace.seconds_per_step = 0.0


@pytest.fixture(scope="module")
def studio(browser: Browser, tmp_path_factory: pytest.TempPathFactory, model: Path, shared_pace: Pace) -> Iterator[tuple[str, Any]]:
    """One studio for a file of tests; each test looks at it as a visitor of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("studio") / "outputs", model_dir=model, device="cpu", warm_up=False)
    with serving(settings, shared_pace) as served:
        yield served


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Page]:
    """One for a file of tests: in a new one, Chromium would start a process and compile Gradio's scripts again."""
    context = browser.new_context(accept_downloads=True)
    window = context.new_page()
    window.set_default_timeout(PATIENCE_MS)
    yield window
    context.close()


@pytest.fixture
def page(window: Page, studio: tuple[str, Any]) -> Iterator[Page]:
    """The page as a new visitor sees it. Nothing on it may fail in its own script."""
    url, engine = studio
    broken: list[str] = []

    def note(error: Any) -> None:
        broken.append(str(error))

    window.on("pageerror", note)
    window.set_viewport_size({"width": 1280, "height": 860})
    window.mouse.move(0, 0)
    window.goto(url)
    window.locator("#run").wait_for()
    yield window
    window.goto(f"{url}/theme.css")  # a place without scripts where what the visitor left can be put away
    window.evaluate("localStorage.clear(); sessionStorage.clear()")
    window.remove_listener("pageerror", note)
    for line in engine.queue():
        engine.stop(line.id)
        list(engine.watch(line.id, timeout=10))
    assert not broken
