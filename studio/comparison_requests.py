"""Requests of walls: one video's settings, one or two of which are varied. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.errors import InvalidInput

from .fields import describe_errors, shown
from .video_request import MIXING, TextToVideoRequest

Value = int | float | str
AxisField = Literal[
    "prior_strength",
    "seed",
    "guidance_scale",
    "noise_alpha",
    "steps",
    "prompt",
    "domain_model",
    "composition",
    "strength_schedule",
    "langevin_steps",
    "sampler",
    "model",
    "tuned_steps",
    "structure",
    "base_strength",
]
AXES: tuple[str, ...] = get_args(AxisField)
PRIOR_ALONE = "prior"  # the end of the strengths that no number reaches
SOURCE, RECONSTRUCTION = "<source>", "<reconstruction>"  # prompts of a tuned model's wall that are none: its clip, and what it makes of it
MOST_VALUES, MOST_CELLS = 24, 64


class Axis(BaseModel):
    """One setting that a wall varies, and its values.

    A prior strength may also be "prior", the prior alone. A prompt may be "these words -> other words", an edit of the wall's prompt, and
    beside a tuned model "<source>" or "<reconstruction>".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: AxisField = Field(title="Setting", description="What is varied.")
    values: tuple[Value, ...] = Field(title="Values", description="Its values, one a column or row.")

    @field_validator("values", mode="before")
    @classmethod
    def whole_list(cls, values: Any, info: Any) -> Any:
        """Every value as the request itself would take it, none twice, and not too many."""
        name = info.data.get("field")
        if name is None:  # the field itself is wrong, and that is what is said
            return ()
        title = title_of(name)
        if not isinstance(values, list | tuple) or not values:
            raise InvalidInput(f"The values of {title} are {shown(values)}.", "Give a list of one or more.")
        if len(values) > MOST_VALUES:
            raise InvalidInput(f"{len(values)} values of {title} were given.", f"Give at most {MOST_VALUES}.")
        checked = [axis_value(name, value) for value in values]
        for i, value in enumerate(checked):
            if value in checked[:i]:
                raise InvalidInput(f"The {title} {shown(value)} is given twice.", "Leave one of them out.")
        return checked


def title_of(name: str) -> str:
    """A field's title within a sentence: 'prior strength'."""
    title = TextToVideoRequest.model_fields[name].title or name
    return title[0].lower() + title[1:]


def axis_value(name: str, value: Any) -> Any:
    """The value as a request holds it.

    Raises:
        InvalidInput: for one that no request could have.
    """
    if isinstance(value, str):
        value = value.strip()
    if name == "prior_strength" and value == PRIOR_ALONE:
        return value
    try:
        return getattr(TextToVideoRequest.model_validate({"prompt": "any", name: value}), name)
    except ValidationError as error:
        raise describe_errors(error) from error


@dataclass(frozen=True)
class Cell:
    """A place in a wall, and the ordinary request of the clip that belongs there.

    `domain_model` is that of its place; the request of the prior alone names none.
    """

    row: int
    column: int
    request: TextToVideoRequest
    domain_model: str


