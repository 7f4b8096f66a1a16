"""The model that the header names, and how a form follows it: limits, defaults, and what it cannot do, greyed out with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.errors import StudioError

from ..animation import animates
from ..choosing import Chosen
from ..engine import Engine
from ..jobs import State
from ..priors import priors_of
from ..speeds import why_alone, why_no_lora
from . import QUICK, controls, lora_choice, views
from .finishing import offers

NO_PRIOR = "No other model that is here shares its latents."
DOMAINS_ARE_OWN = "Domain models belong to the studio's own model."
FOLLOWS = (
    *("frames", "fps", "steps", "guidance_scale", "negative_prompt", "sampler", "noise_kind", "noise_alpha"),
    *("width", "height", "lora", "lora_strength", "domain_model", "prior_model", "reference_strength", "longer", "steadier", "sharper"),
)
BESIDE = ("lora", "prior_model")  # whose choices are other models and LoRAs
Updates = dict[Any, Any]
Offered = tuple[list[tuple[str, str]], list[tuple[str, str]], int]


# -- The header ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    """Its parts. `offered` is what decides what can be chosen: the models and LoRAs that are here, and when their switches were chosen."""

    model: gr.Dropdown
    line: gr.HTML
    offered: gr.State


def render(engine: Engine) -> Header:
    """Builds the header, in reading order."""
    offered = _offered(engine)
    with gr.Row(elem_id="header-row"):
        gr.HTML("<h1>Prior Studio</h1>", elem_id="brand", apply_default_css=False)
        # Takes any name, so that a clip of a model that is gone is refused by the engine, in words.
        model = gr.Dropdown(
            offered[0],
            value="",
            label="Model",
            show_label=False,
            container=False,
            allow_custom_value=True,
            elem_id="model",
            scale=0,
            min_width=200,
        )
        line = gr.HTML(header_line(engine), elem_id="header", apply_default_css=False, js_on_load=None)
    return Header(model, line, gr.State(offered))


def listen(header: Header, engine: Engine, page: gr.Blocks, seconds: float, desks: Sequence[FollowsModel]) -> None:
    """Keeps the header as things are now, and what the desks offer beside its model.

    Args:
        seconds: between two looks; what can be chosen changes seldom and is looked at less often, for every control that an answer may
            change costs the browser time, changed or not.
    """

    def look(offered: Offered, model: str | None) -> Updates:
        now = _offered(engine)
        if now == offered:
            return dict.fromkeys(shown, gr.skip())
        changed: Updates = {header.model: gr.Dropdown(now[0]), header.offered: now}
        for desk in desks:
            changed |= desk.offered_beside(model or "")
        return changed

    shown = [header.model, header.offered, *(control for desk in desks for control in desk.beside_model)]
    gr.Timer(seconds).tick(lambda: header_line(engine), None, [header.line], trigger_mode="once", **QUICK)
    gr.Timer(3 * seconds).tick(look, [header.offered, header.model], shown, trigger_mode="once", **QUICK)
    page.load(lambda: header_line(engine), None, [header.line], **QUICK)
    page.load(look, [header.offered, header.model], shown, **QUICK)


def _offered(engine: Engine) -> Offered:
    return models_here(engine), _loras(engine), engine.models.speeds.chosen_at()


def models_here(engine: Engine) -> list[tuple[str, str]]:
    """(title, name) of all that can be chosen; where the list cannot be read, the studio's own alone."""
    try:
        return engine.bench.choosing.models_here()
    except StudioError:
        return [(engine.settings.model_dir.name, "")]


def header_line(engine: Engine) -> str:
    """The header as it is now."""
    try:
        waiting = sum(line.state is State.QUEUED for line in engine.queue())
    except StudioError as error:
        return views.alert(str(error))
    return views.header(engine.resident(), engine.memory(), waiting, bool(engine.active_job()))


# -- A form that follows it ---------------------------------------------------------------------------------------------


def defaults_of(form: controls.Form, chosen: Chosen | None) -> dict[str, Any]:
    """What a form's fields are unless somebody changes them, with a model; None is one that is not here."""
    return form.defaults | {name: value for name, value in (chosen.settings() if chosen else {}).items() if name in form.defaults}


def follow(form: controls.Form, fields: Mapping[str, Any], chosen: Chosen, engine: Engine, values: Mapping[str, Any] | None) -> Updates:
    """The controls that depend on the model.

    Args:
        form: that the fields are of.
        fields: its components by name.
        chosen: the model.
        engine: knows the LoRAs and the studio's own model.
        values: to put in; None is the model's own.
    """
    given = defaults_of(form, chosen) | dict(values or {})
    made = _drawing(form, chosen, given) | _beside(form, chosen, engine, given) | _finishing(form, chosen, engine, given)
    return {fields[name]: made[name] for name in FOLLOWS if name in fields and name in made}


