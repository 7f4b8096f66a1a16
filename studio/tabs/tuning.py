"""Tune on a clip: the clip and its caption on the left; what the model will see, and what it learns, on the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.defaults import GenerationDefaults
from pipelines.errors import InvalidInput, StudioError
from pipelines.pocket.captions import unknown_words, vocabulary

from .. import bundled, source_clips, tuning
from ..engine import Engine
from ..events import FINAL
from ..fields import slug
from ..requests import TuningRequest, parse_request
from ..source_clips import ClipFacts
from . import ACTIONS_JS, QUICK, Errand, controls, model_choice, tuning_views, views
from .following import Following
from .sliders import Slider
from .stage_parts import IDLE_SECONDS

KIND = "one_shot_tuning"
FORM = controls.Form(TuningRequest, "tuning", without=())
TRIM = ("start", "stride", "frames", "fit", "width", "height")
TOLD = ("caption", "edit", "steps", "frames", "width", "height")
OWN_CLIPS = 8  # of the history, that are offered
Updates = dict[Any, Any]


@dataclass(frozen=True)
class ChosenClip:
    """The clip that will be tuned on, and a strip of its pictures."""

    path: str
    facts: ClipFacts
    strip: tuple[tuple[float, bytes], ...]


@dataclass(frozen=True)
class Components:
    """The tab's parts. `fields` are the request's."""

    parts: gr.Tabs
    file: gr.File
    picks: gr.HTML
    footage: gr.HTML
    unknown: gr.HTML
    words: gr.HTML
    fields: dict[str, Any]
    about_model: gr.HTML
    estimate: gr.HTML
    note: gr.HTML
    run: gr.Button
    stop: gr.Button
    trim: gr.HTML
    frames: gr.HTML
    live: gr.HTML
    clip: gr.State
    clock: gr.Timer
    job: gr.State
    seen: gr.State


def render(parts: gr.Tabs, model_dir: Path, limits: tuple[int, int] | None) -> Components:
    """Builds the tab's components, in reading order; `parts` are the tabs it is one of."""
    made: dict[str, Any] = {}
    with gr.Row(elem_classes="making parted"):
        with gr.Column(elem_classes="controls", scale=0, min_width=300):
            with gr.Column(elem_classes="scroll"):
                made |= _render_controls(model_dir, limits)
            with gr.Column(elem_classes="run-bar"):
                made["about_model"] = gr.HTML("", elem_id="tuning-about-model", apply_default_css=False)
                made["estimate"] = gr.HTML("", elem_id="tuning-estimate", apply_default_css=False)
                made["note"] = gr.HTML("", elem_id="tuning-note", apply_default_css=False)
                with gr.Row(elem_classes="run-row"):
                    made["run"] = gr.Button("Tune", variant="primary", elem_id="tune", elem_classes="run")
                    made["stop"] = gr.Button("Stop and keep", variant="stop", elem_id="tune-stop", elem_classes="stop", visible=False)
        with gr.Column(elem_classes="stage-side tuning-side"):
            shown: dict[str, Any] = {"js_on_load": ACTIONS_JS, "apply_default_css": False}
            made["trim"] = gr.HTML(tuning_views.welcome(), elem_id="trim", **shown)
            made["frames"] = gr.HTML("", elem_id="seen-frames", apply_default_css=False)
            made["live"] = gr.HTML("", elem_id="tuning-live", **shown)
    return Components(parts, **made, clip=gr.State(None), clock=gr.Timer(IDLE_SECONDS), job=gr.State(None), seen=gr.State({}))


