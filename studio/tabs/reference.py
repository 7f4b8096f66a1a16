"""Reference image: a picture sets the look, the model brings it to life. Controls on the left; the chain and the stage on the right."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.finishers import has_finisher
from pipelines.pocket.captions import example_prompts, vocabulary

from ..engine import Engine
from ..events import Event, StageStep
from ..examples import examples
from ..reference_requests import Finishing
from ..requests import SEEDS, ReferenceRequest, parse_request
from . import ACTIONS_JS, Errand, chain_views, controls, finishing, model_choice, pictures, stage_views, views
from .facts import WAYS
from .stage_desk import StageDesk, words_and_changes
from .stage_parts import Components, Focus, Updates, render_run_bar, render_stage

KIND = "reference"
PREFIX = "reference"
OWN_CLIPS = 8  # of the history, that are offered as pictures
MOST_MORE = 112  # frames, on the slider of "longer"
MORE_FRAMES = 16  # by which a clip goes on, where nothing else was asked for
DRAWN = "Drawn from the prompt. Or drop a picture, or take a frame of a clip."


@dataclass(frozen=True)
class ReferenceComponents(Components):
    """A tab with a stage, and the chain over it."""

    form: controls.Form
    picture: pictures.Slot
    last_picture: pictures.Slot
    picture_row: gr.Row
    picture_mode: gr.Radio
    outcome: gr.HTML
    links: dict[str, gr.HTML]


def render(
    memory: tuple[gr.BrowserState, gr.BrowserState],
    tabs: gr.Tabs,
    chooser: gr.Dropdown,
    errand: gr.Textbox,
    model: Path,
    frame_limits: tuple[int, int] | None,
) -> ReferenceComponents:
    """Builds the tab's components, in reading order; see `text_to_video.render`.

    Args:
        memory: the form as it was left, and the last job; from `controls.form_memory`.
        model: folder of the studio's own.
    """
    way = "learned" if has_finisher(model, "flow") else "optical"
    form = controls.Form(ReferenceRequest, PREFIX, without=(), defaults={"smoother_way": way})
    with gr.Row(elem_classes="making"):
        with gr.Column(elem_classes="controls", scale=0, min_width=300):
            fields, parts = _render_controls(form, chooser, model, frame_limits)
        with gr.Column(elem_classes="stage-side chained"):
            with gr.Row(elem_classes="chain"):
                links = {name: _render_link(name) for name in chain_views.PLACES}
            parts |= render_stage(welcome(), f"{PREFIX}-")
    draft, last_job = memory
    return ReferenceComponents(tabs=tabs, fields=fields, **parts, draft=draft, last_job=last_job, errand=errand, form=form, links=links)


def _render_link(name: str) -> gr.HTML:
    return gr.HTML(
        chain_views.idle(name), elem_id=f"link-{name}", elem_classes="link-place", js_on_load=ACTIONS_JS, apply_default_css=False
    )


def _render_controls(
    form: controls.Form, chooser: gr.Dropdown, model: Path, frame_limits: tuple[int, int] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All fields in the request's order, and the other parts of the left side."""
    fields: dict[str, Any] = {"model": chooser}
    parts: dict[str, Any] = {}
    with gr.Column(elem_classes="scroll"):
        fields["prompt"] = form.prompt(example_prompts()[0], f"{PREFIX}-prompt")
        parts["unknown"] = gr.HTML("", elem_id=f"{PREFIX}-unknown", elem_classes="beneath", apply_default_css=False)
        words = views.vocabulary(vocabulary(), model.name)
        parts["words"] = gr.HTML(words, js_on_load=None, elem_id=f"{PREFIX}-vocabulary", elem_classes="beneath", apply_default_css=False)
        parts["about_model"] = gr.HTML("", elem_id=f"{PREFIX}-about-model", elem_classes="beneath", apply_default_css=False)
        gr.HTML("<h2>Reference image</h2>", apply_default_css=False)
        parts["picture"] = pictures.render(f"{PREFIX}-picture", "Reference image", pictures.nothing(DRAWN))
        with gr.Row(elem_classes="seed-row") as parts["picture_row"]:
            fields["picture_seed"] = form.number("picture_seed")
            parts["picture_mode"] = controls.seed_mode(f"{PREFIX}-picture-mode", "keep")
        fields["reference_strength"] = form.slider("reference_strength", 0.05)
        with gr.Accordion("Last picture", open=False):
            nothing = pictures.nothing("Without one, the motion goes where it goes.")
            parts["last_picture"] = pictures.render(f"{PREFIX}-last", "Last picture", nothing)
        fields |= {name: parts[name].source for name in ("picture", "last_picture")}
        fewest, most = frame_limits or (2, form.schema["frames"]["maximum"])
        fields["frames"] = form.slider("frames", limits=(max(2, fewest), most))
        with gr.Row(elem_classes="seed-row"):
            fields["seed"] = form.number("seed")
            parts["seed_mode"] = controls.seed_mode(f"{PREFIX}-seed-mode")
        fields["steps"] = form.slider("steps")
        parts["changed"] = gr.HTML("", elem_id=f"{PREFIX}-changed", js_on_load=ACTIONS_JS, apply_default_css=False)
        fields |= _render_finishing(form, finishing.lacking(model), model)
        parts["outcome"] = gr.HTML("", elem_id=f"{PREFIX}-outcome", apply_default_css=False)
        fields |= _render_advanced(form)
    parts |= render_run_bar(f"{PREFIX}-")
    return {name: fields[name] for name in form.names}, parts


