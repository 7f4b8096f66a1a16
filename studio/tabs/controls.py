"""Controls made from the request model: its ranges, defaults, units and help are written nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from pipelines.samplers import SAMPLERS

from ..requests import TextToVideoRequest

SCHEMA: dict[str, dict[str, Any]] = TextToVideoRequest.model_json_schema()["properties"]
FIELDS = tuple(name for name in SCHEMA if name != "kind")
TITLES = {name: SCHEMA[name]["title"] for name in FIELDS}
DEFAULTS: dict[str, Any] = {name: SCHEMA[name]["default"] for name in FIELDS if name != "prompt"}
MARKED = tuple(name for name in DEFAULTS if name not in ("seed", "negative_prompt"))  # a seed has no better or worse value


def prompt(placeholder: str) -> gr.Textbox:
    """The one field that needs no help."""
    shown = common("prompt") | {"elem_id": "prompt", "info": None}
    return gr.Textbox(lines=3, max_lines=8, placeholder=placeholder, autofocus=True, **shown)


def seed_mode() -> gr.Radio:
    """What becomes of the seed when something is run."""
    choices = [("New each run", "new"), ("Keep", "keep")]
    return gr.Radio(choices, value="new", label="Seed of the next run", elem_id="seed-mode")


def common(name: str) -> dict[str, Any]:
    """What every control takes from its field."""
    unit = SCHEMA[name].get("unit")
    label = f"{TITLES[name]} ({unit})" if unit else TITLES[name]
    return {"label": label, "info": SCHEMA[name]["description"], "elem_id": f"field-{name}", "elem_classes": "field"}


def slider(name: str, step: float = 1, limits: tuple[float, float] | None = None) -> gr.Slider:
    """The page brings what is typed beside it into the range as soon as the box is left.

    Args:
        limits: what the model can do, where that is less than any model may be asked for.
    """
    field = SCHEMA[name]
    lowest, highest = limits or (field["minimum"], field["maximum"])
    return gr.Slider(lowest, highest, field["default"], step=step, buttons=["reset"], **common(name))


def number(name: str, step: float = 1) -> gr.Number:
    """Without limits of its own: a value out of range is refused in words above the Run button, not by Gradio's toast."""
    return gr.Number(DEFAULTS[name], step=step, precision=0 if SCHEMA[name]["type"] == "integer" else None, **common(name))


def text(name: str, lines: int, placeholder: str) -> gr.Textbox:
    return gr.Textbox(DEFAULTS.get(name, ""), lines=lines, max_lines=8, placeholder=placeholder, **common(name))


def sampler() -> gr.Dropdown:
    choices = [(info.label, name) for name, info in SAMPLERS.items()]
    shown = common("sampler") | {"info": sampler_help(DEFAULTS["sampler"])}
    return gr.Dropdown(choices, value=DEFAULTS["sampler"], filterable=False, **shown)


def sampler_help(name: str) -> str:
    """What the chosen sampler is good for."""
    return SAMPLERS[name].help if name in SAMPLERS else SCHEMA["sampler"]["description"]


def radio(name: str) -> gr.Radio:
    return gr.Radio(SCHEMA[name]["enum"], value=DEFAULTS[name], **common(name))


def differing(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from the default."""
    return {name: values[name] for name in MARKED if values[name] != DEFAULTS[name]}
