"""Text to video: controls on the left, the stage on the right. Handlers submit to the engine and look at it, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from pipelines.domain_models import DomainModel
from pipelines.pocket.captions import example_prompts, vocabulary

from ..engine import Engine
from ..examples import examples
from ..requests import TUNING
from . import ACTIONS_JS, controls, model_choice, stage_views, views
from .stage_desk import StageDesk, words_and_changes
from .stage_parts import Components, Updates, render_run_bar, render_stage

KIND = "text_to_video"
FORM = controls.Form(without=TUNING)


def render(
    tabs: gr.Tabs,
    chooser: gr.Dropdown,
    errand: gr.Textbox,
    model: str,
    domain_models: Sequence[DomainModel] = (),
    frame_limits: tuple[int, int] | None = None,
) -> Components:
    """Builds the tab's components, in reading order.

    Args:
        chooser: has the model that is asked for.
        errand: takes what another tab is to do.
        model: name of the studio's own.
        domain_models: that may be put over it.
        frame_limits: the fewest and the most frames it makes, if that is known.
    """
    with gr.Row(elem_classes="making"):
        with gr.Column(elem_classes="controls", scale=0, min_width=300):
            fields, parts = _render_controls(chooser, model, domain_models, frame_limits)
        with gr.Column(elem_classes="stage-side"):
            parts |= render_stage(welcome())
    return Components(
        tabs=tabs,
        fields=fields,
        **parts,
        draft=gr.BrowserState(None, storage_key="prior-studio-draft", secret="prior-studio"),
        last_job=gr.BrowserState(None, storage_key="prior-studio-job", secret="prior-studio"),
        errand=errand,
    )


def _render_controls(
    chooser: gr.Dropdown, model: str, domain_models: Sequence[DomainModel], frame_limits: tuple[int, int] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All fields in the request's order, and the other parts of the left side."""
    fields: dict[str, Any] = {"model": chooser}
    parts: dict[str, Any] = {}
    with gr.Column(elem_classes="scroll"):
        fields["prompt"] = FORM.prompt(example_prompts()[0])
        parts["unknown"] = gr.HTML("", elem_id="unknown", apply_default_css=False)
        words = views.vocabulary(vocabulary(), model)
        parts["words"] = gr.HTML(words, js_on_load=None, elem_id="vocabulary", apply_default_css=False)
        parts["about_model"] = gr.HTML("", elem_id="about-model", elem_classes="beneath", apply_default_css=False)
        fields["frames"] = FORM.slider("frames", limits=frame_limits)
        with gr.Row(elem_classes="seed-row"):
            fields["seed"] = FORM.number("seed")
            parts["seed_mode"] = controls.seed_mode()
        fields["steps"] = FORM.slider("steps")
        parts["changed"] = gr.HTML("", elem_id="changed", js_on_load=ACTIONS_JS, apply_default_css=False)
        gr.HTML("<h2>Advanced</h2>", apply_default_css=False)
        with gr.Accordion("Guidance", open=False):
            fields["guidance_scale"] = FORM.slider("guidance_scale", 0.1)
            fields["negative_prompt"] = FORM.text("negative_prompt", 2, "blue, at night")
        with gr.Accordion("Noise prior", open=False):
            fields["noise_kind"] = FORM.radio("noise_kind")
            fields["noise_alpha"] = FORM.number("noise_alpha", 0.5)
        with gr.Accordion("Domain model and prior", open=False):
            fields["domain_model"] = FORM.domain_model(domain_models)
            fields["prior_model"] = FORM.prior_model()
            fields["prior_strength"] = FORM.slider("prior_strength", 0.05)
            fields |= FORM.mixing()
        with gr.Accordion("LoRA", open=False):
            fields |= FORM.lora()
        with gr.Accordion("Sampler", open=False):
            fields["sampler"] = FORM.sampler()
        with gr.Accordion("Output", open=False):
            fields["fps"] = FORM.slider("fps")
            with gr.Row(elem_classes="size-row"):
                fields |= FORM.size()
            fields["variations"] = FORM.slider("variations")
    parts |= render_run_bar()
    return {name: fields[name] for name in FORM.names}, parts


def welcome() -> str:
    """The stage before the first run."""
    return stage_views.welcome(examples(), example_prompts())


def listen(ui: Components, engine: Engine, page: gr.Blocks) -> Desk:
    """Connects the tab."""
    desk = Desk(ui, engine)
    desk.connect(page)
    return desk


class Desk(StageDesk):
    """The tab's handlers. Each returns only what it changes."""

    kind = KIND

    def __init__(self, ui: Components, engine: Engine) -> None:
        super().__init__(ui, engine, FORM)
        self.actions["example"] = lambda a: self.fill(next(each.request for each in examples() if each.name == a["clip"]))

    @property
    def told(self) -> list[Any]:
        return [self.ui.unknown, self.ui.changed, self.ui.draft, self.ui.fields["sampler"]]

    def edited(self, *values: Any) -> Updates:
        """Unknown words, changed settings and the draft, after any change of the form."""
        given = dict(zip(self.ui.fields, values, strict=True))
        unknown, changed = words_and_changes(self, given)
        updates = {self.ui.unknown: unknown, self.ui.changed: changed, self.ui.draft: given}
        help = model_choice.sampler_help(self._chosen(given["model"] or ""), given["sampler"])
        return updates | {self.ui.fields["sampler"]: gr.Dropdown(info=help)}

    def welcome(self) -> str:
        return welcome()
