"""Gallery: every past clip, newest first. Search, open, finish, delete; an MP4 gives its settings back, and any clip can be finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import StudioError

from .. import source_clips
from ..engine import Engine
from ..requests import FinishingRequest, parse_request
from ..sources import Kept
from . import ACTIONS_JS, QUICK, finishing, gallery_views, views
from .errands import FINISHING, acted, elsewhere

PAGE = 24  # clips


@dataclass(frozen=True)
class Components:
    """The tab's parts."""

    tabs: gr.Tabs
    errand: gr.Textbox
    tab: gr.Tab
    search: gr.Textbox
    file: gr.File
    own: gr.File
    own_about: gr.Row
    own_shown: gr.HTML
    own_prompt: gr.Textbox
    note: gr.HTML
    cards: gr.HTML
    newer: gr.Button
    older: gr.Button
    count: gr.HTML
    first: gr.State


def render(tab: gr.Tab, tabs: gr.Tabs, errand: gr.Textbox) -> Components:
    """Builds the tab's components, in reading order; `errand` takes what another tab is to do."""
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
            own = gr.File(
                label="Drop a clip of your own to finish it",
                file_types=list(source_clips.SUFFIXES),
                height=72,
                elem_id="own",
                elem_classes="drop",
                scale=1,
            )
        note = gr.HTML("", apply_default_css=False, elem_id="gallery-note")
        with gr.Row(visible=False, elem_classes="own-about") as own_about:
            own_shown = gr.HTML("", js_on_load=ACTIONS_JS, apply_default_css=False, elem_id="own-shown")
            own_prompt = gr.Textbox(
                label="What it shows and how it moves",
                info="Told to the model where it draws frames; may stay empty.",
                elem_id="own-prompt",
            )
        cards = gr.HTML("", js_on_load=ACTIONS_JS, apply_default_css=False, elem_id="cards")
        with gr.Row(elem_classes="paging"):
            newer = gr.Button("Newer", size="sm", elem_id="newer")
            count = gr.HTML("", apply_default_css=False, elem_id="count")
            older = gr.Button("Older", size="sm", elem_id="older")
    own_parts = (own, own_about, own_shown, own_prompt)
    return Components(tabs, errand, tab, search, file, *own_parts, note, cards, newer, older, count, gr.State(0))


def listen(ui: Components, engine: Engine) -> None:
    """Connects the tab."""
    shelf = Shelf(ui, engine)
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    ui.tab.select(shelf.page, [ui.search, ui.first], shelf.shown, **pressed)
    ui.search.change(shelf.searched, [ui.search], shelf.shown, trigger_mode="always_last", **QUICK)
    ui.newer.click(shelf.newer, [ui.search, ui.first], shelf.shown, **pressed)
    ui.older.click(shelf.older, [ui.search, ui.first], shelf.shown, **pressed)
    asked = [ui.note, ui.errand, ui.tabs]
    ui.cards.click(shelf.act, [ui.search, ui.first], [*shelf.shown, *asked], **pressed)
    ui.file.upload(shelf.restore, [ui.file], [ui.file, *asked], **QUICK)
    ui.own.upload(shelf.taken, [ui.own], [ui.own, ui.own_about, ui.own_shown, ui.note], **QUICK)
    ui.own_shown.click(shelf.finish, [ui.own_prompt], [ui.own_about, *asked], **pressed)


class Shelf:
    """The tab's handlers. Each returns only what it changes."""

    def __init__(self, ui: Components, engine: Engine) -> None:
        self.ui = ui
        self.engine = engine
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
            self.ui.cards: gallery_views.gallery(clips, search, finishing.offers(self.engine)),
            self.ui.count: gallery_views.paging(first, len(clips), total),
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

    def act(self, search: str, first: int, event: gr.EventData) -> dict[Any, Any]:
        """A button of a card."""
        data = dict(event._data or {})
        try:
            if asked := acted(self.ui, self.engine, str(data.get("do")), data.get("clip", "")):
                return asked | {self.ui.note: ""}
            if data.get("do") == "delete":
                self.engine.history.delete(data["clip"])
        except StudioError as error:
            return self.page(search, first) | {self.ui.note: views.alert(str(error))}
        return self.page(search, first) | {self.ui.note: ""}

    def restore(self, path: str | None) -> dict[Any, Any]:
        """The settings of a dropped file go into the form that can ask for them; of a finished clip, to the clip it was."""
        if path is None:
            return {self.ui.note: ""}
        try:
            request = self.engine.restore(path)
        except StudioError as error:
            return {self.ui.file: None, self.ui.note: views.alert(str(error))}
        if isinstance(request, FinishingRequest):
            said = "The file is a finished clip; its settings are only what was done to it. Drop it beside to finish it further."
            return {self.ui.file: None, self.ui.note: views.alert(said)}
        asked = elsewhere(self.ui, f"{request.kind}-settings", request.model_dump_json())
        return asked | {self.ui.file: None, self.ui.note: ""}

    # -- A clip of one's own ------------------------------------------------------------------------------------------------

    def taken(self, path: str | None) -> dict[Any, Any]:
        """A dropped clip is kept at once, and shown as the model will see it."""
        if path is None:
            return {}
        try:
            kept = self.engine.add_clip(path)
            shown = self._own(kept)
        except StudioError as error:
            return {self.ui.own: None, self.ui.note: views.alert(str(error))}
        return {self.ui.own: None, self.ui.note: "", self.ui.own_shown: shown, self.ui.own_about: gr.Row(visible=True)}

    def _own(self, kept: Kept) -> str:
        frames = self.engine.bench.sources.clip(kept.name).frames
        return gallery_views.own(kept, frames, finishing.offers(self.engine))

    def finish(self, prompt: str, event: gr.EventData) -> dict[Any, Any]:
        """A finishing step for it, which is shown where such jobs are."""
        data = dict(event._data or {})
        step = finishing.step_of(str(data.get("do")))
        if step is None:
            return {self.ui.own_about: gr.Row(visible=False), self.ui.note: ""}
        try:
            request = self.engine.finishing_of(data["clip"], step)
            told = parse_request({**request.model_dump(), "prompt": prompt or ""})
            return elsewhere(self.ui, FINISHING, self.engine.submit(told)) | {self.ui.note: ""}
        except StudioError as error:
            return {self.ui.note: views.alert(str(error))}
