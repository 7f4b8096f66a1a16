"""What tabs ask of each other, and of any clip: to be opened, finished, used as a reference image. It goes through one hidden text box."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pipelines.errors import JobError

from ..engine import Engine
from ..requests import ClipRequest, Request, TextToVideoRequest
from . import PLACES, Errand, finishing

FINISHING = "finishing"
Updates = dict[Any, Any]


def elsewhere(ui: Any, what: str, id: str) -> Updates:
    """Something for another tab to do, which is opened.

    Args:
        ui: a tab's parts: the errand's text box, and the tabs it is one of.
    """
    return {ui.errand: Errand(what, id).to_text(), ui.tabs: gr.Tabs(selected=PLACES[what])}


def opened(ui: Any, engine: Engine, clip_id: str) -> Updates:
    """A clip on the stage where its kind is at home; raises JobError when there is none."""
    kind = engine.history.get(clip_id).request.kind
    return {ui.errand: Errand("open", clip_id).to_text(), ui.tabs: gr.Tabs(selected=PLACES[kind])}


def acted(ui: Any, engine: Engine, action: str, clip_id: str) -> Updates | None:
    """What any place with clips offers: open, finish, use as reference; None for another action."""
    if action == "open":
        return opened(ui, engine, clip_id)
    if action == "as-reference":
        return elsewhere(ui, action, clip_id)
    if step := finishing.step_of(action):
        return elsewhere(ui, FINISHING, engine.submit(engine.finishing_of(clip_id, step)))
    return None


def video_request(engine: Engine, clip_id: str) -> TextToVideoRequest:
    """The settings of a clip that was made from text; raises JobError for another."""
    request = engine.history.get(clip_id).request
    if not isinstance(request, TextToVideoRequest):
        raise JobError(f"The clip {clip_id!r} was not made from text alone.", "Choose one that was.")
    return request


def clip_request(request: Request) -> ClipRequest:
    """Of a job that gives clips and nothing else; raises JobError for another."""
    if not isinstance(request, ClipRequest):
        raise JobError(f"A job of kind {request.kind!r} is not shown here.", "Open it where it was made.")
    return request
