"""Prior strength: what is compared on the left, the wall on the right. Handlers submit to the engine and look at it, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.domain_models import DomainModel
from pipelines.pocket.captions import unknown_words, vocabulary

from .. import wall
from ..comparison import WallState
from ..engine import Engine
from ..requests import MIXING, TUNING, TextToVideoRequest, parse_request
from . import ACTIONS_JS, QUICK, Errand, axes, controls, domain_training, example_walls, lora_choice, model_choice, views, wall_views
from .errands import video_request
from .model_choice import FollowsModel
from .stage_parts import IDLE_SECONDS
from .wall_desk import WallDesk

KIND = "comparison"
PREFIX = "wall"
FORM = controls.Form(prefix=PREFIX, without=(*TUNING, "variations"))  # each cell is one video
SHARED = FORM.names
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Components:
    """The tab's parts. `form` has the shared settings by their names, and what is varied."""

    tabs: gr.Tabs
    form: dict[str, Any]
    about: gr.HTML
    words: gr.HTML
    about_model: gr.HTML
    unknown: gr.HTML
    note: gr.HTML
    changed: gr.HTML
    run: gr.Button
    stop: gr.Button
    another: gr.Button
    wall: gr.HTML
    under: gr.HTML
    shelf: gr.HTML
    download: gr.Textbox
    training: domain_training.Components
    clock: gr.Timer
    job: gr.State
    seen: gr.State
    followed: gr.State
    worn: gr.State
    draft: gr.BrowserState
    errand: gr.Textbox


def render(
    draft: gr.BrowserState,
    tabs: gr.Tabs,
    chooser: gr.Dropdown,
    errand: gr.Textbox,
    model: str,
    domain_models: Sequence[DomainModel] = (),
    frame_limits: tuple[int, int] | None = None,
) -> Components:
    """Builds the tab's components, in reading order; see `text_to_video.render`. The draft is `controls.form_memory`'s."""
    with gr.Row(elem_classes="making"):
        with gr.Column(elem_classes="controls", scale=0, min_width=300):
            form, parts = _render_controls(chooser, model, domain_models, frame_limits)
        with gr.Column(elem_classes="stage-side"):
            parts["wall"] = wall.component("wall")
            parts["under"] = gr.HTML(
                wall_views.welcome(domain_models), elem_id="wall-under", js_on_load=ACTIONS_JS, apply_default_css=False
            )
            parts["shelf"] = gr.HTML("", elem_id="wall-shelf", elem_classes="shelf", js_on_load=ACTIONS_JS, apply_default_css=False)
            parts["download"] = gr.Textbox(visible="hidden", label="Download", elem_id="wall-download")
            parts["training"] = domain_training.render()
    return Components(
        tabs=tabs,
        form=form,
        **parts,
        clock=gr.Timer(IDLE_SECONDS),
        job=gr.State(None),
        seen=gr.State({}),
        followed=gr.State(""),
        worn=gr.State(lora_choice.worn({})),
        draft=draft,
        errand=errand,
    )


