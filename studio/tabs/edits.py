"""Edit a tuned clip: the model and the edits on the left, the wall on the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import InvalidInput, StudioError
from pipelines.pocket.captions import unknown_words

from .. import tuning, wall
from ..choosing import Chosen
from ..comparison import WallState
from ..engine import Engine
from ..requests import RECONSTRUCTION, SOURCE, Request, TextToVideoRequest, edited, parse_request
from ..tuned_models import TunedRecord
from . import ACTIONS_JS, QUICK, Errand, axes, controls, model_choice, tuning_views, views
from .errands import video_request
from .stage_parts import IDLE_SECONDS
from .wall_desk import WallDesk

KIND = "edits"
FORM = controls.Form(prefix="edit", without=())
SETTINGS = ("guidance_scale", "structure", "base_strength", "steps", "seed", "negative_prompt")  # of the base, as they are
OF_MODEL = ("guidance_scale", "steps")  # whose usual values are those of the model that was tuned
LAST = "The last"
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Components:
    """The tab's parts. `form` has the settings by their names, and what is varied; `followed` is the model whose settings it has."""

    parts: gr.Tabs
    tabs: gr.Tabs
    form: dict[str, Any]
    about: gr.HTML
    unknown: gr.HTML
    grid: gr.Button
    title: gr.Textbox
    rename: gr.Button
    share: gr.Button
    delete: gr.HTML
    file: gr.File
    note: gr.HTML
    run: gr.Button
    stop: gr.Button
    another: gr.Button
    wall: gr.HTML
    under: gr.HTML
    models: gr.HTML
    shelf: gr.HTML
    download: gr.Textbox
    clock: gr.Timer
    job: gr.State
    seen: gr.State
    followed: gr.State
    errand: gr.Textbox


def render(parts: gr.Tabs, tabs: gr.Tabs, errand: gr.Textbox) -> Components:
    """Builds the tab's components, in reading order; `parts` are the tabs it is one of."""
    made: dict[str, Any] = {}
    with gr.Row(elem_classes="making parted"):
        with gr.Column(elem_classes="controls", scale=0, min_width=300):
            with gr.Column(elem_classes="scroll"):
                form, others = _render_controls()
            with gr.Column(elem_classes="run-bar"):
                made["note"] = gr.HTML("", elem_id="edit-note", apply_default_css=False)
                with gr.Row(elem_classes="run-row"):
                    made["run"] = gr.Button("Edit", variant="primary", elem_id="edit-run", elem_classes="run")
                    made["stop"] = gr.Button("Stop", variant="stop", elem_id="edit-stop", elem_classes="stop", visible=False)
                    made["another"] = gr.Button("Queue another", elem_id="edit-another", elem_classes="another", visible=False)
        with gr.Column(elem_classes="stage-side"):
            shown: dict[str, Any] = {"js_on_load": ACTIONS_JS, "apply_default_css": False}
            made["wall"] = wall.component("edits")
            made["under"] = gr.HTML("", elem_id="edits-under", **shown)
            made["models"] = gr.HTML("", elem_id="tuned-models", elem_classes="shelf", **shown)
            made["shelf"] = gr.HTML("", elem_id="edits-shelf", elem_classes="shelf", **shown)
            made["download"] = gr.Textbox(visible="hidden", label="Download", elem_id="edits-download")
    states = {"clock": gr.Timer(IDLE_SECONDS), "job": gr.State(None), "seen": gr.State({}), "followed": gr.State("")}
    return Components(parts, tabs, form, **others, **made, **states, errand=errand)