def _render_controls(model_dir: Path, limits: tuple[int, int] | None) -> dict[str, Any]:
    """The form and what belongs to it, for the studio's own model."""
    model, own = model_dir.name, tuning.usual(model_dir)
    made: dict[str, Any] = {}
    made["file"] = gr.File(
        label="Drop a clip here", file_types=list(source_clips.SUFFIXES), height=72, elem_id="tuning-file", elem_classes="drop"
    )
    made["picks"] = gr.HTML(tuning_views.picks(()), elem_id="picks", js_on_load=ACTIONS_JS, apply_default_css=False)
    footage = tuning_views.real_footage(model)
    made["footage"] = gr.HTML(footage, visible=own.known, elem_id="real-footage", apply_default_css=False)
    fields: dict[str, Any] = {}
    fields["caption"] = gr.Textbox(
        lines=2, max_lines=6, placeholder="a man is skiing", **(FORM.common("caption") | {"elem_classes": "prompt-field"})
    )
    made["unknown"] = gr.HTML("", elem_id="tuning-unknown", apply_default_css=False)
    words = views.vocabulary(vocabulary(), model)
    made["words"] = gr.HTML(words, visible=own.known, js_on_load=None, elem_id="tuning-vocabulary", apply_default_css=False)
    fields["edit"] = gr.Textbox("", lines=1, max_lines=4, placeholder="a robot is skiing", **FORM.common("edit"))
    fields["name"] = gr.Textbox("", lines=1, max_lines=1, placeholder="From the caption", **FORM.common("name"))
    with gr.Accordion("Frames of the clip", open=True):
        fields["start"] = gr.Slider(0, 1, 0, step=0.05, buttons=["reset"], **FORM.common("start"))
        fields["stride"] = gr.Slider(1, 30, 1, step=1, buttons=["reset"], **FORM.common("stride"))
        least, most = limits or (FORM.schema["frames"]["minimum"], FORM.schema["frames"]["maximum"])
        fields["frames"] = Slider(max(2, least), most, min(16, most), step=1, buttons=["reset"], **FORM.common("frames"))
        fields["fit"] = gr.Radio(
            [("Cut", "crop"), ("Whole", "fit")], value="crop", **(FORM.common("fit") | {"elem_classes": "field segments"})
        )
    with gr.Accordion("Advanced", open=False):
        fields["steps"] = Slider(1, max(1000, own.steps), own.steps, step=1, buttons=["reset"], **FORM.common("steps"))
        fields["learning_rate"] = gr.Number(own.learning_rate, **FORM.common("learning_rate"))
        fields["rank"] = gr.Slider(0, 64, 0, step=1, buttons=["reset"], **FORM.common("rank"))
        fields["sparse_causal"] = gr.Checkbox(True, **FORM.common("sparse_causal"))
        fields["seed"] = gr.Number(0, precision=0, **FORM.common("seed"))
        with gr.Row(elem_classes="size-row"):
            for name in ("width", "height"):
                fields[name] = gr.Number(0, step=8, precision=0, min_width=100, **FORM.common(name))
    return made | {"fields": fields}


def listen(ui: Components, engine: Engine, page: gr.Blocks, errand: gr.Textbox, chooser: gr.Dropdown) -> Tuner:
    """Connects the tab; `errand` is what other tabs ask for, `chooser` has the model in the header."""
    tuner = Tuner(ui, engine, errand)
    view = [ui.job, ui.seen]
    pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
    values, sized = [chooser, *ui.fields.values()], [chooser, ui.fields["width"], ui.fields["height"]]
    told, trimmed = [chooser, *(ui.fields[name] for name in TOLD)], [ui.clip, chooser, *(ui.fields[name] for name in TRIM)]
    ui.file.upload(tuner.dropped, [ui.file, *sized], tuner.chosen, **QUICK)
    ui.picks.click(tuner.picked, sized, tuner.chosen, **pressed)
    ui.trim.click(tuner.started, None, [ui.fields["start"]], **pressed)
    gr.on(
        [ui.fields[name].change for name in TRIM],
        tuner.trimmed,
        trimmed,
        [ui.trim, ui.frames, ui.note],
        trigger_mode="always_last",
        **QUICK,
    )
    about = [ui.unknown, ui.estimate]
    gr.on([ui.fields[name].change for name in TOLD], tuner.told, told, about, trigger_mode="always_last", **QUICK)
    # One after the other: what is told and shown is of the form as it is then.
    switching = chooser.change(tuner.switched, [chooser, ui.clip], tuner.follows, **QUICK)
    switching.then(tuner.told, told, about, **QUICK).then(tuner.trimmed, trimmed, [ui.trim, ui.frames, ui.note], **QUICK)
    ui.run.click(tuner.run, [*view, ui.clip, *values], tuner.outputs, **pressed)
    ui.stop.click(tuner.stop, view, tuner.outputs, **pressed)
    ui.live.click(tuner.act, view, tuner.outputs, **pressed)
    ui.clock.tick(tuner.look, view, tuner.shown, **pressed)
    asked = [*tuner.outputs, *(each for each in tuner.chosen if each not in tuner.outputs)]
    errand.change(tuner.errand, [errand, *view, *sized], asked, **QUICK)
    page.load(tuner.opened, [*view, *told], tuner.outputs_at_start, **QUICK)
    return tuner


