"""Controls made from the request model: its ranges, defaults, units and help are written nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from pipelines.domain_models import DomainModel
from pipelines.samplers import SAMPLERS

from ..requests import TUNING, TextToVideoRequest
from .axes import LIST_HELP

SCHEMA: dict[str, dict[str, Any]] = TextToVideoRequest.model_json_schema()["properties"]
FIELDS = tuple(name for name in SCHEMA if name not in ("kind", *TUNING))  # edits of a clip have a tab of their own
TITLES = {name: field["title"] for name, field in SCHEMA.items()}
DEFAULTS: dict[str, Any] = {name: SCHEMA[name]["default"] for name in FIELDS if name != "prompt"}
MARKED = tuple(name for name in DEFAULTS if name not in ("seed", "negative_prompt"))  # a seed has no better or worse value


def prompt(placeholder: str, elem_id: str = "prompt") -> gr.Textbox:
    """The one field that needs no help."""
    shown = common("prompt") | {"elem_id": elem_id, "info": None, "elem_classes": "prompt-field"}
    return gr.Textbox(lines=3, max_lines=8, placeholder=placeholder, autofocus=elem_id == "prompt", **shown)


def seed_mode() -> gr.Radio:
    """What becomes of the seed when something is run."""
    choices = [("New each run", "new"), ("Keep", "keep")]
    return gr.Radio(choices, value="new", label="Seed of the next run", elem_id="seed-mode")


def common(name: str, prefix: str = "field", schema: Mapping[str, dict[str, Any]] = SCHEMA) -> dict[str, Any]:
    """What every control takes from its field; the prefix tells one form's controls from another's."""
    unit, title = schema[name].get("unit"), schema[name]["title"]
    label = f"{title} ({unit})" if unit else title
    return {"label": label, "info": schema[name]["description"], "elem_id": f"{prefix}-{name}", "elem_classes": "field"}


def slider(name: str, step: float = 1, limits: tuple[float, float] | None = None, prefix: str = "field") -> gr.Slider:
    """The page brings what is typed beside it into the range as soon as the box is left.

    Args:
        limits: what the model can do, where that is less than any model may be asked for.
    """
    field = SCHEMA[name]
    lowest, highest = limits or (field["minimum"], field["maximum"])
    return gr.Slider(lowest, highest, field["default"], step=step, buttons=["reset"], **common(name, prefix))


def number(name: str, step: float = 1, prefix: str = "field") -> gr.Number:
    """Without limits of its own: a value out of range is refused in words above the Run button, not by Gradio's toast."""
    return gr.Number(DEFAULTS[name], step=step, precision=0 if SCHEMA[name]["type"] == "integer" else None, **common(name, prefix))


def text(name: str, lines: int, placeholder: str, prefix: str = "field") -> gr.Textbox:
    return gr.Textbox(DEFAULTS.get(name, ""), lines=lines, max_lines=8, placeholder=placeholder, **common(name, prefix))


def domain_choices(models: Sequence[DomainModel]) -> list[tuple[str, str]]:
    """What a dropdown of domain models offers."""
    return [("None", ""), *((model.title, model.name) for model in models)]


def domain_model(models: Sequence[DomainModel], value: str = "", prefix: str = "field") -> gr.Dropdown:
    """Takes any name, so that a clip of a domain model that is gone is refused by the engine, in words."""
    return gr.Dropdown(domain_choices(models), value=value, allow_custom_value=True, **common("domain_model", prefix))


def mixing(prefix: str = "field") -> dict[str, Any]:
    """How a domain model and its prior are mixed, apart from the strength."""
    return {
        "composition": radio("composition", prefix),
        "strength_schedule": radio("strength_schedule", prefix),
        "langevin_steps": slider("langevin_steps", prefix=prefix),
        "prior_prompt": text("prior_prompt", 2, "the same without the domain's words", prefix),
    }


def axis(name: str, info: str, choices: list[tuple[str, str]], field: str, values: str) -> dict[str, Any]:
    """The setting that columns or rows vary, and its values as text."""
    return {
        f"{name}_field": gr.Dropdown(choices, value=field, label=name.capitalize(), info=info, filterable=False, elem_id=f"{name}-field"),
        name: gr.Textbox(
            values, label=f"Values of the {name}", info=LIST_HELP, lines=1, max_lines=6, visible=bool(field), elem_id=f"{name}-values"
        ),
    }


def sampler(prefix: str = "field") -> gr.Dropdown:
    choices = [(info.label, name) for name, info in SAMPLERS.items()]
    shown = common("sampler", prefix) | {"info": sampler_help(DEFAULTS["sampler"])}
    return gr.Dropdown(choices, value=DEFAULTS["sampler"], filterable=False, **shown)


def sampler_help(name: str) -> str:
    """What the chosen sampler is good for."""
    return SAMPLERS[name].help if name in SAMPLERS else SCHEMA["sampler"]["description"]


def radio(name: str, prefix: str = "field") -> gr.Radio:
    shown = common(name, prefix) | {"elem_classes": "field segments"}
    return gr.Radio(SCHEMA[name]["enum"], value=DEFAULTS[name], **shown)


def form_memory() -> gr.BrowserState:
    """The form as it was left; made outside the tabs, since what is in a tab is only read from the browser once the tab is opened."""
    return gr.BrowserState(None, storage_key="prior-studio-wall", secret="prior-studio")


def differing(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from the default."""
    return {name: values[name] for name in MARKED if values[name] != DEFAULTS[name]}