def _render_controls() -> tuple[dict[str, Any], dict[str, Any]]:
    """The form, and the other parts of the left side."""
    form: dict[str, Any] = {}
    others: dict[str, Any] = {}
    form["tuned_model"] = gr.Dropdown([], allow_custom_value=True, **FORM.common("tuned_model"))
    others["about"] = gr.HTML("", elem_id="edit-about", apply_default_css=False)
    edits = {"label": "Edits", "info": axes.EDITS_HELP, "elem_id": "edits-field", "elem_classes": "prompt-field"}
    form["edits"] = gr.Textbox(lines=3, max_lines=8, placeholder="skiing -> surfing\na robot is skiing", **edits)
    others["unknown"] = gr.HTML("", elem_id="edit-unknown", apply_default_css=False)
    form["guidance_scale"] = FORM.slider("guidance_scale", 0.1)
    form["structure"] = FORM.slider("structure", 0.05)
    form["tuned_steps"] = gr.Dropdown([(LAST, 0)], value=0, filterable=False, **FORM.common("tuned_steps"))
    form["base_strength"] = gr.Slider(0, 4, 0, step=0.05, buttons=["reset"], **FORM.common("base_strength"))
    others["grid"] = gr.Button("Grid of the first edit: checkpoints by guidance", size="sm", elem_id="edit-grid")
    with gr.Accordion("Down the rows", open=False):
        choices = [("Nothing", ""), *((axes.title(name), name) for name in axes.EDITS_ROWS)]
        info = "What varies from top to bottom."
        form["rows_field"] = gr.Dropdown(choices, value="", label="Rows", info=info, filterable=False, elem_id="edit-rows-field")
        form["rows"] = gr.Textbox("", label="Values of the rows", info=axes.LIST_HELP, visible=False, elem_id="edit-rows-values")
    with gr.Accordion("Advanced", open=False):
        form["steps"] = FORM.slider("steps")
        form["seed"] = FORM.number("seed")
        form["negative_prompt"] = FORM.text("negative_prompt", 2, "blue, at night")
    with gr.Accordion("Rename, share, delete", open=False):
        others["title"] = gr.Textbox(label="Name of the tuned model", max_lines=1, elem_id="edit-title")
        with gr.Row():
            others["rename"] = gr.Button("Rename", size="sm", elem_id="edit-rename")
            others["share"] = gr.Button("Download", size="sm", elem_id="edit-share")
        others["delete"] = gr.HTML("", elem_id="edit-delete", js_on_load=ACTIONS_JS, apply_default_css=False)
        others["file"] = gr.File(
            label="Add the file of a tuned model", file_types=[".safetensors"], height=72, elem_id="edit-file", elem_classes="drop"
        )
    return form, others


def listen(ui: Components, engine: Engine, page: gr.Blocks) -> Edits:
    """Connects the tab."""
    edits = Edits(ui, engine)
    values, view, everything = list(ui.form.values()), [ui.job, ui.seen], edits.outputs
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    for press in (ui.run, ui.another):
        press.click(edits.run, [*view, *values], everything, **pressed)
    ui.grid.click(edits.run_grid, [*view, *values], everything, **pressed)
    ui.stop.click(edits.stop, view, everything, **pressed)
    ui.clock.tick(edits.look, view, edits.shown, **pressed)
    ui.wall.click(edits.in_wall, view, everything, **pressed)
    for html in (ui.under, ui.shelf, ui.models):
        html.click(edits.act, view, everything, **pressed)
    ui.form["rows_field"].input(edits.usual_rows, [ui.form["rows_field"], ui.form["tuned_model"]], [ui.form["rows"]], **QUICK)
    told = [ui.about, ui.title, ui.delete, ui.form["tuned_steps"], ui.run, ui.another, ui.grid, ui.unknown, ui.followed]
    asked = [ui.form[name] for name in ("tuned_model", "tuned_steps", "edits")]
    ui.form["tuned_model"].change(edits.chosen, [*asked, ui.followed], [*told, *(ui.form[name] for name in OF_MODEL)], **QUICK)
    typed = [ui.form["edits"], ui.form["tuned_model"]]
    ui.form["edits"].change(edits.typed, typed, [ui.unknown], trigger_mode="always_last", **QUICK)
    ui.rename.click(edits.renamed, [*view, ui.form["tuned_model"], ui.title], everything, **pressed)
    ui.share.click(edits.shared, [*view, ui.form["tuned_model"]], everything, **pressed)
    ui.delete.click(edits.deleted, [*view, ui.form["tuned_model"]], everything, **pressed)
    ui.file.upload(edits.added, [*view, ui.file], everything, **QUICK)
    ui.download.change(None, [ui.download], None, js="(url) => { window.priorStudio.download(url); }", api_visibility="private")
    ui.errand.change(edits.asked, [ui.errand, *view], everything, **QUICK)
    page.load(edits.opened, view, everything, **QUICK)
    return edits


