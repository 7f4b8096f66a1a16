"""What several test files need: the tiny real model, settings that point at it, and a browser that may be missing only outside CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio import tuning
from studio.engine import Engine
from studio.settings import Settings

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # two at once, on two cores; torch reads it when it is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tiny random model."""
    from tests.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session", autouse=True)
def quick_samples() -> Iterator[None]:
    """A look at what a tuning learns takes most of its time; a rough one is a look too."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tuning, "SAMPLE_STEPS", 2)
        yield


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path) -> Settings:
    """Settings of a studio of its own, on the tiny model, on the CPU."""
    return Settings(data_dir=tmp_path / "outputs", model_dir=tiny_model, device="cpu", preview_every=0, warm_up=False)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """A running engine on the tiny model."""
    engine = Engine(settings)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium. Without one the test is skipped, but in CI it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    why = "there is no Chromium on this machine: the browser tests need one (apt-get install chromium)"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
