"""Live previews: made beside the sampling, few enough, told in order, and never after the end."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.errors import StorageError
from studio import media
from studio.engine import Engine
from studio.events import Done, Event, Failed, Step
from studio.making import Making
from studio.previews import Previews
from studio.requests import TextToVideoRequest
from studio.settings import Settings

REQUEST = TextToVideoRequest(prompt="a red ball", steps=9)
LATENTS = torch.zeros(1, 4, 2, 8, 8)


class Decoder:
    """Stands for a pipeline; `seconds` is what decoding takes."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.calls = seconds, 0

    def decode_latents(self, latents: torch.Tensor) -> np.ndarray:
        self.calls += 1
        time.sleep(self.seconds)
        return np.zeros((1, latents.shape[2], 8, 8, 3), np.float32)


class Slow:
    """In the place of `media.write_preview`: writes once it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may, self.thread, self.write = threading.Event(), None, media.write_preview
        monkeypatch.setattr(media, "write_preview", self)

    def __call__(self, frames: np.ndarray, fps: float, path: Path) -> None:
        self.thread = threading.current_thread()
        assert self.may.wait(10)
        self.write(frames, fps, path)


def step(index: int) -> Step:
    return Step("job", index, 9, None, None, 0)


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def previews(settings: Settings, told: list[Any]) -> Previews:
    return Previews(Making("job", REQUEST, settings.model_copy(update={"preview_every": 0.001})), told.append)


def test_steps_go_on_while_a_preview_is_written_and_are_told_again_with_it(
    previews: Previews, told: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    with previews:
        previews.offer(Decoder(), LATENTS, 8, "0", 1)
        previews.tell(step(1))
        previews.tell(step(2))
        assert [event.preview for event in told] == [None, None]
        slow.may.set()
    assert slow.thread is not threading.current_thread()
    assert [(event.index, event.preview is not None) for event in told] == [(1, False), (2, False), (2, True)]
    assert told[-1].preview.exists()


def test_none_is_begun_while_one_is_written(previews: Previews, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, decoder = Slow(monkeypatch), Decoder()
    with previews:
        for index in range(1, 5):
            previews.offer(decoder, LATENTS, 8, "0", index)
            time.sleep(0.002)
        slow.may.set()
    assert decoder.calls == 1


def test_a_slow_decoder_makes_few(previews: Previews) -> None:
    decoder = Decoder(seconds=0.02)  # for a fortieth of the time: the next is due in 0.8 s
    with previews:
        for index in range(1, 6):
            previews.offer(decoder, LATENTS, 8, "0", index)
            time.sleep(0.02)
    assert decoder.calls == 1


def test_at_the_end_all_is_written_and_told(previews: Previews, told: list[Step]) -> None:
    with previews:
        previews.offer(Decoder(), LATENTS, 8, "0", 1)
        previews.tell(step(1))
    written, said = list(previews.folder.iterdir()), list(told)
    time.sleep(0.05)
    assert list(previews.folder.iterdir()) == written == [said[-1].preview]
    assert told == said


def test_one_that_cannot_be_written_is_an_error_of_the_job(engine: Engine) -> None:
    engine.settings.data_dir.joinpath("previews").write_text("in the way")
    *_, last = engine.watch(engine.submit(REQUEST), timeout=60)
    assert isinstance(last, Failed)
    assert "cannot be written" in last.error


def test_one_that_fails_beside_the_last_steps_is_an_error_at_the_end(previews: Previews) -> None:
    previews.folder.parent.mkdir(parents=True)
    previews.folder.write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"), previews:
        previews.offer(Decoder(), LATENTS, 8, "0", 1)


def test_a_job_as_shipped_shows_previews_in_the_order_of_its_steps_and_ends_with_done(settings: Settings) -> None:
    engine = Engine(settings.model_copy(update={"preview_every": Settings().preview_every}))
    seen: list[Event] = []
    tell = engine.bench.tell
    object.__setattr__(engine.bench, "tell", lambda event: (seen.append(event), tell(event)))
    engine.start()
    try:
        *_, last = engine.watch(engine.submit(REQUEST), timeout=60)
        steps = [event for event in seen if isinstance(event, Step)]
        assert [event.index for event in steps] == sorted(event.index for event in steps)
        assert any(event.preview for event in steps)
        assert isinstance(last, Done)
    finally:
        engine.close()