class Edits(WallDesk):
    """The tab's handlers. Each returns only what it changes."""

    kind = KIND

    def __init__(self, ui: Components, engine: Engine) -> None:
        super().__init__(ui, engine)
        self.shown += [ui.models, ui.form["tuned_model"]]
        told = [ui.about, ui.title, ui.delete, ui.followed]
        self.outputs = list(dict.fromkeys([*self.outputs, *self.shown, ui.parts, ui.file, *told]))
        self._actions |= {"use": lambda a: self.fill(self.engine.wall(a["job"])), "choose": lambda a: self.choose(a["clip"])}

    def welcome(self) -> str:
        return tuning_views.edits_welcome(next(iter(self.engine.tuned_models), None))

    # -- What a person does -----------------------------------------------------------------------------------------------

    def run(self, job: str | None, seen: dict[str, Any], *values: Any) -> Updates:
        """The clip, its reconstruction and every edit, side by side."""
        return self.submit(lambda: self._wall(dict(zip(self.ui.form, values, strict=True))), job, seen)

    def run_grid(self, job: str | None, seen: dict[str, Any], *values: Any) -> Updates:
        """The first edit at every checkpoint and several guidances."""
        return self.submit(lambda: self._grid(dict(zip(self.ui.form, values, strict=True))), job, seen)

    def _wall(self, given: dict[str, Any]) -> Request:
        record = self.engine.tuned_models.get(given["tuned_model"] or "")
        columns = {"field": "prompt", "values": [SOURCE, RECONSTRUCTION, *lines_of(given)]}
        request = {"kind": KIND, "base": self._base(given, record), "columns": columns}
        if field := given["rows_field"]:
            request["rows"] = {"field": field, "values": axes.parse(field, given["rows"] or "")}
        return parse_request(request)

    def _grid(self, given: dict[str, Any]) -> Request:
        record = self.engine.tuned_models.get(given["tuned_model"] or "")
        base = self._base(given, record) | {"prompt": edited(record.caption, lines_of(given)[0]), "tuned_steps": 0}
        columns = {"field": "guidance_scale", "values": axes.parse("guidance_scale", axes.usual("guidance_scale", ()))}
        rows = {"field": "tuned_steps", "values": list(record.checkpoints)}
        return parse_request({"kind": KIND, "base": base, "columns": columns, "rows": rows})

    def _base(self, given: dict[str, Any], record: TunedRecord) -> dict[str, Any]:
        base = self.engine.bench.bases.of(record)
        played = {"prompt": record.caption, "frames": record.frames, "fps": record.fps, "tuned_model": record.name, "model": base.name}
        noise = {"noise_kind": base.defaults.noise_kind, "noise_alpha": base.defaults.noise_alpha}
        return {name: given[name] for name in SETTINGS} | {"tuned_steps": given["tuned_steps"] or 0} | played | noise

    def usual_rows(self, field: str, name: str) -> Any:
        """Another setting is varied down the rows: its usual values."""
        record = self.engine.tuned_models.find(name or "")
        steps = ", ".join(map(str, record.checkpoints)) if record else ""
        return gr.Textbox(steps if field == "tuned_steps" else axes.usual(field, ()), visible=bool(field))

    def chosen(self, name: str, steps: int, edits: str, followed: str) -> Updates:
        """Another tuned model: its caption, name and checkpoints, and the model that it belongs to, whose settings come with it."""
        record = self.engine.tuned_models.find(name or "")
        base, why = self._base_of(record)
        updates = self._of_record(record, steps) | {self.ui.unknown: self._unknown(edits, base)}
        updates |= dict.fromkeys((self.ui.run, self.ui.another, self.ui.grid), gr.Button(interactive=not why))
        # Where it is followed already, the form came with its settings, or has them.
        return updates | (self._usual_of(base) if base and str(base.path) != followed else {})

    def _usual_of(self, base: Chosen) -> Updates:
        usual = model_choice.defaults_of(FORM, base)
        return {self.ui.followed: str(base.path)} | {self.ui.form[name]: usual[name] for name in OF_MODEL}

    def _of_record(self, record: TunedRecord | None, steps: int = 0) -> Updates:
        """What is said of a tuned model; with it wherever it is chosen, for a field that is not on the page yet tells no change."""
        base, why = self._base_of(record)
        choices = [(LAST, 0), *((f"{each}", each) for each in (record.checkpoints if record else ()))]
        kept = steps if steps in [value for _, value in choices] else 0
        return {
            self.ui.about: tuning_views.about(record, base.title if base else "", why),
            self.ui.title: record.title if record else "",
            self.ui.delete: tuning_views.delete(record),
            self.ui.form["tuned_steps"]: gr.Dropdown(choices, value=kept),
        }

    def _base_of(self, record: TunedRecord | None) -> tuple[Chosen | None, str]:
        """(the model that it was tuned on, why that cannot be used now)."""
        try:
            return (self.engine.bench.bases.of(record), "") if record else (None, "")
        except StudioError as error:
            return None, str(error)

    def typed(self, text: str, name: str) -> str:
        """Names the words that the model does not know; those before an arrow are the caption's."""
        return self._unknown(text, self._base_of(self.engine.tuned_models.find(name or ""))[0])

    def _unknown(self, text: str, base: Chosen | None) -> str:
        if base is None or not tuning.usual(base.path).known:
            return ""
        after = " ".join(line.partition("->")[2] or line for line in (text or "").splitlines())
        return views.unknown_words(unknown_words(after), base.title)

    def choose(self, name: str) -> Updates:
        """A tuned model into the form, and the edit that was tried while it learned."""
        record = self.engine.tuned_models.get(name)
        edits = {self.ui.form["edits"]: record.edit} if record.edit else {}
        base, _ = self._base_of(record)
        edits |= self._of_record(record) | (self._usual_of(base) if base else {})
        return {self.ui.form["tuned_model"]: gr.Dropdown(self._choices(), value=name), self.ui.note: ""} | edits

    # -- Tuned models -------------------------------------------------------------------------------------------------------

    def renamed(self, job: str | None, seen: dict[str, Any], name: str, title: str) -> Updates:
        def rename() -> Updates:
            self.engine.tuned_models.rename(name or "", title or "")
            return {self.ui.form["tuned_model"]: gr.Dropdown(self._choices(), value=name), self.ui.note: ""}

        return self._careful(rename, job, seen)

    def shared(self, job: str | None, seen: dict[str, Any], name: str) -> Updates:
        """One file with the model and its clip, to be downloaded."""
        folder = self.engine.settings.data_dir / "shared"
        return self._careful(
            lambda: {self.ui.download: views.file_url(self.engine.tuned_models.export(name or "", folder)), self.ui.note: ""}, job, seen
        )

    def deleted(self, job: str | None, seen: dict[str, Any], name: str) -> Updates:
        def delete() -> Updates:
            self.engine.delete_tuned_model(name or "")
            left = next(iter(self.engine.tuned_models), None)
            return {self.ui.form["tuned_model"]: gr.Dropdown(self._choices(), value=left.name if left else None), self.ui.note: ""}

        return self._careful(delete, job, seen)

    def added(self, job: str | None, seen: dict[str, Any], file: str | None) -> Updates:
        """The file of a tuned model joins the others."""
        if file is None:
            return gr.skip()

        def add() -> Updates:
            return self.choose(self.engine.add_tuned_model(file).name)

        return self._careful(add, job, seen) | {self.ui.file: None}

    # -- From elsewhere -------------------------------------------------------------------------------------------------------

    def asked(self, text: str, job: str | None, seen: dict[str, Any]) -> Updates:
        """Another tab shows a wall of edits, or has a model or an edit to go on with."""
        errand = Errand.from_text(text)
        here = {self.ui.parts: gr.Tabs(selected="edit")}
        if errand and errand.what == KIND:
            return self._careful(lambda: here | {self.ui.job: errand.id}, job, seen)
        if errand and errand.what == "edit-with":
            return self._careful(lambda: here | self.choose(errand.id), job, seen)
        if errand and errand.what == "edit":
            return self._careful(lambda: here | self.fill_edit(video_request(self.engine, errand.id)), job, seen)
        return gr.skip()

    def opened(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """A page that is loaded again finds the wall that is made now or was made last, and its settings."""
        last = self.engine.active_job(KIND) or next(iter(self.engine.recent_jobs(KIND)), None)
        newest = next(iter(self.engine.tuned_models), None)
        chosen = self.fill(self.engine.wall(last)) if last else self.choose(newest.name) if newest else {}
        return self._and_look(chosen | {self.ui.job: last}, None, {})

    def fill(self, state: WallState) -> Updates:
        """The form as it was when a wall was asked for."""
        request = state.request
        typed = axes.as_text(request.columns)[0] if request.columns.field == "prompt" else request.base.prompt
        lines = [line for line in typed.splitlines() if line not in (SOURCE, RECONSTRUCTION)]
        rows = request.rows if request.rows and request.columns.field == "prompt" else None
        return self.fill_edit(request.base) | {
            self.ui.form["edits"]: "\n".join(lines),
            self.ui.form["rows_field"]: rows.field if rows else "",
            self.ui.form["rows"]: gr.Textbox(axes.as_text(rows)[0] if rows else "", visible=rows is not None),
        }

    def fill_edit(self, request: TextToVideoRequest) -> Updates:
        """The form with the settings of one edit."""
        form = self.ui.form
        record = self.engine.tuned_models.find(request.tuned_model)
        steps = [(LAST, 0), *((str(each), each) for each in (record.checkpoints if record else (request.tuned_steps,)) if each)]
        base, _ = self._base_of(record)
        return self._of_record(record, request.tuned_steps) | {
            self.ui.followed: str(base.path) if base else "",
            **{form[name]: getattr(request, name) for name in SETTINGS},
            form["tuned_model"]: gr.Dropdown(self._choices(), value=request.tuned_model),
            form["tuned_steps"]: gr.Dropdown(steps, value=request.tuned_steps),
            form["edits"]: request.prompt,
            self.ui.note: "",
        }

    # -- Looking ------------------------------------------------------------------------------------------------------------

    def look(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """As every wall; and the tuned models, whenever there are others."""
        updates = super().look(job, seen)
        now = updates.get(self.ui.seen)
        if now is None:
            return updates
        now |= {"models": self._models(), "choices": [list(each) for each in self._choices()]}
        if now["models"] != seen.get("models"):
            updates[self.ui.models] = now["models"]
        if now["choices"] != seen.get("choices") and self.ui.form["tuned_model"] not in updates:
            updates[self.ui.form["tuned_model"]] = gr.Dropdown(self._choices())
        return updates

    def _and_look(self, updates: Updates, job: str | None, seen: dict[str, Any]) -> Updates:
        looked = self.look(updates.get(self.ui.job, job), seen)
        return looked | updates

    def _models(self) -> str:
        try:
            bases = self.engine.bench.bases
        except StudioError as error:
            return views.alert(str(error))
        return tuning_views.models((record, *bases.told(record)) for record in self.engine.tuned_models)

    def _choices(self) -> list[tuple[str, str]]:
        return [(record.title, record.name) for record in self.engine.tuned_models]


def lines_of(given: dict[str, Any]) -> list[str]:
    """The edits as they were typed.

    Raises:
        InvalidInput: when there are none.
    """
    lines = [line.strip() for line in (given["edits"] or "").splitlines() if line.strip()]
    if not lines:
        raise InvalidInput("No edit was given.", "Say what should be different, one edit a line.")
    return lines
