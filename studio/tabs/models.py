"""Models: what is here and what it can do, what the catalog offers, downloads under way. Handlers begin things and look, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipelines.catalog import DescribedLora, DescribedModel
from pipelines.errors import StudioError

from ..choosing import named_by_path
from ..engine import Engine
from ..events import FINAL, Event, Failed
from ..measuring import measuring_of
from ..measuring_request import MeasuringRequest
from ..model_here import ModelHere
from ..speeds import told
from . import ACTIONS_JS, QUICK, lora_views, model_views, pair_views, views
from .lora_choice import words
from .lora_views import LoraShown
from .speed_views import FINDING_OUT, SpeedShown, threshold_of, values_of
from .stage_parts import BUSY_SECONDS, IDLE_SECONDS

Updates = dict[Any, Any]
CATALOG_HINT = "What is here can be chosen at the top of the page."


@dataclass(frozen=True)
class Components:
    """The tab's parts. `seen` has what was last sent, so that what a person has opened stays open."""

    tab: gr.Tab
    tabs: gr.Tabs
    chooser: gr.Dropdown
    summary: gr.HTML
    under_way: gr.HTML
    note: gr.HTML
    name: gr.Textbox
    add: gr.Button
    file: gr.File
    here: gr.HTML
    catalog: gr.HTML
    clock: gr.Timer
    seen: gr.State


def render(tab: gr.Tab, tabs: gr.Tabs, chooser: gr.Dropdown, changes: bool) -> Components:
    """Builds the tab's components, in reading order.

    Args:
        tab, tabs: this one, and all.
        chooser: has the model that the other tabs use.
        changes: whether the page may change which models are here.
    """
    listening: dict[str, Any] = {"js_on_load": ACTIONS_JS, "apply_default_css": False}
    with gr.Column(elem_classes="models"):
        with gr.Row(elem_classes="models-top slot", visible=changes):
            name = gr.Textbox(
                label="Add a model or a LoRA",
                info="owner/name of the Hub, one safetensors file of it, or a path on the studio's machine.",
                placeholder="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
                elem_id="model-name",
                scale=3,
            )
            add = gr.Button("Add", elem_id="model-add", scale=0, min_width=88)
            file = gr.File(
                label="Drop a LoRA in safetensors",
                file_types=[".safetensors"],
                height=44,
                elem_id="model-file",
                elem_classes="drop",
                scale=1,
            )
        note = gr.HTML("", apply_default_css=False, elem_id="models-note")
        under_way = gr.HTML("", elem_id="fetches", **listening)
        summary = gr.HTML("", apply_default_css=False, elem_id="models-summary")
        here = gr.HTML("", elem_id="models-here", elem_classes="model-list", **listening)
        gr.HTML(f'<h2>Catalog</h2><p class="hint">{CATALOG_HINT}</p>', apply_default_css=False)
        catalog = gr.HTML("", elem_id="models-catalog", **listening)
    parts = (summary, under_way, note, name, add, file, here, catalog)
    return Components(tab, tabs, chooser, *parts, clock=gr.Timer(BUSY_SECONDS, active=False), seen=gr.State({}))


def listen(ui: Components, engine: Engine) -> None:
    """Connects the tab."""
    desk = Desk(ui, engine)
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    ui.tab.select(desk.look, [ui.seen], desk.shown, **pressed)
    ui.clock.tick(desk.look, [ui.seen], desk.shown, **pressed)
    for listening in (ui.under_way, ui.here, ui.catalog):
        listening.click(desk.act, [ui.seen], [*desk.shown, ui.note, ui.chooser, ui.tabs], **pressed)
    gr.on([ui.add.click, ui.name.submit], desk.add, [ui.name, ui.seen], [*desk.shown, ui.note, ui.name], **pressed)
    ui.file.upload(desk.taken, [ui.file, ui.seen], [*desk.shown, ui.note, ui.file], **QUICK)


