"""A place for a picture in a form: dropped, or a frame of a clip. It shows the picture as the model will see it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import StudioError

from ..engine import Engine
from ..reference_requests import Source, source_of
from . import ACTIONS_JS, QUICK, views

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"]
Updates = dict[Any, Any]
Notes = dict[str, tuple[str, ...]]  # a kept picture -> what was done to it


@dataclass(frozen=True)
class Slot:
    """The parts of a place. `source` is the request's field; `empty` is said where there is no picture."""

    source: gr.Textbox
    shown: gr.HTML
    frame: gr.Slider
    file: gr.File
    picks: gr.HTML
    notes: gr.State
    empty: str


def render(name: str, title: str, empty: str) -> Slot:
    """Builds the parts in reading order.

    Args:
        name: tells this place from another on the page.
        title: what the picture is for.
        empty: HTML that is shown where there is none.
    """
    with gr.Column(elem_classes="slot"):
        source = gr.Textbox("", visible="hidden", label=title, elem_id=name)
        shown = gr.HTML(empty, elem_id=f"{name}-shown", js_on_load=ACTIONS_JS, apply_default_css=False)
        frame = gr.Slider(1, 2, 1, step=1, label="Frame of the clip", visible=False, elem_id=f"{name}-frame", elem_classes="field")
        file = gr.File(label="Drop a picture here", file_types=SUFFIXES, height=72, elem_id=f"{name}-file", elem_classes="drop")
        picks = gr.HTML("", elem_id=f"{name}-picks", elem_classes="slot-picks", js_on_load=ACTIONS_JS, apply_default_css=False)
    return Slot(source, shown, frame, file, picks, gr.State({}), empty)


def listen(slot: Slot, engine: Engine, model: gr.Dropdown) -> None:
    """Connects the place; its `picks` are drawn by whoever looks at the history, and `model` has the one that will see the picture."""
    place = Place(slot, engine)
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    seen = [slot.source, slot.notes, model]
    slot.file.upload(place.dropped, [slot.file, *seen], [slot.source, *place.shown, slot.notes, slot.file], **QUICK)
    slot.picks.click(place.taken, None, [slot.source], **pressed)
    slot.shown.click(place.removed, None, [slot.source], **pressed)
    slot.frame.input(place.moved, [slot.source, slot.frame], [slot.source], trigger_mode="always_last", **QUICK)
    gr.on([slot.source.change, model.change], place.drawn, seen, place.shown, trigger_mode="always_last", **QUICK)


class Place:
    """The handlers. Each returns only what it changes."""

    def __init__(self, slot: Slot, engine: Engine) -> None:
        self.slot, self.engine = slot, engine
        self.shown = [slot.shown, slot.frame]

    def dropped(self, file: str | None, text: str, notes: Notes, model: str | None) -> Updates:
        """A picture is kept at once, so that it is still there when its turn comes; one that cannot be used says why."""
        if file is None:
            return gr.skip()
        try:
            kept = self.engine.add_picture(file, model or "")
        except StudioError as error:
            before = self.drawn(text, notes, model)
            return before | {self.slot.file: None, self.slot.shown: views.alert(str(error)) + before[self.slot.shown]}
        notes = {**notes, kept.name: kept.notes}
        return self.drawn(kept.name, notes, model) | {self.slot.file: None, self.slot.source: kept.name, self.slot.notes: notes}

    def taken(self, event: gr.EventData) -> str:
        """The first frame of a clip."""
        return first_frame(dict(event._data or {})["clip"])

    def removed(self, event: gr.EventData) -> str:
        return ""

    def moved(self, text: str, frame: int) -> str:
        """Another frame of the same clip."""
        return f"clip:{source_of(text).clip}#{int(frame) - 1}" if text else ""

    def drawn(self, text: str, notes: Notes, model: str | None) -> Updates:
        """The picture as the model will see it, and the choice of a frame where it is one of several."""
        if not text:
            return {self.slot.shown: self.slot.empty, self.slot.frame: gr.Slider(visible=False)}
        try:
            source = source_of(text)
            count = self.engine.history.get(source.clip).frames if source.clip else 1
            pixels = self.engine.bench.sources.picture(text, self.engine.chosen(model or "").size(0, 0))
        except (StudioError, ValueError) as error:
            return {self.slot.shown: views.alert(str(error)) + removal(), self.slot.frame: gr.Slider(visible=False)}
        height, width = pixels.shape[:2]
        lines = [said(source, count), *notes.get(text, ()), f"The model sees it at {width} by {height}."]
        shown = filled(views.picture(pixels, "The picture as the model will see it"), lines)
        return {
            self.slot.shown: shown,
            self.slot.frame: gr.Slider(maximum=max(2, count), value=(source.frame or 0) + 1, visible=count > 1),
        }


def first_frame(clip_id: str) -> str:
    """The source of a clip's first frame."""
    return f"clip:{clip_id}#0"


def said(source: Source, count: int) -> str:
    """Which picture it is."""
    return f"Frame {(source.frame or 0) + 1} of {count} of a clip." if source.clip else "Your picture."


def filled(picture: str, lines: list[str]) -> str:
    hints = "".join(f'<p class="hint">{escape(line)}</p>' for line in lines)
    return f'<figure class="picture">{picture}<figcaption>{hints}{removal()}</figcaption></figure>'


def removal() -> str:
    return f'<div class="actions">{views.button("Remove", "remove")}</div>'


def nothing(line: str) -> str:
    """A place without a picture."""
    return f'<figure class="picture"><i class="blank"></i><figcaption><p class="hint">{escape(line)}</p></figcaption></figure>'
