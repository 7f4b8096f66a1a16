"""One-shot tuning: a tab of two parts, the tuning on a clip and the edits with what it gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from ..engine import Engine
from . import edits, tuning


@dataclass(frozen=True)
class Components:
    """Both parts."""

    tuning: tuning.Components
    edits: edits.Components


def render(tabs: gr.Tabs, errand: gr.Textbox, model_dir: Path, frame_limits: tuple[int, int] | None) -> Components:
    """Builds the components of both parts, in reading order."""
    with gr.Tabs(selected="tune", elem_id="one-shot-parts", elem_classes="parts") as parts:
        with gr.Tab("Tune on a clip", id="tune"):
            first = tuning.render(parts, model_dir, frame_limits)
        with gr.Tab("Edit", id="edit"):
            second = edits.render(parts, tabs, errand)
    return Components(first, second)


def listen(ui: Components, engine: Engine, page: gr.Blocks, chooser: gr.Dropdown) -> None:
    """Connects both parts; `chooser` has the model in the header."""
    tuning.listen(ui.tuning, engine, page, ui.edits.errand, chooser)
    edits.listen(ui.edits, engine, page)