class FollowsModel:
    """What desks have whose form follows the model in the header: `ui` has `followed`, `worn`, `words`, `about_model` beside the form."""

    kind: str
    ui: Any
    engine: Engine
    form: controls.Form
    fields: Mapping[str, Any]

    def defaults(self, model: str | None) -> dict[str, Any]:
        """Of the form, with a model."""
        return defaults_of(self.form, self._chosen(model or ""))

    def _following(self, model: str, values: Mapping[str, Any] | None) -> Updates:
        """The form as it is with a model, and some values; of a model that is not here, what it was."""
        ui, chosen = self.ui, self._chosen(model)
        updates: Updates = {ui.followed: model, ui.words: gr.HTML(visible=not model)}
        if chosen is None:
            return updates
        followed = follow(self.form, self.fields, chosen, self.engine, values)
        advice = lora_choice.advised(self.engine, (values or {}).get("lora") or "", chosen)
        return updates | followed | {ui.about_model: note(chosen, self.kind), ui.worn: lora_choice.worn(advice)}

    def laid(self, lora: str | None, was: dict[str, Any], model: str | None, *values: Any) -> Updates:
        """A person has chosen a LoRA, or none: the settings that it was made for, or those of before."""
        now = dict(zip(lora_choice.ADVISED, values, strict=True))
        advice = lora_choice.advised(self.engine, lora or "", self._chosen(model or ""))
        settings, remembered = lora_choice.changed(advice, was, now, self.defaults(model))
        info = lora_choice.told(self.form.schema["lora"]["description"], advice)
        told = {self.ui.worn: remembered, self.fields["lora"]: gr.Dropdown(info=info)}
        return {self.fields[name]: value for name, value in settings.items()} | told

    @property
    def beside_model(self) -> list[Any]:
        """The controls whose choices are other models and LoRAs."""
        return [self.fields[name] for name in BESIDE if name in self.fields]

    def offered_beside(self, model: str) -> Updates:
        """What can be chosen beside a model, of what is here now; what is chosen stays."""
        chosen = self._chosen(model)
        if chosen is None:
            return {}
        told = _Told(self.form, chosen)
        made = {"lora": _lora, "prior_model": _prior}
        return {self.fields[name]: gr.Dropdown(**made[name](told, chosen, self.engine)) for name in BESIDE if name in self.fields}

    def _chosen(self, model: str) -> Chosen | None:
        """What is known of a model; None where it is not here, which a run says in words."""
        try:
            return self.engine.chosen(model)
        except StudioError:
            return None


def note(chosen: Chosen, kind: str) -> str:
    """What a person should know of the model before anything is set, as HTML."""
    lines = []
    if kind != "reference" and chosen.capabilities.picture == "needed":
        lines.append("This model starts from a picture: bring one to life in the tab of reference images.")
    if not chosen.capabilities.can("text"):
        lines.append(f"Of the prompt it sees nothing. {chosen.capabilities.cannot['text']}")
    return "".join(f'<p class="hint">{line}</p>' for line in lines)


def sampler_help(chosen: Chosen | None, name: str) -> str:
    """What the chosen sampler is good for, or why there is no choice."""
    return (chosen and chosen.capabilities.cannot.get("sampler")) or controls.sampler_help(name)


def why_not_tuned(engine: Engine, model: str) -> str:
    """Why the model in the header cannot be tuned on a clip; "" where it can."""
    try:
        chosen = engine.chosen(model)
    except StudioError as error:
        return str(error)
    reason = chosen.capabilities.cannot.get("one_shot", "")
    return f"{chosen.title} cannot be tuned on a clip. {reason}" if reason else ""


def _drawing(form: controls.Form, chosen: Chosen, given: Mapping[str, Any]) -> dict[str, Any]:
    """How frames are drawn."""
    can, told = chosen.capabilities, _Told(form, chosen)
    rule, lowest = can.frames, form.schema["frames"]["minimum"]
    least = next(frames for frames in range(max(lowest, rule.least), rule.most + 1) if rule.nearest(frames) == frames)
    least = min(least, rule.most - rule.step)  # a slider has two ends, even where there is one length
    warning = can.noise_warning and f" {can.noise_warning}"
    unit = f"Multiples of {can.size_unit}; 0 is the model's own"
    return {
        "frames": gr.Slider(least, rule.most, given["frames"], step=rule.step),
        "fps": gr.Slider(value=given["fps"], info=can.cannot.get("fps", told.help("fps"))),
        "steps": gr.Slider(value=given["steps"]),
        "guidance_scale": gr.Slider(value=given["guidance_scale"], **told.able("guidance_scale", "guidance")),
        "negative_prompt": gr.Textbox(given["negative_prompt"] if can.can("negative_prompt") else "", **told.able("negative_prompt")),
        "sampler": gr.Dropdown(
            controls.SAMPLER_CHOICES, value=given["sampler"], interactive=can.can("sampler"), info=sampler_help(chosen, given["sampler"])
        ),
        "noise_kind": gr.Radio(value=given["noise_kind"], **told.able("noise_kind", "noise_prior", warning)),
        "noise_alpha": gr.Number(given["noise_alpha"], **told.able("noise_alpha", "noise_prior")),
        "width": gr.Number(given["width"], **told.able("width", "size", f"{unit} {chosen.defaults.width}.")),
        "height": gr.Number(given["height"], **told.able("height", "size", f"{unit} {chosen.defaults.height}.")),
    }


