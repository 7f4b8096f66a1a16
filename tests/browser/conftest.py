"""A real Chromium, and a studio that it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from studio.settings import Settings
from tests.serving import serving

SECONDS_PER_STEP = 0.06
PATIENCE_MS = 20_000  # of actions and expectations alike: a busy machine is slow, not wrong
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def studio(browser: Browser, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[str, Any]]:
    """One studio for all browser tests; each takes a browser of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("studio") / "outputs", model_dir=tiny_model, device="cpu", warm_up=False)
    with serving(settings, SECONDS_PER_STEP) as served:
        yield served


@pytest.fixture
def page(browser: Browser, studio: tuple[str, Any]) -> Iterator[Page]:
    """The page as a new visitor sees it. Nothing on it may fail in its own script."""
    url, engine = studio
    context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.locator("#run").wait_for()
    yield page
    context.close()
    for line in engine.queue():
        engine.stop(line.id)
        list(engine.watch(line.id, timeout=10))
    assert not broken