def _render_finishing(form: controls.Form, lacking: Any, model: Path) -> dict[str, Any]:
    """What is done once the motion is there; what the model cannot do is greyed out and says why."""
    gr.HTML("<h2>Finishing</h2>", apply_default_css=False)
    fields: dict[str, Any] = {
        "longer": form.slider("longer", limits=(0, MOST_MORE)),
        "smoother": form.radio("smoother", {1: "As it is", 2: "x2", 4: "x4", 8: "x8"}),
        "smoother_way": form.radio("smoother_way", {way: words.capitalize() for way, words in WAYS.items()}),
        "steadier": form.checkbox("steadier"),
        "sharper": form.checkbox("sharper"),
    }
    for name in ("longer", "steadier", "sharper"):
        if name in lacking:
            fields[name].interactive, fields[name].info = False, lacking[name]
    if not has_finisher(model, "flow"):
        fields["smoother_way"].info += f" {finishing.without(model, 'flow')}"
    return fields


def _render_advanced(form: controls.Form) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    gr.HTML("<h2>Advanced</h2>", apply_default_css=False)
    with gr.Accordion("Guidance", open=False):
        fields["guidance_scale"] = form.slider("guidance_scale", 0.1)
        fields["negative_prompt"] = form.text("negative_prompt", 2, "blue, at night")
    with gr.Accordion("Noise prior", open=False):
        fields["noise_kind"] = form.radio("noise_kind")
        fields["noise_alpha"] = form.number("noise_alpha", 0.5)
    with gr.Accordion("LoRA", open=False):
        fields |= form.lora()
    with gr.Accordion("Sampler", open=False):
        fields["sampler"] = form.sampler()
    with gr.Accordion("Output", open=False):
        fields["fps"] = form.slider("fps")
        with gr.Row(elem_classes="size-row"):
            fields |= form.size()
    return fields


def welcome() -> str:
    """The stage before the first run."""
    lead = (
        "A picture sets the look, and the model brings it to life: drawn from the prompt, dropped, or a frame of any clip. "
        "Every stage above can be made again, left out or taken in later; what is before it is kept. Click a clip to load its prompt."
    )
    return stage_views.opening(lead, map(stage_views.example_card, examples()))


def listen(ui: ReferenceComponents, engine: Engine, page: gr.Blocks) -> Desk:
    """Connects the tab."""
    desk = Desk(ui, engine)
    desk.connect(page)
    for slot in (ui.picture, ui.last_picture):
        pictures.listen(slot, engine, ui.fields["model"])
    return desk