def _beside(form: controls.Form, chosen: Chosen, engine: Engine, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is laid over the model, or beside it."""
    told = _Told(form, chosen)
    able = _lora(told, chosen, engine)
    if able["interactive"]:
        able["info"] = lora_choice.told(able["info"], lora_choice.advised(engine, given["lora"], chosen))
    made: dict[str, Any] = {
        "lora": gr.Dropdown(value=given["lora"] if able["interactive"] else "", allow_custom_value=True, **able),
        "lora_strength": gr.Slider(value=given["lora_strength"], **told.able("lora_strength", "lora")),
    }
    if "domain_model" in form.names:
        made["domain_model"] = gr.Dropdown(
            controls.domain_choices(engine.domain_models()),
            value=given["domain_model"] if chosen.own else "",
            allow_custom_value=True,
            interactive=chosen.own,
            info=told.help("domain_model") if chosen.own else DOMAINS_ARE_OWN,
        )
    if "prior_model" in form.names:
        made["prior_model"] = gr.Dropdown(value=given["prior_model"], allow_custom_value=True, **_prior(told, chosen, engine))
    return made


def _lora(told: _Told, chosen: Chosen, engine: Engine) -> dict[str, Any]:
    """The LoRAs that are here, or why the chosen model takes none."""
    why = chosen.capabilities.cannot.get("lora") or why_no_lora(_speed(chosen, engine))
    return {"choices": [("None", ""), *_loras(engine)], "interactive": not why, "info": why or told.help("lora")}


def _prior(told: _Told, chosen: Chosen, engine: Engine) -> dict[str, Any]:
    """The models here that can be the prior of the chosen one, or why none can."""
    try:
        fitting = priors_of(chosen, engine.bench.choosing)
    except StudioError:
        fitting = []
    why = chosen.capabilities.cannot.get("composition") or why_alone(_speed(chosen, engine)) or ("" if fitting else NO_PRIOR)
    return {"choices": [("None", ""), *fitting], "interactive": not why, "info": why or told.help("prior_model")}


def _finishing(form: controls.Form, chosen: Chosen, engine: Engine, given: Mapping[str, Any]) -> dict[str, Any]:
    """What can be done after the motion: by the studio's own networks, which know its size alone."""
    if "reference_strength" not in form.names:
        return {}
    told, size, lacking = _Told(form, chosen), chosen.size(given["width"], given["height"]), offers(engine)
    kept = f"{chosen.title} keeps its picture as it was trained to." if animates(chosen) else ""
    made: dict[str, Any] = {
        "reference_strength": gr.Slider(
            value=1.0 if kept else given["reference_strength"], interactive=not kept, info=kept or told.help("reference_strength")
        )
    }
    for name, kind in (("longer", gr.Slider), ("steadier", gr.Checkbox), ("sharper", gr.Checkbox)):
        why = lacking.why_not(name, size)  # type: ignore[arg-type]
        value = form.defaults[name] if why else given[name]
        made[name] = kind(value=value, interactive=not why, info=why or told.help(name))
    return made


@dataclass(frozen=True)
class _Told:
    """What a control says of itself with a model."""

    form: controls.Form
    chosen: Chosen

    def help(self, name: str) -> str:
        return self.form.schema[name]["description"]

    def able(self, name: str, feature: str = "", more: str = "") -> dict[str, Any]:
        """Whether it can be used, and its help, or why not."""
        can = self.chosen.capabilities
        if (feature or name) in can.cannot:
            return {"interactive": False, "info": can.cannot[feature or name]}
        help = more if name in ("width", "height") else self.help(name) + more
        return {"interactive": True, "info": help}


def _speed(chosen: Chosen, engine: Engine) -> Mapping[str, Any]:
    """The switches of a model; none where they cannot be read, which the tab of models says."""
    try:
        return engine.models.speeds.values(chosen.path)
    except StudioError:
        return {}


def _loras(engine: Engine) -> list[tuple[str, str]]:
    try:
        return engine.bench.choosing.loras_here()
    except StudioError:
        return []
