"""The parts of a tab with a stage, what it shows, and the bar with Run and Stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from . import ACTIONS_JS, lora_choice

BUSY_SECONDS, IDLE_SECONDS = 0.4, 4.0  # between two looks at the engine
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Focus:
    """What the stage shows: a job, a clip (also one chosen among a job's), or one stage of a job's chain.

    What was chosen stays until something is run.
    """

    job: str | None = None
    clip: str | None = None
    stage: str | None = None


@dataclass(frozen=True)
class Components:
    """The parts of a tab with a stage."""

    tabs: gr.Tabs
    fields: dict[str, Any]
    seed_mode: gr.Radio
    about_model: gr.HTML
    words: gr.HTML
    unknown: gr.HTML
    note: gr.HTML
    changed: gr.HTML
    run: gr.Button
    stop: gr.Button
    another: gr.Button
    stage: gr.HTML
    shelf: gr.HTML
    download: gr.Textbox
    clock: gr.Timer
    focus: gr.State
    seen: gr.State
    followed: gr.State
    worn: gr.State
    draft: gr.BrowserState
    last_job: gr.BrowserState
    errand: gr.Textbox


def render_run_bar(prefix: str = "", run: str = "Run") -> dict[str, Any]:
    """The note, and Run, which Stop takes the place of."""
    with gr.Column(elem_classes="run-bar"):
        note = gr.HTML("", elem_id=f"{prefix}note", elem_classes="note", apply_default_css=False)
        with gr.Row(elem_classes="run-row"):
            return {
                "note": note,
                "run": gr.Button(run, variant="primary", elem_id=f"{prefix}run", elem_classes="run"),
                "stop": gr.Button("Stop", variant="stop", elem_id=f"{prefix}stop", elem_classes="stop", visible=False),
                "another": gr.Button("Queue another", elem_id=f"{prefix}another", elem_classes="another", visible=False),
            }


def render_stage(welcome: str, prefix: str = "") -> dict[str, Any]:
    """The hero, what is under it, and what only the handlers see."""
    shown: dict[str, Any] = {"js_on_load": ACTIONS_JS, "apply_default_css": False}
    return {
        "stage": gr.HTML(welcome, elem_id=f"{prefix}stage", elem_classes="on-stage", **shown),
        "shelf": gr.HTML("", elem_id=f"{prefix}shelf", elem_classes="shelf", **shown),
        "download": gr.Textbox(visible="hidden", label="Download", elem_id=f"{prefix}download"),
        "clock": gr.Timer(IDLE_SECONDS),
        "focus": gr.State(Focus()),
        "seen": gr.State({}),
        "followed": gr.State(""),  # the model whose limits and defaults the form has
        "worn": gr.State(lora_choice.worn({})),
    }


def run_buttons(ui: Any, busy: bool) -> Updates:
    """Stop in the place of Run while something runs or waits, and the clock faster."""
    return {
        ui.run: gr.Button(visible=not busy),
        ui.stop: gr.Button(visible=busy),
        ui.another: gr.Button(visible=busy),
        ui.clock: gr.Timer(BUSY_SECONDS if busy else IDLE_SECONDS),
    }
