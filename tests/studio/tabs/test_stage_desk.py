"""A stage that looks by the clock, without a page."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipelines.errors import StorageError
from studio import media
from studio.engine import Engine
from studio.events import Failed, Step
from studio.requests import TextToVideoRequest
from studio.tabs import stage_desk, text_to_video
from studio.tabs.stage_parts import Focus


def test_a_look_just_before_the_end_waits_for_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    full = threading.Event()

    def write(frames: Any, fps: float, path: Path, *_: Any) -> None:
        full.wait(20)
        raise StorageError("The disk is full.", "Make space.")

    monkeypatch.setattr(media, "write_mp4", write)
    monkeypatch.setattr(stage_desk, "BUSY_SECONDS", 40.0)
    with gr.Blocks(), gr.Tabs() as tabs, gr.Tab("Text to video"):
        desk = text_to_video.Desk(text_to_video.render(tabs, gr.Dropdown(), gr.Textbox(), "tiny"), engine)
    job = engine.submit(TextToVideoRequest(prompt="a red ball", steps=2))
    next(event for event in engine.watch(job, timeout=20) if isinstance(event, Step) and event.index == 2)
    threading.Timer(0.05, full.set).start()
    assert not desk.look_again(Focus(job=job), {})[desk.ui.seen]["busy"]
    assert isinstance(engine.status(job), Failed)