def _render_controls(
    chooser: gr.Dropdown, model: str, domain_models: Sequence[DomainModel], frame_limits: tuple[int, int] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The form, and the other parts of the left side."""
    form: dict[str, Any] = {"model": chooser}
    parts: dict[str, Any] = {}
    first = domain_models[0].name if domain_models else ""
    with gr.Column(elem_classes="scroll"):
        form["prompt"] = FORM.prompt("a big red star moving right over green hills", "wall-prompt")
        parts["unknown"] = gr.HTML("", elem_id="wall-unknown", apply_default_css=False)
        words = views.vocabulary(vocabulary(), model)
        parts["words"] = gr.HTML(words, js_on_load=None, elem_id="wall-vocabulary", apply_default_css=False)
        parts["about_model"] = gr.HTML("", elem_id="wall-about-model", apply_default_css=False)
        form["domain_model"] = FORM.domain_model(domain_models, first)
        form["prior_model"] = FORM.prior_model()
        parts["about"] = gr.HTML(wall_views.about(domain_models[0] if first else None), elem_id="about", apply_default_css=False)
        form |= _render_axes("prior_strength" if first else "seed", [each.name for each in domain_models])
        form["frames"] = FORM.slider("frames", limits=frame_limits)
        form["seed"] = FORM.number("seed")
        form["steps"] = FORM.slider("steps")
        parts["changed"] = gr.HTML("", elem_id="wall-changed", js_on_load=ACTIONS_JS, apply_default_css=False)
        gr.HTML("<h2>Advanced</h2>", apply_default_css=False)
        form |= _render_advanced()
    with gr.Column(elem_classes="run-bar"):
        parts["note"] = gr.HTML("", elem_id="wall-note", apply_default_css=False)
        with gr.Row(elem_classes="run-row"):
            parts["run"] = gr.Button("Compare", variant="primary", elem_id="wall-run", elem_classes="run")
            parts["stop"] = gr.Button("Stop", variant="stop", elem_id="wall-stop", elem_classes="stop", visible=False)
            parts["another"] = gr.Button("Queue another", elem_id="wall-another", elem_classes="another", visible=False)
    extra = [name for name in form if name not in SHARED]
    return {name: form[name] for name in (*SHARED, *extra)}, parts


def _render_axes(field: str, domain_models: Sequence[str]) -> dict[str, Any]:
    """What varies along the columns, and down the rows."""
    strengths = field == "prior_strength"
    with gr.Column(elem_classes="axes"):
        form = controls.axis("columns", "What varies from left to right.", axes.choices(), field, axes.usual(field, domain_models))
        form["ends"] = gr.CheckboxGroup(list(axes.ENDS), value=list(axes.ENDS), label="Ends", elem_id="ends", visible=strengths)
        form |= controls.axis("rows", "What varies from top to bottom.", [("Nothing", ""), *axes.choices()], "", "")
        form["blind"] = gr.Checkbox(False, label="Blind", info="Shuffled and unlabelled until you pick a favourite.", elem_id="blind")
    return form


def _render_advanced() -> dict[str, Any]:
    form: dict[str, Any] = {}
    with gr.Accordion("Composition", open=False):
        form["prior_strength"] = FORM.slider("prior_strength", 0.05)
        form |= FORM.mixing()
    with gr.Accordion("Guidance", open=False):
        form["guidance_scale"] = FORM.slider("guidance_scale", 0.1)
        form["negative_prompt"] = FORM.text("negative_prompt", 2, "blue, at night")
    with gr.Accordion("Noise prior", open=False):
        form["noise_kind"] = FORM.radio("noise_kind")
        form["noise_alpha"] = FORM.number("noise_alpha", 0.5)
    with gr.Accordion("LoRA", open=False):
        form |= FORM.lora()
    with gr.Accordion("Sampler and output", open=False):
        form["sampler"] = FORM.sampler()
        form["fps"] = FORM.slider("fps")
        with gr.Row(elem_classes="size-row"):
            form |= FORM.size()
    return form


def listen(ui: Components, engine: Engine, page: gr.Blocks, choices: gr.Dropdown) -> Bench:
    """Connects the tab; `choices` of domain models in another tab get new ones, too."""
    bench = Bench(ui, engine)
    values, view = list(ui.form.values()), [ui.job, ui.seen]
    everything = bench.outputs
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    for press in (ui.run, ui.another):
        press.click(bench.run, [*view, *values], everything, **pressed)
    ui.stop.click(bench.stop, view, everything, **pressed)
    ui.clock.tick(bench.look, view, bench.shown, **pressed)
    ui.wall.click(bench.in_wall, view, everything, **pressed)
    for html in (ui.under, ui.shelf):
        html.click(bench.act, view, everything, **pressed)
    ui.changed.click(bench.reset, [ui.form["model"]], values, **pressed)
    switching = ui.form["model"].change(bench.switched, [ui.followed, ui.form["model"], *view], everything, **QUICK)
    switching.then(bench.edited, values, bench.told, **QUICK)
    for axis in ("columns", "rows"):
        ui.form[f"{axis}_field"].input(bench.usual, [ui.form[f"{axis}_field"]], [ui.form[axis]], **QUICK)
    compared = [ui.form[name] for name in ("columns_field", "columns", "domain_model")]
    ui.form["prior_model"].input(bench.prior_chosen, [ui.form["prior_model"]], compared, **QUICK)
    lora_choice.connect(bench)
    own = [field.change for name, field in ui.form.items() if name != "model"]
    gr.on(own, bench.edited, values, bench.told, trigger_mode="always_last", **QUICK)
    ui.download.change(None, [ui.download], None, js="(url) => { window.priorStudio.download(url); }", api_visibility="private")
    ui.errand.change(bench.errand, [ui.errand, *view], everything, **QUICK)
    page.load(bench.opened, [ui.draft, *view], everything, **QUICK)
    domain_training.listen(ui.training, engine, page, ui.errand, [ui.form["domain_model"], choices])
    return bench


def request_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The form as the values of a request."""
    base = {name: given[name] for name in SHARED} | {name: given[name] or "" for name in controls.CLEARED}
    values: dict[str, Any] = {"kind": KIND, "base": base, "blind": given["blind"]}
    for name in ("columns", "rows"):
        if field := given[f"{name}_field"]:
            values[name] = {"field": field, "values": axes.parse(field, given[name] or "", given["ends"])}
    return values


class Bench(FollowsModel, WallDesk):
    """The tab's handlers. Each returns only what it changes."""

    kind = KIND

    def __init__(self, ui: Components, engine: Engine) -> None:
        super().__init__(ui, engine)
        self.form, self.fields = FORM, ui.form
        self.outputs += [ui.followed, ui.worn, ui.words, ui.about_model]
        self.model = engine.settings.model_dir.name
        self.varied = [name for name in axes.AXES if name in SHARED and name not in ("prompt", "model")]
        self.told = [ui.unknown, ui.changed, ui.about, ui.draft, *(ui.form[name] for name in ("ends", "rows", "columns", *self.varied))]
        self._actions |= {
            "use": lambda a: self.fill_wall(self.engine.wall(a["job"])),
            "preset": lambda a: self.fill(example_walls.presets(self.engine.domain_models())[a["clip"]][1]),
        }

    def welcome(self) -> str:
        return wall_views.welcome(self.engine.domain_models())

    # -- What a person does -----------------------------------------------------------------------------------------------

    def run(self, job: str | None, seen: dict[str, Any], *values: Any) -> Updates:
        """Submits the form. An error is a sentence above the button, and nothing else changes."""
        return self.submit(lambda: parse_request(request_values(dict(zip(self.ui.form, values, strict=True)))), job, seen)

    def reset(self, model: str, event: gr.EventData) -> Updates:
        """Back to the defaults: one setting, or all that differ."""
        return FORM.reset(self.ui.form, event, self.defaults(model))

    def switched(self, followed: str, model: str | None, job: str | None, seen: dict[str, Any]) -> Updates:
        """Another model in the header: what it can do, its own settings, and what can be varied of it."""
        if (model or "") == followed:
            return {self.ui.followed: followed}
        return self._careful(lambda: self._varied(model or ""), job, seen)

    def _varied(self, model: str) -> Updates:
        chosen, first = self._chosen(model), next((each.name for each in self.engine.domain_models()), "")
        name = first if chosen and chosen.own else ""
        axis = {"domain_model": name, "columns_field": "prior_strength" if name else "seed", "rows_field": ""}
        return self.fill(axis) | self._following(model, {"domain_model": name})

    def usual(self, field: str) -> Any:
        """Another setting is varied: its usual values."""
        return gr.Textbox(self._usual(field) if field else "", visible=bool(field))

    def prior_chosen(self, name: str | None) -> Updates:
        """A prior is compared by its strengths, and domain models have another."""
        form = self.ui.form
        columns = {form["columns_field"]: "prior_strength", form["columns"]: gr.Textbox(self._usual("prior_strength"), visible=True)}
        return columns | {form["domain_model"]: ""} if name else {}

    def _usual(self, field: str) -> str:
        models = [name or self.model for _, name in model_choice.models_here(self.engine)]
        return axes.usual(field, [model.name for model in self.engine.domain_models()], models)

    def edited(self, *values: Any) -> Updates:
        """What follows from any change of the form: unknown words, what is shown, the draft."""
        given, form = dict(zip(self.ui.form, values, strict=True)), self.ui.form
        varied = {given["columns_field"], given["rows_field"]}
        model = next((each for each in self.engine.domain_models() if each.name == given["domain_model"]), None)
        differing = {
            n: v
            for n, v in FORM.differing(given, self.defaults(given["model"])).items()
            if n not in ("domain_model", "prior_model", *varied)
        }
        updates: Updates = {form[name]: gr.update(visible=name not in varied) for name in self.varied}
        help = {name: axes.EDITS_HELP if given[f"{name}_field"] == "prompt" else axes.LIST_HELP for name in ("columns", "rows")}
        return updates | {
            self.ui.unknown: "" if given["model"] else views.unknown_words(unknown_words(given["prompt"] or ""), self.model),
            self.ui.changed: views.changed(differing, FORM.titles, PREFIX),
            self.ui.about: wall_views.about(model),
            self.ui.draft: given,
            form["ends"]: gr.CheckboxGroup(axes.ends(bool(given["prior_model"])), visible="prior_strength" in varied),
            form["columns"]: gr.Textbox(info=help["columns"]),
            form["rows"]: gr.Textbox(visible=bool(given["rows_field"]), info=help["rows"]),
            form["sampler"]: gr.Dropdown(
                info=model_choice.sampler_help(self._chosen(given["model"] or ""), given["sampler"]), visible="sampler" not in varied
            ),
        }

    def opened(self, draft: dict[str, Any] | None, job: str | None, seen: dict[str, Any]) -> Updates:
        """A page that is loaded again finds its form, and the wall that is made now or was made last."""
        models = self.engine.domain_models()
        updates: Updates = {}
        chosen = (draft or {}).get("domain_model", models[0].name if models else "")
        if draft:
            updates = {self.ui.form[name]: draft[name] for name in self.ui.form if name in draft}
        updates |= self._following((draft or {}).get("model") or "", {**(draft or {}), "domain_model": chosen})
        last = self.engine.recent_jobs(KIND)
        return self._and_look(updates | {self.ui.job: self.engine.active_job(KIND) or (last[0] if last else None)}, None, {})

    def errand(self, text: str, job: str | None, seen: dict[str, Any]) -> Updates:
        """What another tab asks for: a clip's settings to compare, or a wall to look at."""
        errand = Errand.from_text(text)
        if errand and errand.what == "compare":
            return self._careful(lambda: self._compared(video_request(self.engine, errand.id)), job, seen)
        if errand and errand.what == KIND:
            return self._careful(lambda: {self.ui.job: errand.id}, job, seen)
        return gr.skip()

    # -- The form -----------------------------------------------------------------------------------------------------------

    def fill(self, values: dict[str, Any]) -> Updates:
        """Some settings into the form, and where an axis is among them its usual values, if there are none."""
        form = self.ui.form
        updates: Updates = {form[name]: value for name, value in values.items()}
        for axis in ("columns", "rows"):
            field = values.get(f"{axis}_field", "" if axis == "rows" else None)
            if field is not None:
                updates |= {
                    form[f"{axis}_field"]: field,
                    form[axis]: gr.Textbox(values.get(axis) or self._usual(field), visible=axis == "columns" or bool(field)),
                }
        return updates | {form["ends"]: gr.CheckboxGroup(list(axes.ENDS), value=list(axes.ENDS)), self.ui.note: ""}

    def fill_wall(self, state: WallState) -> Updates:
        """The form as it was when a wall was asked for."""
        request, form = state.request, self.ui.form
        base = {name: getattr(request.base, name) for name in SHARED}
        updates: Updates = {form[name]: value for name, value in base.items()} | self._following(request.base.model, base)
        ends: list[str] = []
        for name, axis in (("columns", request.columns), ("rows", request.rows)):
            text, own = axes.as_text(axis) if axis else ("", [])
            updates |= {form[f"{name}_field"]: axis.field if axis else "", form[name]: gr.Textbox(text, visible=axis is not None)}
            ends += own
        return updates | {form["ends"]: ends, form["blind"]: request.blind, self.ui.note: ""}

    def _compared(self, request: TextToVideoRequest) -> Updates:
        """A clip's settings, its strength varied; with a domain model if there is any to put over it."""
        models = [model.name for model in self.engine.domain_models()]
        name = request.domain_model or (models[0] if models and not request.model and not request.prior_model else "")
        values = {field: getattr(request, field) for field in SHARED if request.mixed or field not in MIXING}
        axis = {"domain_model": name, "columns_field": "prior_strength" if name or request.prior_model else "seed"}
        return self.fill(values | axis) | self._following(request.model, values | {"domain_model": name})
