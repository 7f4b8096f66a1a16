"""Train your own domain model: a section of the tab of walls. What it needs on the left, what it learns on the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import InvalidInput, StudioError

from ..engine import Engine
from ..events import FINAL
from ..fields import slug
from ..requests import DomainTrainingRequest, parse_request
from . import ACTIONS_JS, QUICK, Errand, controls, training_views, views
from .following import Following
from .stage_parts import IDLE_SECONDS

KIND = "domain_training"
FORM = controls.Form(DomainTrainingRequest, "training", without=())
FIELDS = ("name", "clips", "caption", "minutes", "share")
UPLOADS = [".mp4", ".mov", ".webm", ".gif", ".txt", ".csv", ".jsonl"]
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Components:
    """The section's parts. `fields` are the request's, in its order."""

    section: gr.Accordion
    files: gr.File
    fields: dict[str, Any]
    note: gr.HTML
    run: gr.Button
    stop: gr.Button
    live: gr.HTML
    clock: gr.Timer
    job: gr.State
    seen: gr.State


def render() -> Components:
    """Builds the section's components, in reading order."""
    with gr.Accordion("Train your own domain model", open=False, elem_id="training") as section, gr.Row(elem_classes="training"):
        with gr.Column(elem_classes="controls training-form", min_width=280):
            files = gr.File(
                label="Drop clips here, and captions beside them",
                file_count="multiple",
                file_types=UPLOADS,
                height=72,
                elem_id="training-files",
                elem_classes="drop",
            )
            fields = _render_fields()
            note = gr.HTML("", elem_id="training-note", apply_default_css=False)
            run = gr.Button("Train", variant="primary", elem_id="train")
            stop = gr.Button("Stop and keep what it has learned", variant="stop", elem_id="train-stop", visible=False)
        with gr.Column(elem_classes="training-live", min_width=280):
            live = gr.HTML(training_views.waiting(), elem_id="training-live", js_on_load=ACTIONS_JS, apply_default_css=False)
    return Components(section, files, fields, note, run, stop, live, gr.Timer(IDLE_SECONDS), gr.State(None), gr.State({}))


def _render_fields() -> dict[str, Any]:
    minutes, share = FORM.schema["minutes"], FORM.schema["share"]
    clips = FORM.common("clips") | {
        "label": "Or a folder of clips",
        "info": "On the studio's machine; captions in NAME.txt beside each clip.",
    }
    return {
        "clips": gr.Textbox("", lines=1, max_lines=1, **clips),
        "caption": gr.Textbox("", lines=1, max_lines=4, placeholder="a felt puppet on a stage", **FORM.common("caption")),
        "name": gr.Textbox("", lines=1, max_lines=1, placeholder="Felt puppets", **FORM.common("name")),
        "minutes": gr.Slider(1, 60, minutes["default"], step=1, buttons=["reset"], **FORM.common("minutes")),
        "share": gr.Slider(share["minimum"], share["maximum"], share["default"], step=0.005, buttons=["reset"], **FORM.common("share")),
    }


def listen(ui: Components, engine: Engine, page: gr.Blocks, errand: gr.Textbox, shown_in: list[gr.Dropdown]) -> Workshop:
    """Connects the section; `shown_in` are the lists that offer domain models."""
    workshop = Workshop(ui, engine, shown_in)
    view = [ui.job, ui.seen]
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    ui.run.click(workshop.run, [*view, ui.files, *ui.fields.values()], workshop.outputs, **pressed)
    ui.stop.click(workshop.stop, view, workshop.outputs, **pressed)
    ui.live.click(workshop.act, view, workshop.outputs, **pressed)
    ui.clock.tick(workshop.look, view, workshop.shown, **pressed)
    errand.change(workshop.errand, [errand, *view], workshop.outputs, **QUICK)
    page.load(workshop.opened, view, workshop.outputs, **QUICK)
    return workshop


class Workshop(Following):
    """The section's handlers. Each returns only what it changes."""

    kind = KIND

    def __init__(self, ui: Components, engine: Engine, shown_in: list[gr.Dropdown]) -> None:
        super().__init__(ui, engine)
        self.shown_in = shown_in
        self.shown = [ui.live, ui.run, ui.stop, ui.clock, ui.job, ui.seen, *shown_in]
        self.outputs = [*self.shown, ui.section, ui.note, ui.files, *ui.fields.values()]

    def run(self, job: str | None, seen: dict[str, Any], files: list[str] | None, *values: Any) -> Updates:
        """Keeps the uploads and submits the form. An error is a sentence above the button, and nothing else changes."""
        given = {name: value or "" for name, value in zip(self.ui.fields, values, strict=True)}

        def submit() -> Updates:
            if not files and not given["clips"].strip():
                raise InvalidInput("No clips were given.", "Drop some, or name a folder.")
            parse_request({"kind": KIND, **given, "clips": "any"})  # what is wrong with the rest is said before anything is copied
            clips = str(self.engine.keep_clips(files)) if files else given["clips"].strip()
            return {
                self.ui.job: self.engine.submit(parse_request({"kind": KIND, **given, "clips": clips})),
                self.ui.note: "",
                self.ui.files: None,
            }

        return self._careful(submit, job, seen)

    def act(self, job: str | None, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button on the right: go on with a training that was stopped, or compare with what it gave."""
        data = dict(event._data or {})
        if data.get("do") == "rerun":
            return self._careful(lambda: {self.ui.job: self.engine.rerun(data["job"])}, job, seen)
        return gr.skip()

    def errand(self, text: str, job: str | None, seen: dict[str, Any]) -> Updates:
        """Another tab shows a training: the section opens on it."""
        errand = Errand.from_text(text)
        if errand is None or errand.what != KIND:
            return gr.skip()
        return self._and_look({self.ui.job: errand.id, self.ui.section: gr.Accordion(open=True)}, job, seen)

    def opened(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """A page that is loaded again finds the training that runs, or the last one."""
        running = gr.Accordion(open=self.engine.active_job(KIND) is not None)
        return self._and_look({self.ui.job: self._last(), self.ui.section: running}, None, {})

    # -- Looking ------------------------------------------------------------------------------------------------------------

    def look(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """The training as it is now; only what changed since the last look is sent."""
        try:
            job, event = self._followed(job)
            request = self.engine.request_of(job) if job else None
            models = self.engine.domain_models()
        except StudioError as error:
            return {self.ui.live: views.alert(str(error))}
        live = training_views.waiting()
        if isinstance(request, DomainTrainingRequest) and event:
            live = training_views.live(request, event, next((each for each in models if each.name == slug(request.name)), None))
        busy = event is not None and not isinstance(event, FINAL)
        now = {"live": live, "busy": busy, "choices": controls.domain_choices(models)}
        updates: Updates = {self.ui.seen: now, self.ui.job: job}
        if live != seen.get("live"):
            updates[self.ui.live] = live
        if busy != seen.get("busy"):
            updates |= self._buttons(busy)
        if seen and [tuple(each) for each in seen["choices"]] != now["choices"]:
            updates |= {dropdown: gr.Dropdown(now["choices"]) for dropdown in self.shown_in}
        return updates
