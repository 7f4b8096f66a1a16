"""What the tabs with a stage share: a form is run, its job is followed, clips are shown and acted on. Handlers submit and look."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import InvalidInput, JobError, StudioError
from pipelines.pocket.captions import unknown_words

from ..engine import Engine
from ..events import FINAL, Done, Event, Failed, Step, Stopped
from ..finishing import FinishingStep
from ..reference_requests import source_of
from ..requests import SEEDS, ClipRequest, FinishingRequest, Request, TextToVideoRequest, parse_clip_request, parse_request
from . import ACTIONS_JS, PLACES, QUICK, Errand, controls, finishing, stage_views, views
from .errands import FINISHING, clip_request, elsewhere

BUSY_SECONDS, IDLE_SECONDS = 0.4, 2.0  # between two looks at the engine
RECENT = 10
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
    }


class StageDesk(ABC):
    """The handlers of a tab with a stage. Each returns only what it changes.

    Args:
        ui: the tab's parts.
        engine: the studio's.
        form: the tab's.
    """

    kind = ""  # of the jobs that the form asks for; the finishing of a clip is followed, too

    def __init__(self, ui: Components, engine: Engine, form: controls.Form) -> None:
        self.ui, self.engine, self.form = ui, engine, form
        self.model = engine.settings.model_dir.name
        self.drawn: dict[str, Any] = {"stage": ui.stage, "shelf": ui.shelf}  # sent again whenever their HTML is another
        self.clicked: list[gr.HTML] = [ui.stage, ui.shelf]
        self.modes: dict[str, gr.Radio] = {"seed": ui.seed_mode}  # a seed's field -> what becomes of it when something is run
        self.buttons = [ui.run, ui.stop, ui.another, ui.clock]
        self.actions: dict[str, Callable[[dict[str, str]], Updates]] = {
            "use": lambda a: self._used(a["clip"]),
            "same-seed": lambda a: self._used(a["clip"]),  # and the page selects the prompt
            "use-job": lambda a: self._settings(self.engine.request_of(a["job"])),
            "prompt": lambda a: {self.ui.fields["prompt"]: a["clip"]},
            "gif": lambda a: {self.ui.download: views.file_url(self.engine.gif(a["clip"]))},
            "gallery": lambda a: {self.ui.tabs: gr.Tabs(selected="gallery")},
            "compare": lambda a: self._elsewhere("compare", a["clip"]),
            "tune": lambda a: self._elsewhere("tune", a["clip"]),
            "as-reference": lambda a: self._elsewhere("as-reference", a["clip"]),
            "rerun": lambda a: self._submitted(self.engine.rerun(a["job"])),
            "follow": lambda a: self._submitted(a["job"]),
            "skip": lambda a: self._told(self.engine.stop, a["job"]),
            "up": lambda a: self._told(self.engine.move_by, a["job"], -1),
            "down": lambda a: self._told(self.engine.move_by, a["job"], +1),
        } | {f"finish-{step}": self._finishing(step) for step in finishing.STEPS}

    @property
    def shown(self) -> list[Any]:
        """What a look changes."""
        return [*self.drawn.values(), *self.buttons, self.ui.focus, self.ui.seen]

    @property
    def outputs(self) -> list[Any]:
        """What any handler changes."""
        ui = self.ui
        return [*self.shown, ui.note, *self.modes.values(), ui.tabs, ui.download, ui.last_job, ui.errand, *ui.fields.values()]

    def connect(self, page: gr.Blocks) -> None:
        """All that these tabs have in common."""
        ui, values, view, everything = self.ui, list(self.ui.fields.values()), [self.ui.focus, self.ui.seen], self.outputs
        pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
        for press in (ui.run, ui.another):
            press.click(self.run, [*view, *self.modes.values(), *values], everything, **pressed)
        ui.stop.click(self.stop, view, everything, **pressed)
        ui.clock.tick(self.look, view, self.shown, **pressed)
        for html in self.clicked:
            html.click(self.act, view, everything, **pressed)
        ui.changed.click(self.reset, None, values, **pressed)
        gr.on([field.change for field in values], self.edited, values, self.told, trigger_mode="always_last", **QUICK)
        ui.download.change(None, [ui.download], None, js="(url) => { window.priorStudio.download(url); }", api_visibility="private")
        ui.errand.change(self.asked, [ui.errand, *view], everything, **QUICK)
        page.load(self.opened, [ui.draft, ui.last_job, *view], everything, **QUICK)

    # -- What each tab has of its own ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def told(self) -> list[Any]:
        """What a change of the form changes."""

    @abstractmethod
    def edited(self, *values: Any) -> Updates:
        """What follows from any change of the form."""

    @abstractmethod
    def welcome(self) -> str:
        """The stage before the first run."""

    def beside(self, focus: Focus, event: Event | None) -> dict[str, str]:
        """HTML of what is drawn beside the stage and the shelf."""
        return {}

    # -- What a person does -----------------------------------------------------------------------------------------------

    def run(self, focus: Focus, seen: dict[str, Any], *values: Any) -> Updates:
        """Submits the form. An error is a sentence above the button, and nothing else changes."""
        modes = dict(zip(self.modes, values, strict=False))
        given = dict(zip(self.ui.fields, values[len(modes) :], strict=True))
        fresh = {name: secrets.randbelow(SEEDS) for name, mode in modes.items() if mode == "new"}
        try:
            job_id = self.engine.submit(parse_request({"kind": self.kind, **given, **fresh}))
        except StudioError as error:
            return {self.ui.note: views.alert(str(error))}
        updates = self._submitted(job_id) | {self.ui.fields[name]: seed for name, seed in fresh.items()}
        if self.engine.active_job(self.kind) and focus.job:
            updates[self.ui.focus] = Focus(job=focus.job)
        return self._and_look(updates, focus, seen)

    def stop(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Stops the shown job while it runs or waits, else the one of this tab that has the device."""
        event = self._status(focus.job)
        under_way = event is not None and not isinstance(event, FINAL)
        job_id = focus.job if under_way and self.engine.active_job() == focus.job else self.engine.active_job(self.kind) or focus.job
        return self._careful(lambda: self._told(self.engine.stop, job_id) if job_id else {}, focus, seen)

    def act(self, focus: Focus, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button inside the stage, the shelf, or what is beside them."""
        data = dict(event._data or {})
        name = data.get("do")
        if name in ("choose", "show"):
            kept = focus.job if name == "choose" else None
            return self._and_look({self.ui.focus: Focus(job=kept, clip=data["clip"])}, focus, seen)
        action = self.actions.get(str(name))
        return self._careful(lambda: action(data) if action else {}, focus, seen)

    def reset(self, event: gr.EventData) -> Updates:
        """Back to the defaults: one setting, or all that differ."""
        return self.form.reset(self.ui.fields, event)

    def opened(self, draft: dict[str, Any] | None, last_job: str | None, focus: Focus, seen: dict[str, Any]) -> Updates:
        """A page that is loaded again finds its form, and the job that runs now or the one it last ran."""
        drafted = {self.ui.fields[name]: draft[name] for name in self.form.names if name in draft} if draft else {}
        return self._and_look(drafted | {self.ui.focus: Focus(job=self.engine.active_job(self.kind) or last_job)}, focus, {})

    # -- What others ask for ------------------------------------------------------------------------------------------------

    def asked(self, text: str, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Another tab has a job to follow, a clip to show, or settings for the form."""
        errand = Errand.from_text(text)
        return self._careful(lambda: self._errand(errand) if errand else {}, focus, seen)

    def _errand(self, errand: Errand) -> Updates:
        here = PLACES[self.kind]
        if errand.what in (self.kind, FINISHING) and PLACES[errand.what] == here:
            return self._submitted(errand.id)
        if errand.what == "open" and PLACES[self.engine.history.get(errand.id).request.kind] == here:
            return self._shown(errand.id)
        if errand.what == f"{self.kind}-settings":
            return self.fill(parse_clip_request(errand.id))
        return {}

    def fill(self, request: ClipRequest) -> Updates:
        """The form with these settings; the seed is kept for the next run."""
        values = {self.ui.fields[name]: getattr(request, name) for name in self.form.names}
        return values | dict.fromkeys(self.modes.values(), "keep") | {self.ui.note: ""}

    def _shown(self, clip_id: str) -> Updates:
        """A clip on the stage, and its settings in the form."""
        request = self.engine.history.get(clip_id).request
        return (self.fill(request) if self._of_form(request) else {}) | {self.ui.focus: Focus(clip=clip_id)}

    def _of_form(self, request: Request) -> bool:
        """Whether the form can ask for it."""
        return request.kind == self.kind and not (isinstance(request, TextToVideoRequest) and request.tuned_model)

    # -- Looking ------------------------------------------------------------------------------------------------------------

    def look(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """The stage, queue and buttons as they are now; only what changed since the last look is sent."""
        try:
            shown, busy, event = self._followed(focus)
            preview = self._preview(event, seen)
            stage, shown = self._picture(shown, event, preview)
            shelf = views.queue(self.engine.queue()) + views.recent(self.engine.history.clips(limit=RECENT), shown.clip)
            beside = self.beside(shown, event)
        except StudioError as error:
            return {self.ui.shelf: views.alert(str(error))}
        now: dict[str, Any] = {"stage": stage, "shelf": shelf, **beside, "busy": busy, "preview": preview}
        updates: Updates = {self.ui.seen: now}
        if shown != focus:  # else a click that came meanwhile would be undone
            updates[self.ui.focus] = shown
        updates |= {html: now[name] for name, html in self.drawn.items() if now[name] != seen.get(name)}
        return updates | (run_buttons(self.ui, busy) if busy != seen.get("busy") else {})

    def _followed(self, focus: Focus) -> tuple[Focus, bool, Event | None]:
        """(what to show now, whether anything runs or waits, where the shown job is). A job that is over gives way to the running one."""
        active = self.engine.active_job(self.kind)
        event = self._status(focus.job)
        over = event is None or isinstance(event, FINAL)
        if active and over and not focus.clip and not focus.stage:
            return Focus(job=active), True, self._status(active)
        return focus, bool(active) or not over, event

    def _preview(self, event: Event | None, seen: dict[str, Any]) -> tuple[str, str]:
        """(job, address) of the newest preview, kept to be shown where a job was stopped."""
        if isinstance(event, Step) and event.preview:
            return event.job_id, views.file_url(event.preview)
        return seen.get("preview", ("", ""))

    def _status(self, job_id: str | None) -> Event | None:
        try:
            return self.engine.status(job_id) if job_id else None
        except JobError:
            return None

    def _picture(self, focus: Focus, event: Event | None, preview: tuple[str, str]) -> tuple[str, Focus]:
        try:
            return self._stage(focus, event, preview), focus
        except JobError:  # the clip was deleted meanwhile
            return self.welcome(), Focus()

    def _stage(self, focus: Focus, event: Event | None, preview: tuple[str, str]) -> str:
        history, limits = self.engine.history, self.engine.defaults()
        ratio = limits.width / limits.height
        if focus.clip:
            chosen = history.get(focus.clip)
            clips = event.clips if isinstance(event, Done | Stopped) and chosen in event.clips else (chosen,)
            return stage_views.finished(clips, chosen, finishing.offers(self.engine))
        if isinstance(event, Done | Stopped) and event.clips:
            note = views.status_line(event) if isinstance(event, Stopped) else ""
            return stage_views.finished(event.clips, event.clips[0], finishing.offers(self.engine), note)
        if event is None or isinstance(event, Done):  # Done without clips: they were deleted
            return self.welcome()
        request = clip_request(self.engine.request_of(event.job_id))
        if isinstance(event, Stopped | Failed):
            return stage_views.stopped(preview[1] if preview[0] == event.job_id else "", request, event, ratio)
        return stage_views.running(event, request, history.of_job(event.job_id), ratio, self.before(event))

    def before(self, event: Event) -> str:
        """What is shown of a job that has no preview yet."""
        return stage_views.BLANK

    # -- Shared by the handlers ---------------------------------------------------------------------------------------------

    def _careful(self, action: Any, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Does it, then looks. A person's error goes above the Run button."""
        try:
            updates = action()
        except StudioError as error:
            updates = {self.ui.note: views.alert(str(error))}
        return self._and_look(updates, focus, seen)

    def _and_look(self, updates: Updates, focus: Focus, seen: dict[str, Any]) -> Updates:
        return updates | self.look(updates.get(self.ui.focus, focus), seen)

    def _submitted(self, job_id: str) -> Updates:
        kind = self.engine.request_of(job_id).kind
        if kind not in (self.kind, FINISHING):
            return self._elsewhere(kind, job_id)
        return {self.ui.focus: Focus(job=job_id), self.ui.last_job: job_id, self.ui.note: ""}

    def _finishing(self, step: FinishingStep) -> Callable[[dict[str, str]], Updates]:
        return lambda a: self._submitted(self.engine.submit(self.engine.finishing_of(a["clip"], step)))

    def _used(self, clip_id: str) -> Updates:
        """A clip's settings into the form; those of an edit into the form of edits; of a finished clip, the clip that it was."""
        request = self.engine.history.get(clip_id).request
        if isinstance(request, FinishingRequest):
            return self._source(request)
        if isinstance(request, TextToVideoRequest) and request.tuned_model:
            return self._elsewhere("edit", clip_id)
        return self._settings(request)

    def _settings(self, request: Request) -> Updates:
        if request.kind == self.kind:
            return self.fill(clip_request(request))
        return self._elsewhere(f"{request.kind}-settings", request.model_dump_json())

    def _source(self, request: FinishingRequest) -> Updates:
        clip = source_of(request.source).clip
        if not clip:
            raise InvalidInput("It was a file of yours, not a clip made here.", "Its settings are those above.")
        return {self.ui.focus: Focus(clip=self.engine.history.get(clip).id)}

    def _elsewhere(self, what: str, id: str) -> Updates:
        """Something for another tab to do."""
        return elsewhere(self.ui, what, id)

    def _told(self, action: Any, *values: Any) -> Updates:
        action(*values)
        return {}


def run_buttons(ui: Any, busy: bool) -> Updates:
    """Stop in the place of Run while something runs or waits, and the clock faster."""
    return {
        ui.run: gr.Button(visible=not busy),
        ui.stop: gr.Button(visible=busy),
        ui.another: gr.Button(visible=busy),
        ui.clock: gr.Timer(BUSY_SECONDS if busy else IDLE_SECONDS),
    }


def words_and_changes(desk: StageDesk, given: Mapping[str, Any]) -> Sequence[str]:
    """(the words of the prompt that the model does not know, the settings that differ), as HTML."""
    unknown = views.unknown_words(unknown_words(given["prompt"] or ""), desk.model)
    return unknown, views.changed(desk.form.differing(given), desk.form.titles, desk.form.prefix)