class ComparisonRequest(BaseModel):
    """A wall: one request, with one setting varied along the columns and perhaps another along the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["comparison"] = Field("comparison", title="Kind", description="Which kind of job this is.")
    base: TextToVideoRequest = Field(title="Settings", description="What all clips of the wall share.")
    columns: Axis = Field(title="Columns", description="What varies from left to right.")
    rows: Axis | None = Field(None, title="Rows", description="What varies from top to bottom.")
    blind: bool = Field(False, title="Blind", description="Shuffled and unlabelled until a favourite is picked.")

    @model_validator(mode="after")
    def can_be_made(self) -> ComparisonRequest:
        varied = [axis.field for axis in self.axes]
        count = math.prod(len(axis.values) for axis in self.axes)
        if len(set(varied)) < len(varied):
            raise InvalidInput(f"Columns and rows both vary the {title_of(varied[0])}.", "Choose another setting for the rows.")
        if count > MOST_CELLS:
            sizes = " x ".join(str(len(axis.values)) for axis in self.axes)
            raise InvalidInput(f"The wall would have {sizes} = {count} clips.", f"Ask for at most {MOST_CELLS}.")
        without = [name for name in varied if name in MIXING]
        if without and not self.base.mixed and "domain_model" not in varied:
            raise InvalidInput(
                f"The {title_of(without[0])} is varied without a domain model or a prior.", "Choose one, or vary another setting."
            )
        self.cells()  # an edit that does not fit the prompt is refused now
        return self

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.columns, self.rows) if self.rows else (self.columns,)

    @property
    def headline(self) -> str:
        """What the queue calls it."""
        return f"{self.base.prompt} ({len(self.cells())} clips side by side)"

    def cells(self) -> list[Cell]:
        """Every place of the wall, row by row."""
        return [
            Cell(r, c, *cell_request(self.base, {**row, self.columns.field: column}))
            for r, row in enumerate([{self.rows.field: value} for value in self.rows.values] if self.rows else [{}])
            for c, column in enumerate(self.columns.values)
        ]


def cell_request(base: TextToVideoRequest, changes: Mapping[AxisField, Value]) -> tuple[TextToVideoRequest, str]:
    """(the base with some settings changed, its domain model): the prior alone is a request without one.

    Raises:
        InvalidInput: when a prompt's edit looks for words that are not there.
    """
    values: dict[str, Any] = base.model_dump() | {"variations": 1} | dict(changes)
    if (shown_prompt := changes.get("prompt")) in (SOURCE, RECONSTRUCTION):
        return beside_edits(values | {"prompt": base.prompt}, str(shown_prompt)), ""
    if "prompt" in changes:
        values["prompt"] = edited(base.prompt, str(changes["prompt"]))
    prior_alone = values["prior_strength"] == PRIOR_ALONE
    if prior_alone:
        del values["prior_strength"]
    try:
        request = TextToVideoRequest.model_validate(values)
    except ValidationError as error:
        raise describe_errors(error) from error
    if prior_alone:
        return request.prior_alone(), request.domain_model
    return request if request.mixed else request.alone(), request.domain_model


def beside_edits(values: Mapping[str, Any], which: str) -> TextToVideoRequest:
    """A tuned model's clip or its reconstruction: what does not decide it is at its default, so that it is made once for all walls."""
    if not values["tuned_model"]:
        raise InvalidInput(f"The prompt is {which} without a tuned model.", "Choose a tuned model, or give a prompt.")
    if which == SOURCE:
        return TextToVideoRequest(shows="source", **{name: values[name] for name in ("prompt", "frames", "fps", "model", "tuned_model")})
    kept = ("prompt", "frames", "fps", "steps", "model", "tuned_model", "tuned_steps")
    return TextToVideoRequest(shows="reconstruction", guidance_scale=1, **{name: values[name] for name in kept})


def edited(prompt: str, edit: str) -> str:
    """'red -> blue' replaces words of the prompt; anything else is a prompt of its own."""
    before, arrow, after = (part.strip() for part in edit.partition("->"))
    if not arrow:
        return edit
    if not before or before.lower() not in prompt.lower():
        raise InvalidInput(f"The prompt does not contain {before!r}.", "Name words of the prompt before the arrow, as in 'red -> blue'.")
    return re.sub(re.escape(before), lambda _: after, prompt, flags=re.IGNORECASE)


class EditsRequest(ComparisonRequest):
    """A wall of edits of one clip, with the model that was tuned on it."""

    kind: Literal["edits"] = Field("edits", title="Kind", description="Which kind of job this is.")  # type: ignore[assignment]

    @model_validator(mode="after")
    def has_a_tuned_model(self) -> EditsRequest:
        if not self.base.tuned_model:
            raise InvalidInput("No tuned model was chosen.", "Tune a clip first, or choose a model from the list.")
        return self