class Desk(StageDesk):
    """The tab's handlers. Each returns only what it changes."""

    kind = KIND
    ui: ReferenceComponents

    def __init__(self, ui: ReferenceComponents, engine: Engine) -> None:
        super().__init__(ui, engine, ui.form)
        self.modes["picture_seed"] = ui.picture_mode
        self.clicked += ui.links.values()
        self.drawn |= {f"link-{name}": html for name, html in ui.links.items()}
        self.drawn |= {"picks": ui.picture.picks, "last-picks": ui.last_picture.picks}
        self.actions |= {
            "example": lambda a: {ui.fields["prompt"]: next(each.request.prompt for each in examples() if each.name == a["clip"])},
            "stage": lambda a: {ui.focus: Focus(job=a["job"], stage=a.get("clip") or None)},
            "stage-frame": lambda a: self._frame_taken(a["job"], *a["clip"].split("#")),
            "as-reference": lambda a: self._taken(a["clip"]),
            "again": lambda a: self._steered(a["job"], {a["clip"]: secrets.randbelow(SEEDS)}),
            "leave-out": lambda a: self._steered(a["job"], self._changes(a["clip"], False)),
            "take-in": lambda a: self._steered(a["job"], self._changes(a["clip"], True)),
        }

    # -- The form -----------------------------------------------------------------------------------------------------------

    @property
    def told(self) -> list[Any]:
        ui = self.ui
        return [ui.unknown, ui.changed, ui.draft, ui.outcome, ui.picture_row, *(ui.fields[name] for name in ("sampler", "smoother_way"))]

    def edited(self, *values: Any) -> Updates:
        """Unknown words, changed settings, what will come of it, and the draft, after any change of the form."""
        given, fields = dict(zip(self.ui.fields, values, strict=True)), self.ui.fields
        unknown, changed = words_and_changes(self, given)
        updates = {
            self.ui.unknown: unknown,
            self.ui.changed: changed,
            self.ui.draft: given,
            self.ui.outcome: self._outcome(given),
            self.ui.picture_row: gr.Row(visible=not given["picture"]),
            fields["smoother_way"]: gr.Radio(visible=given["smoother"] > 1),
        }
        help = model_choice.sampler_help(self._chosen(given["model"] or ""), given["sampler"])
        return updates | {fields["sampler"]: gr.Dropdown(info=help)}

    def _outcome(self, given: dict[str, Any]) -> str:
        """How long and large the clip will be."""
        chosen = self._chosen(given["model"] or "") or self.engine.chosen()
        width, height = chosen.size(given["width"] or 0, given["height"] or 0)
        asked = Finishing.model_construct(**given)
        frames = (given["frames"] + asked.longer - 1) * asked.smoother + 1
        fps, factor = given["fps"] * asked.smoother, 2 if asked.sharper else 1
        size = f"{factor * width} by {factor * height}"
        return f'<p class="hint">Gives {views.plural(frames, "frame")} at {fps:g} a second ({frames / fps:.1f} s), {size}.</p>'

    def welcome(self) -> str:
        return welcome()

    # -- The chain ----------------------------------------------------------------------------------------------------------

    def beside(self, focus: Focus, event: Event | None) -> dict[str, str]:
        """The chain's cards, and the clips that frames can be taken of."""
        picks = views.takeable(self.engine.history.clips(limit=OWN_CLIPS))
        chain = self._chain(focus, event)
        cards = {f"link-{name}": chain_views.card(chain, name) if chain else chain_views.idle(name) for name in chain_views.PLACES}
        return cards | {"picks": picks, "last-picks": picks}

    def _chain(self, focus: Focus, event: Event | None) -> chain_views.Chain | None:
        """Of the job that is shown, or that made the clip that is shown."""
        job_id = focus.job or (self.engine.history.get(focus.clip).job_id if focus.clip else None)
        event = event or self._status(job_id)
        if job_id is None or event is None:
            return None
        request = self.engine.request_of(job_id)
        if not isinstance(request, Finishing):
            return None
        made = event.stages if isinstance(event, StageStep) else self.engine.stages(job_id)
        lacking = finishing.lacking(self.engine.settings.model_dir)
        return chain_views.Chain(job_id, request, event, {each.name: each for each in made}, focus.stage or "", lacking)

    def _stage(self, focus: Focus, event: Event | None, preview: tuple[str, str]) -> str:
        """As any stage; or what one stage of the chain made."""
        chain = self._chain(focus, event) if focus.stage else None
        made = chain.made.get(chain.chosen) if chain else None
        if chain is None or made is None or (chain.over and made.name == chain.wanted[-1]):
            return super()._stage(focus, event, preview)
        return chain_views.hero(chain, made)

    def before(self, event: Event) -> str:
        """The newest stage that is there, until the next one shows something."""
        chain = self._chain(Focus(job=event.job_id), event)
        if chain is None or not chain.last:
            return stage_views.BLANK
        return stage_views.preview(chain.made[chain.last].preview)

    def _steered(self, job_id: str, changes: dict[str, Any]) -> Updates:
        """The same job with something changed: what comes before that is kept from before. The form follows."""
        request = self.engine.request_of(job_id)
        updates = self._submitted(self.engine.submit(parse_request(request.model_dump() | changes)))
        if request.kind == KIND:
            updates |= {self.ui.fields[name]: value for name, value in changes.items()}
        return updates

    def _changes(self, name: str, taken: bool) -> dict[str, Any]:
        return chain_views.changes(name, taken, MORE_FRAMES, self.form.defaults["smoother_way"])

    # -- Pictures -----------------------------------------------------------------------------------------------------------

    def _errand(self, errand: Errand) -> Updates:
        return self._taken(errand.id) if errand.what == "as-reference" else super()._errand(errand)

    def _taken(self, clip_id: str) -> Updates:
        """The first frame of a clip as the reference; another can be chosen in its place. Its prompt comes along."""
        prompt = self.engine.history.get(clip_id).prompt
        return {self.ui.fields["picture"]: pictures.first_frame(clip_id)} | ({self.ui.fields["prompt"]: prompt} if prompt else {})

    def _frame_taken(self, job_id: str, stage: str, frame: str) -> Updates:
        return {self.ui.fields["picture"]: self.engine.stage_frame(job_id, stage, int(frame))}
