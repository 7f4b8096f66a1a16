"""Text to video: controls on the left, the stage on the right. Handlers submit to the engine and look at it, nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.domain_models import DomainModel
from pipelines.errors import JobError, StudioError
from pipelines.pocket.captions import example_prompts, unknown_words, vocabulary

from ..engine import Engine
from ..events import FINAL, Done, Event, Failed, Step, Stopped
from ..examples import examples
from ..requests import SEEDS, TextToVideoRequest, parse_text_to_video
from . import ACTIONS_JS, PLACES, QUICK, Errand, controls, views

BUSY_SECONDS, IDLE_SECONDS = 0.4, 2.0  # between two looks at the engine
RECENT = 10
KIND = "text_to_video"
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Focus:
    """What the stage shows: a job, or a clip (also one chosen among a job's). A chosen clip stays until something is run."""

    job: str | None = None
    clip: str | None = None


@dataclass(frozen=True)
class Components:
    """The tab's parts that others touch."""

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


def render(
    tabs: gr.Tabs, errand: gr.Textbox, model: str, domain_models: Sequence[DomainModel] = (), frame_limits: tuple[int, int] | None = None
) -> Components:
    """Builds the tab's components, in reading order.

    Args:
        errand: takes what another tab is to do.
        model: its name.
        domain_models: that may be put over it.
        frame_limits: the fewest and the most frames it makes, if that is known.
    """
    with gr.Row(elem_classes="making"):
        with gr.Column(elem_classes="controls", scale=0, min_width=300):
            fields, parts = _render_controls(model, domain_models, frame_limits)
        with gr.Column(elem_classes="stage-side"):
            stage = gr.HTML(welcome(), elem_id="stage", js_on_load=ACTIONS_JS, apply_default_css=False)
            shelf = gr.HTML("", elem_id="shelf", elem_classes="shelf", js_on_load=ACTIONS_JS, apply_default_css=False)
            download = gr.Textbox(visible="hidden", label="Download", elem_id="download")
    return Components(
        tabs=tabs,
        fields=fields,
        **parts,
        stage=stage,
        shelf=shelf,
        download=download,
        clock=gr.Timer(IDLE_SECONDS),
        focus=gr.State(Focus()),
        seen=gr.State({}),
        draft=gr.BrowserState(None, storage_key="prior-studio-draft", secret="prior-studio"),
        last_job=gr.BrowserState(None, storage_key="prior-studio-job", secret="prior-studio"),
        errand=errand,
    )


def _render_controls(
    model: str, domain_models: Sequence[DomainModel], frame_limits: tuple[int, int] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All fields in the request's order, and the other parts of the left side."""
    fields: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    with gr.Column(elem_classes="scroll"):
        fields["prompt"] = controls.prompt(example_prompts()[0])
        parts["unknown"] = gr.HTML("", elem_id="unknown", apply_default_css=False)
        gr.HTML(views.vocabulary(vocabulary(), model), js_on_load=None, elem_id="vocabulary", apply_default_css=False)
        fields["frames"] = controls.slider("frames", limits=frame_limits)
        with gr.Row(elem_classes="seed-row"):
            fields["seed"] = controls.number("seed")
            parts["seed_mode"] = controls.seed_mode()
        fields["steps"] = controls.slider("steps")
        parts["changed"] = gr.HTML("", elem_id="changed", js_on_load=ACTIONS_JS, apply_default_css=False)
        gr.HTML("<h2>Advanced</h2>", apply_default_css=False)
        with gr.Accordion("Guidance", open=False):
            fields["guidance_scale"] = controls.slider("guidance_scale", 0.1)
            fields["negative_prompt"] = controls.text("negative_prompt", 2, "blue, at night")
        with gr.Accordion("Noise prior", open=False):
            fields["noise_kind"] = controls.radio("noise_kind")
            fields["noise_alpha"] = controls.number("noise_alpha", 0.5)
        with gr.Accordion("Domain model", open=False):
            fields["domain_model"] = controls.domain_model(domain_models)
            fields["prior_strength"] = controls.slider("prior_strength", 0.05)
            fields |= controls.mixing()
        with gr.Accordion("Sampler", open=False):
            fields["sampler"] = controls.sampler()
        with gr.Accordion("Output", open=False):
            fields["fps"] = controls.slider("fps")
            fields["variations"] = controls.slider("variations")
    with gr.Column(elem_classes="run-bar"):
        parts["note"] = gr.HTML("", elem_id="note", apply_default_css=False)
        with gr.Row(elem_classes="run-row"):
            parts["run"] = gr.Button("Run", variant="primary", elem_id="run", elem_classes="run")
            parts["stop"] = gr.Button("Stop", variant="stop", elem_id="stop", elem_classes="stop", visible=False)
            parts["another"] = gr.Button("Queue another", elem_id="another", elem_classes="another", visible=False)
    return {name: fields[name] for name in controls.FIELDS}, parts


def welcome() -> str:
    """The stage before the first run."""
    return views.welcome(examples(), example_prompts())


def listen(ui: Components, engine: Engine, page: gr.Blocks) -> Desk:
    """Connects the tab; the desk is what other tabs use to put a clip or its settings here."""
    desk = Desk(ui, engine)
    values, view = list(ui.fields.values()), [ui.focus, ui.seen]
    everything = desk.outputs
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    for press in (ui.run, ui.another):
        press.click(desk.run, [ui.seed_mode, *view, *values], everything, **pressed)
    ui.stop.click(desk.stop, view, everything, **pressed)
    ui.clock.tick(desk.look, view, desk.shown, **pressed)
    for html in (ui.stage, ui.shelf):
        html.click(desk.act, view, everything, **pressed)
    ui.changed.click(desk.reset, None, values, **pressed)
    edits = [field.change for field in values]
    told = [ui.unknown, ui.changed, ui.draft, ui.fields["sampler"]]
    gr.on(edits, desk.edited, values, told, trigger_mode="always_last", **QUICK)
    ui.download.change(None, [ui.download], None, js="(url) => { window.priorStudio.download(url); }", api_visibility="private")
    page.load(desk.opened, [ui.draft, ui.last_job, *view], everything, **QUICK)
    return desk


class Desk:
    """The tab's handlers. Each returns only what it changes."""

    def __init__(self, ui: Components, engine: Engine) -> None:
        self.ui = ui
        self.engine = engine
        self.model = engine.settings.model_dir.name
        self.shown = [ui.stage, ui.shelf, ui.run, ui.stop, ui.another, ui.clock, ui.focus, ui.seen]
        self.outputs = [*self.shown, ui.note, ui.seed_mode, ui.tabs, ui.download, ui.last_job, ui.errand, *ui.fields.values()]
        self._actions = {
            "use": lambda a: self._used(a["clip"]),
            "same-seed": lambda a: self._used(a["clip"]),  # and the page selects the prompt
            "use-job": lambda a: self.fill(self.engine.request_of(a["job"])),  # type: ignore[arg-type]  # of this tab's kind
            "example": lambda a: self.fill(next(each.request for each in examples() if each.name == a["clip"])),
            "prompt": lambda a: {self.ui.fields["prompt"]: a["clip"]},
            "gif": lambda a: {self.ui.download: views.file_url(self.engine.gif(a["clip"]))},
            "gallery": lambda a: {self.ui.tabs: gr.Tabs(selected="gallery")},
            "compare": lambda a: self._elsewhere("compare", a["clip"]),
            "tune": lambda a: self._elsewhere("tune", a["clip"]),
            "rerun": lambda a: self._submitted(self.engine.rerun(a["job"])),
            "follow": lambda a: self._submitted(a["job"]),
            "skip": lambda a: self._told(self.engine.stop, a["job"]),
            "up": lambda a: self._told(self.engine.move_by, a["job"], -1),
            "down": lambda a: self._told(self.engine.move_by, a["job"], +1),
        }

    # -- What a person does -----------------------------------------------------------------------------------------------

    def run(self, seed_mode: str, focus: Focus, seen: dict[str, Any], *values: Any) -> Updates:
        """Submits the form. An error is a sentence above the button, and nothing else changes."""
        given = dict(zip(self.ui.fields, values, strict=True))
        if seed_mode == "new":
            given["seed"] = secrets.randbelow(SEEDS)
        try:
            job_id = self.engine.submit(parse_text_to_video(given))
        except StudioError as error:
            return {self.ui.note: views.alert(str(error))}
        updates = self._submitted(job_id) | {self.ui.fields["seed"]: given["seed"], self.ui.note: ""}
        if self.engine.active_job(KIND) and focus.job:
            updates[self.ui.focus] = Focus(job=focus.job)
        return self._and_look(updates, focus, seen)

    def stop(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Stops the job on the device; when it has none, the one on the stage that still waits."""
        job_id = self.engine.active_job(KIND) or focus.job
        return self._careful(lambda: self._told(self.engine.stop, job_id) if job_id else {}, focus, seen)

    def act(self, focus: Focus, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button inside the stage or the shelf."""
        data = dict(event._data or {})
        name = data.get("do")
        if name in ("choose", "show"):
            kept = focus.job if name == "choose" else None
            return self._and_look({self.ui.focus: Focus(job=kept, clip=data["clip"])}, focus, seen)
        action = self._actions.get(str(name))
        return self._careful(lambda: action(data) if action else {}, focus, seen)

    def reset(self, event: gr.EventData) -> Updates:
        """Back to the defaults: one setting, or all that differ."""
        data = dict(event._data or {})
        names = controls.MARKED if data.get("do") == "reset-all" else [data["field"]]
        return {self.ui.fields[name]: controls.DEFAULTS[name] for name in names}

    def edited(self, *values: Any) -> tuple[Any, ...]:
        """Unknown words, changed settings and the draft, after any change of the form."""
        given = dict(zip(self.ui.fields, values, strict=True))
        unknown = views.unknown_words(unknown_words(given["prompt"] or ""), self.model)
        changed = views.changed(controls.differing(given), controls.TITLES)
        return unknown, changed, given, gr.Dropdown(info=controls.sampler_help(given["sampler"]))

    def opened(self, draft: dict[str, Any] | None, last_job: str | None, focus: Focus, seen: dict[str, Any]) -> Updates:
        """A page that is loaded again finds its form, and the job that runs now or the one it last ran."""
        updates: Updates = {}
        if draft:
            updates = {self.ui.fields[name]: draft[name] for name in controls.FIELDS if name in draft}
        job_id = self.engine.active_job(KIND) or last_job
        updates[self.ui.fields["domain_model"]] = gr.Dropdown(
            controls.domain_choices(self.engine.domain_models()), value=(draft or {}).get("domain_model", "")
        )
        return self._and_look(updates | {self.ui.focus: Focus(job=job_id)}, focus, {})

    def outputs_elsewhere(self, present: Sequence[Any]) -> list[Any]:
        """What `show` changes, for a handler of another tab that has some of it among its outputs already."""
        return [each for each in self.outputs if each not in present]

    # -- What others put here -----------------------------------------------------------------------------------------------

    def fill(self, request: TextToVideoRequest) -> Updates:
        """The form with these settings; the seed is kept for the next run."""
        return {self.ui.fields[name]: getattr(request, name) for name in controls.FIELDS} | {self.ui.seed_mode: "keep", self.ui.note: ""}

    def show(self, clip_id: str, focus: Focus, seen: dict[str, Any]) -> Updates:
        """This tab, with a clip on the stage and its settings in the form."""
        request = self.engine.history.get(clip_id).request
        updates = {} if request.tuned_model else self.fill(request)
        return self._and_look(updates | {self.ui.focus: Focus(clip=clip_id), self.ui.tabs: gr.Tabs(selected="text-to-video")}, focus, seen)

    # -- Looking ------------------------------------------------------------------------------------------------------------

    def look(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """The stage, queue and buttons as they are now; only what changed since the last look is sent."""
        try:
            shown, busy, event = self._followed(focus)
            preview = self._preview(event, seen)
            stage, shown = self._picture(shown, event, preview)
            shelf = views.queue(self.engine.queue()) + views.recent(self.engine.history.clips(limit=RECENT), shown.clip)
        except StudioError as error:
            return {self.ui.shelf: views.alert(str(error))}
        now: dict[str, Any] = {"stage": stage, "shelf": shelf, "busy": busy, "preview": preview}
        updates: Updates = {self.ui.seen: now}
        if shown != focus:  # else a click that came meanwhile would be undone
            updates[self.ui.focus] = shown
        for name in ("stage", "shelf"):
            if now[name] != seen.get(name):
                updates[getattr(self.ui, name)] = now[name]
        if busy != seen.get("busy"):
            updates |= {
                self.ui.run: gr.Button(visible=not busy),
                self.ui.stop: gr.Button(visible=busy),
                self.ui.another: gr.Button(visible=busy),
                self.ui.clock: gr.Timer(BUSY_SECONDS if busy else IDLE_SECONDS),
            }
        return updates

    def _followed(self, focus: Focus) -> tuple[Focus, bool, Event | None]:
        """(what to show now, whether anything runs or waits, where the shown job is). A job that is over gives way to the running one."""
        active = self.engine.active_job(KIND)
        event = self._status(focus.job)
        over = event is None or isinstance(event, FINAL)
        if active and over and not focus.clip:
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
            return welcome(), Focus()

    def _stage(self, focus: Focus, event: Event | None, preview: tuple[str, str]) -> str:
        history, limits = self.engine.history, self.engine.defaults()
        ratio = limits.width / limits.height
        if focus.clip:
            chosen = history.get(focus.clip)
            clips = event.clips if isinstance(event, Done | Stopped) and chosen in event.clips else (chosen,)
            return views.finished(clips, chosen)
        if isinstance(event, Done | Stopped) and event.clips:
            return views.finished(event.clips, event.clips[0], views.status_line(event) if isinstance(event, Stopped) else "")
        if event is None or isinstance(event, Done):  # Done without clips: they were deleted
            return welcome()
        request = self.engine.request_of(event.job_id)
        assert isinstance(request, TextToVideoRequest)  # this tab follows no other jobs
        if isinstance(event, Stopped | Failed):
            return views.stopped(preview[1] if preview[0] == event.job_id else "", request, event, ratio)
        return views.running(event, request, history.of_job(event.job_id), ratio)

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
        if kind != KIND:
            return self._elsewhere(kind, job_id)
        return {self.ui.focus: Focus(job=job_id), self.ui.last_job: job_id}

    def _used(self, clip_id: str) -> Updates:
        """A clip's settings into the form; those of an edit into the form of edits."""
        request = self.engine.history.get(clip_id).request
        return self._elsewhere("edit", clip_id) if request.tuned_model else self.fill(request)

    def _elsewhere(self, what: str, id: str) -> Updates:
        """Something for another tab to do."""
        return {self.ui.errand: Errand(what, id).to_text(), self.ui.tabs: gr.Tabs(selected=PLACES[what])}

    def _told(self, action: Any, *values: Any) -> Updates:
        action(*values)
        return {}