class Desk:
    """The tab's handlers. Each returns only what it changes."""

    def __init__(self, ui: Components, engine: Engine) -> None:
        self.ui = ui
        self.engine, self.models = engine, engine.models
        self.shown = [ui.summary, ui.under_way, ui.here, ui.catalog, ui.clock, ui.seen]
        self.actions = {
            "download": self.models.download,
            "resume": self.models.resume,
            "again": self.models.fetching.again,
            "cancel": self.models.fetching.cancel,
            "remove": self.models.remove,
            "stop": engine.stop,
        }
        # What a form's button does -> what to say of it.
        self.answering: dict[str, Callable[[str, dict[str, Any]], str]] = {
            "speed": self._set_speed,
            "measure": self._measure,
            "advise": self._advise,
        }

    def look(self, seen: dict[str, str]) -> Updates:
        """What is here now; only what changed since the last look is sent."""
        measuring: dict[str, Event] = {}
        try:
            told = self._told(measuring := self._measuring())
        except StudioError as error:
            told = {"here": views.alert(str(error))}
        busy = FINDING_OUT in told["here"] or any(not fetch.error for fetch in self.models.fetching.fetches())
        busy = busy or any(not isinstance(event, FINAL) for event in measuring.values())
        changed = {getattr(self.ui, part): text for part, text in told.items() if seen.get(part) != text}
        # It never rests: an answer that comes late would switch it off after something has begun, which then nobody would see end.
        return changed | {self.ui.seen: seen | told, self.ui.clock: gr.Timer(BUSY_SECONDS if busy else IDLE_SECONDS, active=True)}

    def _measuring(self) -> dict[str, Event]:
        """Name of a model in requests -> where its newest measuring is, of the last few."""
        found: dict[str, Event] = {}
        for job_id in self.engine.recent_jobs("measuring", limit=4):
            request = self.engine.request_of(job_id)
            if isinstance(request, MeasuringRequest) and request.model not in found:
                found[request.model] = self.engine.status(job_id)
        return found

    def _told(self, measuring: dict[str, Event]) -> dict[str, str]:
        models, fetches = self.models, self.models.fetching.fetches()
        here, busy = models.here(), [fetch.hub for fetch in fetches if not fetch.error]
        fits = {one.name: models.fits(one.about) for one in here if isinstance(one.about, DescribedLora)}
        names = named_by_path(here)
        speeds = {one.name: self._speed(one, measuring.get(names[one.name])) for one in here if isinstance(one.about, DescribedModel)}
        open_, offline = models.settings.models_open, models.store.offline
        loras = {one.name: LoraShown(models.advice(one), open_) for one in here if isinstance(one.about, DescribedLora)}
        lacking = pair_views.lacking(here, models.catalog, busy, open_ and not offline)
        return {
            "summary": model_views.summary(here, models.free_bytes, offline),
            "under_way": model_views.under_way(fetches, measuring),
            "here": model_views.models(here, fits, busy, speeds, loras, lacking),
            "catalog": model_views.catalog(models.catalog, here, busy, offline)
            + lora_views.catalog(models.loras, models.catalog, here, fetches, offline),
        }

    def _speed(self, one: ModelHere, measuring: Event | None) -> SpeedShown:
        open_ = self.models.settings.models_open and not one.alone
        values, refused = self.models.speeds.values(one.path), self.models.speed_refused(one) if open_ else None
        under_way = measuring is not None and not isinstance(measuring, FINAL)
        return SpeedShown(values, refused, open_, under_way, measuring.error if isinstance(measuring, Failed) else "")

    def _chosen(self, name: str) -> Updates:
        """A model is used: the header names it, and a tab that makes clips with it is opened."""
        one = self.models.find(name)
        needs = isinstance(one.about, DescribedModel) and one.about.capabilities.picture == "needed"
        chosen = named_by_path(self.models.here())[one.name]
        return {self.ui.chooser: chosen, self.ui.tabs: gr.Tabs(selected="reference" if needs else "text-to-video"), self.ui.note: ""}

    def _measure(self, name: str, sent: dict[str, Any]) -> str:
        """Queues the measuring of a model; returns what to say."""
        model = named_by_path(self.models.here())[self.models.find(name).name]
        self.engine.submit(measuring_of(model, threshold_of(sent), self.engine.bench))
        return '<p class="line" role="status">Measuring is in the queue. When it is done, its cache is on.</p>'

    def _set_speed(self, name: str, sent: dict[str, Any]) -> str:
        """Keeps the switches of a card; returns what to say."""
        self.models.set_speed(name, values := values_of(sent))
        return f'<p class="line" role="status">Kept. Its next job runs with {escape(told(values) or "all switches off")}.</p>'

    def _advise(self, name: str, sent: dict[str, Any]) -> str:
        """Keeps what a LoRA was made for; returns what to say."""
        advice = self.models.set_advice(name, lora_views.values_of(sent))
        said = words(advice.settings()) or "nothing"
        return f'<p class="line" role="status">Kept. Where it is chosen, it sets {escape(said)}.</p>'

    def act(self, seen: dict[str, str], event: gr.EventData) -> Updates:
        """A button of a model or of a download."""
        data = dict(event._data or {})
        try:
            if data["do"] == "choose":
                return self._chosen(data["model"])
            if answer := self.answering.get(data["do"]):
                said = answer(data["model"], data.get("values") or {})
                return self.look(seen) | {self.ui.note: said}
            self.actions[data["do"]](data.get("model") or data.get("job", ""))
        except StudioError as error:
            return self.look(seen) | {self.ui.note: views.alert(str(error))}
        return self.look(seen) | {self.ui.note: ""}

    def add(self, name: str, seen: dict[str, str]) -> Updates:
        """What was typed: a repository, or a path."""
        try:
            self.models.add(name or "")
        except StudioError as error:
            return self.look(seen) | {self.ui.note: views.alert(str(error))}
        return self.look(seen) | {self.ui.note: "", self.ui.name: ""}

    def taken(self, path: str | None, seen: dict[str, str]) -> Updates:
        """A LoRA that was dropped."""
        if path is None:
            return {self.ui.note: ""}
        try:
            self.models.add_lora(path)
        except StudioError as error:
            return self.look(seen) | {self.ui.file: None, self.ui.note: views.alert(str(error))}
        return self.look(seen) | {self.ui.file: None, self.ui.note: ""}
