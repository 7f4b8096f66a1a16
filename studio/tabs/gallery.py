"""Gallery: every past clip, newest first. Search, open, delete; a dropped MP4 gives its settings back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import StudioError

from ..engine import Engine
from . import ACTIONS_JS, QUICK, views
from .text_to_video import Desk, Focus

PAGE = 24  # clips


@dataclass(frozen=True)
class Components:
    """The tab's parts."""

    tab: gr.Tab
    search: gr.Textbox
    file: gr.File
    note: gr.HTML
    cards: gr.HTML
    newer: gr.Button
    older: gr.Button
    count: gr.HTML
    first: gr.State


def render(tab: gr.Tab) -> Components:
    """Builds the tab's components, in reading order."""
    with gr.Column(elem_classes="gallery"):
        with gr.Row(elem_classes="gallery-top"):
            search = gr.Textbox(label="Search", placeholder="Words of the prompt", elem_id="search", scale=2)
            file = gr.File(
                label="Drop an MP4 to restore its settings",
                file_types=[".mp4"],
                file_count="single",
                height=72,
                elem_id="restore",
                elem_classes="drop",
                scale=1,
            )
        note = gr.HTML("", apply_default_css=False, elem_id="gallery-note")
        cards = gr.HTML("", js_on_load=ACTIONS_JS, apply_default_css=False, elem_id="cards")
        with gr.Row(elem_classes="paging"):
            newer = gr.Button("Newer", size="sm", elem_id="newer")
            count = gr.HTML("", apply_default_css=False, elem_id="count")
            older = gr.Button("Older", size="sm", elem_id="older")
    return Components(tab, search, file, note, cards, newer, older, count, gr.State(0))


def listen(ui: Components, engine: Engine, desk: Desk) -> None:
    """Connects the tab; `desk` is where clips and settings are opened."""
    shelf = Shelf(ui, engine, desk)
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    ui.tab.select(shelf.page, [ui.search, ui.first], shelf.shown, **pressed)
    ui.search.change(shelf.searched, [ui.search], shelf.shown, trigger_mode="always_last", **QUICK)
    ui.newer.click(shelf.newer, [ui.search, ui.first], shelf.shown, **pressed)
    ui.older.click(shelf.older, [ui.search, ui.first], shelf.shown, **pressed)
    outputs = [*shelf.shown, ui.note, *desk.outputs]
    view = [desk.ui.focus, desk.ui.seen]
    ui.cards.click(shelf.act, [ui.search, ui.first, *view], outputs, **pressed)
    ui.file.upload(shelf.restore, [ui.file], [ui.file, ui.note, *desk.outputs], **QUICK)


class Shelf:
    """The tab's handlers. Each returns only what it changes."""

    def __init__(self, ui: Components, engine: Engine, desk: Desk) -> None:
        self.ui = ui
        self.engine = engine
        self.desk = desk
        self.shown = [ui.cards, ui.count, ui.newer, ui.older, ui.first]

    def page(self, search: str, first: int) -> dict[Any, Any]:
        """The clips from `first` on; back on the last page when the rest was deleted."""
        try:
            total = self.engine.history.count(search)
            first = max(0, min(first, (total - 1) // PAGE * PAGE))
            clips = self.engine.history.clips(search, limit=PAGE, offset=first)
        except StudioError as error:
            return {self.ui.cards: views.alert(str(error))}
        return {
            self.ui.cards: views.gallery(clips, search),
            self.ui.count: views.paging(first, len(clips), total),
            self.ui.newer: gr.Button(visible=total > PAGE, interactive=first > 0),
            self.ui.older: gr.Button(visible=total > PAGE, interactive=first + PAGE < total),
            self.ui.first: first,
        }

    def searched(self, search: str) -> dict[Any, Any]:
        return self.page(search, 0)

    def newer(self, search: str, first: int) -> dict[Any, Any]:
        return self.page(search, first - PAGE)

    def older(self, search: str, first: int) -> dict[Any, Any]:
        return self.page(search, first + PAGE)

    def act(self, search: str, first: int, focus: Focus, seen: dict[str, Any], event: gr.EventData) -> dict[Any, Any]:
        """A button of a card."""
        data = dict(event._data or {})
        try:
            if data.get("do") == "open":
                return self.desk.show(data["clip"], focus, seen)
            if data.get("do") == "delete":
                self.engine.history.delete(data["clip"])
        except StudioError as error:
            return self.page(search, first) | {self.ui.note: views.alert(str(error))}
        return self.page(search, first) | {self.ui.note: ""}

    def restore(self, path: str | None) -> dict[Any, Any]:
        """The settings of a dropped file go into the form of the making tab."""
        if path is None:
            return {self.ui.note: ""}
        try:
            request = self.engine.restore(path)
        except StudioError as error:
            return {self.ui.file: None, self.ui.note: views.alert(str(error))}
        return {self.ui.file: None, self.ui.note: "", self.desk.ui.tabs: gr.Tabs(selected="text-to-video")} | self.desk.fill(request)