class Tuner(Following):
    """The tab's handlers. Each returns only what it changes."""

    kind = KIND

    def __init__(self, ui: Components, engine: Engine, errand: gr.Textbox) -> None:
        super().__init__(ui, engine)
        self.ask = errand
        self.shown = [ui.live, ui.run, ui.stop, ui.clock, ui.job, ui.seen, ui.picks]
        self.outputs = [*self.shown, ui.note, ui.parts, errand]
        self.outputs_at_start = [*self.outputs, ui.unknown, ui.estimate]
        self.chosen = [ui.clip, ui.note, ui.file, ui.trim, ui.frames, *(ui.fields[name] for name in ("caption", *TRIM))]
        followed = ("stride", "frames", "steps", "learning_rate", "width", "height")
        self.follows = [ui.run, ui.about_model, ui.footage, ui.words, *(ui.fields[name] for name in followed)]

    def switched(self, model: str | None, clip: ChosenClip | None) -> Updates:
        """Another model in the header: its limits and what suits it, or why it cannot be tuned."""
        ui, why = self.ui, model_choice.why_not_tuned(self.engine, model or "")
        updates: Updates = {ui.run: gr.Button(interactive=not why), ui.about_model: f'<p class="hint">{escape(why)}</p>' if why else ""}
        if why:
            return updates
        chosen, fields = self.engine.chosen(model or ""), ui.fields
        own, rule, size = tuning.usual(chosen.path), chosen.capabilities.frames, chosen.size(0, 0)
        frames, stride = self._usual_trim(chosen.defaults, clip.facts) if clip else (chosen.defaults.num_frames, gr.skip())
        unit = f"Multiples of {chosen.capabilities.size_unit}; 0 is the model's own"
        return updates | {
            ui.footage: gr.HTML(tuning_views.real_footage(chosen.title), visible=own.known),
            ui.words: gr.HTML(views.vocabulary(vocabulary(), chosen.title), visible=own.known),
            fields["frames"]: gr.Slider(max(2, rule.least), rule.most, frames),
            fields["stride"]: stride,
            fields["steps"]: gr.Slider(1, max(1000, own.steps), own.steps),
            fields["learning_rate"]: own.learning_rate,
            fields["width"]: gr.Number(0, step=chosen.capabilities.size_unit, info=f"{unit} {size[0]}."),
            fields["height"]: gr.Number(0, step=chosen.capabilities.size_unit, info=f"{unit} {size[1]}."),
        }

    # -- The clip -----------------------------------------------------------------------------------------------------------

    def dropped(self, file: str | None, *sized: Any) -> Updates:
        """An upload is kept at once, so that it is still there when its turn comes."""
        if file is None:
            return gr.skip()
        return self._choosing(lambda: self._kept(Path(file)), *sized) | {self.ui.file: None}

    def picked(self, model: str | None, width: int, height: int, event: gr.EventData) -> Updates:
        """A bundled clip, or one that was made here."""
        data = dict(event._data or {})
        if data.get("do") == "bundled":
            return self._choosing(lambda: self._bundled(data["clip"]), model, width, height)
        return self._taken(str(data.get("clip")), model, width, height)

    def _taken(self, clip_id: str, *sized: Any) -> Updates:
        def taken() -> tuple[Path, str]:
            clip = self.engine.history.get(clip_id)
            return self._kept(clip.path)[0], clip.prompt

        return self._choosing(taken, *sized)

    def _bundled(self, name: str) -> tuple[Path, str]:
        return bundled.clip(name, self.engine.settings.data_dir / "training_clips" / "bundled"), bundled.caption(name)

    def _kept(self, path: Path) -> tuple[Path, str]:
        source_clips.probe(path)  # what is no clip is refused before it is copied
        return self.engine.keep_clips([path]) / path.name, ""

    def _choosing(self, take: Callable[[], tuple[Path, str]], model: str | None, width: int, height: int) -> Updates:
        """A clip into the form, trimmed as suits the model."""
        try:
            path, caption = take()
            facts = source_clips.probe(path)
            frames, stride = self._usual_trim(self._defaults(model), facts)
            clip = ChosenClip(str(path), facts, tuple(source_clips.strip(path, facts)))
        except StudioError as error:
            return {self.ui.note: views.alert(str(error))}
        fields = self.ui.fields
        return {
            self.ui.clip: clip,
            fields["start"]: gr.Slider(maximum=max(0.1, round(facts.seconds, 2)), value=0),
            fields["stride"]: stride,
            fields["frames"]: frames,
            fields["fit"]: "crop",
            **self.trimmed(clip, model, 0.0, stride, frames, "crop", width, height),
        } | ({fields["caption"]: caption} if caption else {})

    def _defaults(self, model: str | None) -> GenerationDefaults:
        try:
            return self.engine.chosen(model or "").defaults
        except StudioError:
            return GenerationDefaults()

    def _usual_trim(self, own: GenerationDefaults, facts: ClipFacts) -> tuple[int, int]:
        """(frames, stride) that suit a model and a clip."""
        frames = max(2, min(own.num_frames, facts.frames, own.max_frames))
        return frames, source_clips.usual_stride(facts, frames, own.fps)

    def started(self, event: gr.EventData) -> Any:
        """A picture of the strip is where the first frame shall be."""
        data = dict(event._data or {})
        return float(data["clip"]) if data.get("do") == "start" else gr.skip()

    def trimmed(self, clip: ChosenClip | None, model: str | None, *values: Any) -> Updates:
        """The strip, and exactly the frames that the model will see, where it can be tuned."""
        if clip is None:
            return gr.skip()
        trim = dict(zip(TRIM, values, strict=True))
        seconds = trim["stride"] * (trim["frames"] - 1) / clip.facts.fps
        strip = tuning_views.clip(Path(clip.path).name, clip.facts, clip.strip, trim["start"], seconds)
        if model_choice.why_not_tuned(self.engine, model or ""):
            return {self.ui.trim: strip, self.ui.frames: "", self.ui.note: ""}
        try:
            asked = {"caption": "any", "name": "any", "clip": clip.path, "model": model or "", **trim}
            source = tuning.read_clip(request_of(asked), self.engine.bench)
        except StudioError as error:
            return {self.ui.trim: strip, self.ui.frames: "", self.ui.note: views.alert(str(error))}
        return {self.ui.trim: strip, self.ui.frames: tuning_views.frames(source), self.ui.note: ""}

    # -- The tuning -----------------------------------------------------------------------------------------------------------

    def told(self, model: str | None, caption: str | None, edit: str | None, *values: Any) -> Updates:
        """Words that the model does not know, and how long it will take."""
        nothing: Updates = {self.ui.unknown: "", self.ui.estimate: ""}
        if model_choice.why_not_tuned(self.engine, model or ""):
            return nothing
        chosen = self.engine.chosen(model or "")
        if tuning.usual(chosen.path).known:
            nothing[self.ui.unknown] = views.unknown_words(unknown_words(f"{caption or ''} {edit or ''}"), chosen.title)
        try:
            given = dict(zip(TOLD[2:], values, strict=True))
            request = request_of({"caption": "any", "name": "any", "clip": "any", "model": model or "", **given})
            seconds = tuning.estimate(request, self.engine.bench)
        except StudioError:
            return nothing
        return nothing | {self.ui.estimate: tuning_views.estimate(seconds)}

    def run(self, job: str | None, seen: dict[str, Any], clip: ChosenClip | None, model: str | None, *values: Any) -> Updates:
        """Submits the form. An error is a sentence above the button, and nothing else changes."""
        given = dict(zip(self.ui.fields, values, strict=True)) | {"model": model or ""}

        def submit() -> Updates:
            if clip is None:
                raise InvalidInput("No clip was chosen.", "Drop one, or take one of those above.")
            given["name"] = given["name"].strip() or self.engine.tuned_models.free_title(title_of(given["caption"] or ""))
            return {self.ui.job: self.engine.submit(request_of(given | {"clip": clip.path})), self.ui.note: ""}

        return self._careful(submit, job, seen)

    def act(self, job: str | None, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button under a tuning: go on with one that was stopped, or edit with what it gave."""
        data = dict(event._data or {})
        if data.get("do") == "rerun":
            return self._careful(lambda: {self.ui.job: self.engine.rerun(data["job"])}, job, seen)
        if data.get("do") == "edit":
            return {self.ask: Errand("edit-with", data["clip"]).to_text()}
        return gr.skip()

    def errand(self, text: str, job: str | None, seen: dict[str, Any], *sized: Any) -> Updates:
        """Another tab shows a tuning, or has a clip to tune on."""
        errand = Errand.from_text(text)
        here = {self.ui.parts: gr.Tabs(selected="tune")}
        if errand and errand.what == KIND:
            return self._and_look(here | {self.ui.job: errand.id}, job, seen)
        if errand and errand.what == "tune":
            return here | self._taken(errand.id, *sized)
        return gr.skip()

    def opened(self, job: str | None, seen: dict[str, Any], *told: Any) -> Updates:
        """A page that is loaded again finds the tuning that runs, or the last one."""
        return self._and_look({self.ui.job: self._last()} | self.told(*told), None, {})

    def look(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """The tuning as it is now; only what changed since the last look is sent."""
        try:
            job, event = self._followed(job)
            request = self.engine.request_of(job) if job else None
            picks = tuning_views.picks(self.engine.history.clips(limit=OWN_CLIPS))
        except StudioError as error:
            return {self.ui.live: views.alert(str(error))}
        live = ""
        if isinstance(request, TuningRequest) and event:
            live = tuning_views.live(request, event, self.engine.tuned_models.find(slug(request.name)))
        busy = event is not None and not isinstance(event, FINAL)
        now = {"live": live, "busy": busy, "picks": picks}
        updates: Updates = {self.ui.seen: now, self.ui.job: job}
        for name in ("live", "picks"):
            if now[name] != seen.get(name):
                updates[getattr(self.ui, name)] = now[name]
        if busy != seen.get("busy"):
            updates |= self._buttons(busy)
        return updates


def request_of(values: dict[str, Any]) -> TuningRequest:
    """Raises InvalidInput naming what is wrong."""
    request = parse_request({"kind": KIND, **values})
    assert isinstance(request, TuningRequest)
    return request


def title_of(caption: str) -> str:
    """A name from the first words of a caption: 'a man is skiing' becomes 'Man is skiing'."""
    words = [word for word in slug(caption).split("-") if word not in ("a", "an", "the", "")]
    return " ".join(words[:4]).capitalize()[:50] or "Tuned model"
