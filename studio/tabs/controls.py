"""Controls made from a request model: its ranges, defaults, units and help are written nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import gradio as gr
from pydantic import BaseModel

from pipelines.domain_models import DomainModel
from pipelines.samplers import SAMPLERS

from ..model_fields import OF_MODEL
from ..requests import TUNING, TextToVideoRequest
from .axes import LIST_HELP
from .sliders import Slider

NO_BETTER = ("seed", "picture_seed", "negative_prompt", "picture", "last_picture", "model")  # fields whose values are not marked as changed
CLEARED = ("model", "lora", "prior_model")  # dropdowns that give nothing where they were cleared, which is no name
SAMPLER_CHOICES = [*((info.label, name) for name, info in SAMPLERS.items()), ("The model's own", "")]
Updates = dict[Any, Any]


class Form:
    """The controls of one form.

    Args:
        model: the request whose fields are shown.
        prefix: tells this form's controls from another's.
        without: fields that the form does not have.
        defaults: where the studio's model wants others than the request has.
    """

    def __init__(
        self,
        model: type[BaseModel] = TextToVideoRequest,
        prefix: str = "field",
        without: Collection[str] = (*TUNING, *OF_MODEL),
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.prefix = prefix
        self.schema: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
        self.names = tuple(name for name in self.schema if name != "kind" and name not in without)
        self.titles = {name: field["title"] for name, field in self.schema.items()}
        self.defaults: dict[str, Any] = {name: self.schema[name]["default"] for name in self.names if "default" in self.schema[name]}
        self.defaults |= defaults or {}
        self.marked = tuple(name for name in self.defaults if name not in NO_BETTER)

    def differing(self, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The settings that differ from the default: the form's, unless others are given."""
        usual = defaults or self.defaults
        return {name: values[name] for name in self.marked if values[name] != usual[name]}

    def reset(self, fields: Mapping[str, Any], event: gr.EventData, defaults: Mapping[str, Any] | None = None) -> Updates:
        """What a chip of a changed setting asks for: its default, or those of all that are marked."""
        data = dict(event._data or {})
        names = self.marked if data.get("do") == "reset-all" else [data["field"]]
        usual = defaults or self.defaults
        return {fields[name]: usual[name] for name in names}

    def common(self, name: str) -> dict[str, Any]:
        """What every control takes from its field."""
        unit, title = self.schema[name].get("unit"), self.titles[name]
        label = f"{title} ({unit})" if unit else title
        return {"label": label, "info": self.schema[name]["description"], "elem_id": f"{self.prefix}-{name}", "elem_classes": "field"}

    def prompt(self, placeholder: str, elem_id: str = "prompt") -> gr.Textbox:
        """The one field that needs no help."""
        shown = self.common("prompt") | {"elem_id": elem_id, "info": None, "elem_classes": "prompt-field"}
        return gr.Textbox(lines=3, max_lines=8, placeholder=placeholder, **shown)

    def slider(self, name: str, step: float = 1, limits: tuple[float, float] | None = None) -> gr.Slider:
        """The page brings what is typed beside it into the range as soon as the box is left.

        Args:
            limits: what the model can do, where that is less than any model may be asked for.
        """
        field = self.schema[name]
        lowest, highest = limits or (field["minimum"], field["maximum"])
        return Slider(lowest, highest, self.defaults.get(name, field["default"]), step=step, buttons=["reset"], **self.common(name))

    def number(self, name: str, step: float = 1) -> gr.Number:
        """Without limits of its own: a value out of range is refused in words above the Run button, not by Gradio's toast."""
        precision = 0 if self.schema[name]["type"] == "integer" else None
        return gr.Number(self.defaults[name], step=step, precision=precision, **self.common(name))

    def text(self, name: str, lines: int, placeholder: str) -> gr.Textbox:
        return gr.Textbox(self.defaults.get(name, ""), lines=lines, max_lines=8, placeholder=placeholder, **self.common(name))

    def checkbox(self, name: str) -> gr.Checkbox:
        return gr.Checkbox(self.defaults[name], **self.common(name))

    def radio(self, name: str, labels: Mapping[Any, str] | None = None) -> gr.Radio:
        """Args:
        labels: of the values, where they are not words for people themselves.
        """
        shown = self.common(name) | {"elem_classes": "field segments"}
        choices = [((labels or {}).get(value, str(value)), value) for value in self.schema[name]["enum"]]
        return gr.Radio(choices, value=self.defaults[name], **shown)

    def sampler(self) -> gr.Dropdown:
        shown = self.common("sampler") | {"info": sampler_help(self.defaults["sampler"])}
        return gr.Dropdown(SAMPLER_CHOICES, value=self.defaults["sampler"], filterable=False, **shown)

    def domain_model(self, models: Sequence[DomainModel], value: str = "") -> gr.Dropdown:
        """Takes any name, so that a clip of a domain model that is gone is refused by the engine, in words."""
        return gr.Dropdown(domain_choices(models), value=value, allow_custom_value=True, **self.common("domain_model"))

    def prior_model(self) -> gr.Dropdown:
        """Takes any name, as the domain model does; what it offers follows the chosen model."""
        return gr.Dropdown([("None", "")], value="", allow_custom_value=True, **self.common("prior_model"))

    def size(self) -> dict[str, Any]:
        """Side by side."""
        return {name: gr.Number(0, step=8, precision=0, min_width=100, **self.common(name)) for name in ("width", "height")}

    def lora(self) -> dict[str, Any]:
        """Takes any name, as the domain model does."""
        return {
            "lora": gr.Dropdown([("None", "")], value="", allow_custom_value=True, **self.common("lora")),
            "lora_strength": self.slider("lora_strength", 0.05),
        }

    def mixing(self) -> dict[str, Any]:
        """How a domain model and its prior are mixed, apart from the strength."""
        return {
            "composition": self.radio("composition"),
            "strength_schedule": self.radio("strength_schedule"),
            "langevin_steps": self.slider("langevin_steps"),
            "prior_prompt": self.text("prior_prompt", 2, "the same without the domain's words"),
        }


def seed_mode(elem_id: str = "seed-mode", value: str = "new") -> gr.Radio:
    """What becomes of a seed when something is run."""
    choices = [("New each run", "new"), ("Keep", "keep")]
    return gr.Radio(choices, value=value, label="Seed of the next run", elem_id=elem_id, elem_classes="seed-mode")


def domain_choices(models: Sequence[DomainModel]) -> list[tuple[str, str]]:
    """What a dropdown of domain models offers."""
    return [("None", ""), *((model.title, model.name) for model in models)]


def axis(name: str, info: str, choices: list[tuple[str, str]], field: str, values: str) -> dict[str, Any]:
    """The setting that columns or rows vary, and its values as text."""
    return {
        f"{name}_field": gr.Dropdown(choices, value=field, label=name.capitalize(), info=info, filterable=False, elem_id=f"{name}-field"),
        name: gr.Textbox(
            values, label=f"Values of the {name}", info=LIST_HELP, lines=1, max_lines=6, visible=bool(field), elem_id=f"{name}-values"
        ),
    }


def sampler_help(name: str) -> str:
    """What the chosen sampler is good for."""
    return SAMPLERS[name].help if name in SAMPLERS else "How noise is turned into video step by step."


def form_memory(name: str) -> gr.BrowserState:
    """The form as it was left; made outside the tabs, since what is in a tab is only read from the browser once the tab is opened."""
    return gr.BrowserState(None, storage_key=f"prior-studio-{name}", secret="prior-studio")
