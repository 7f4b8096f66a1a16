"""The settings that a wall can vary: what they are called, their usual values, and the text they are typed as."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.samplers import SAMPLERS

from ..requests import AXES, PRIOR_ALONE, RECONSTRUCTION, SOURCE, TUNING, Axis, TextToVideoRequest

LIST_HELP = "Separated by commas."
EDITS_HELP = "One a line: 'red -> blue' replaces words of the prompt, anything else is a prompt of its own."
USUAL = {
    "prior_strength": "0.1, 0.25, 0.5, 1, 2",
    "seed": "1, 2, 3",
    "guidance_scale": "1, 2, 3, 5, 8",
    "noise_alpha": "0, 0.5, 1, 2, 4",
    "steps": "6, 12, 24, 48",
    "prompt": "",
    "composition": "normalised, paper",
    "strength_schedule": "constant, fading",
    "langevin_steps": "0, 1, 2, 4",
    "sampler": ", ".join(SAMPLERS),
    "structure": "0.25, 0.5, 0.75, 1",
    "base_strength": "0, 0.25, 0.5, 1",
}
ALONE, PRIOR = "domain model alone", "prior alone"
ADAPTER_ALONE = "adapter alone"  # where the prior is that of a model, and not of a domain model
ENDS = {ALONE: 0.0, PRIOR: PRIOR_ALONE}
BESIDE_EDITS = {SOURCE: "source clip", RECONSTRUCTION: "reconstruction"}
EDITS_ROWS = ("guidance_scale", "structure", "tuned_steps", "base_strength", "seed")  # what a wall of edits may vary as well


def title(name: str) -> str:
    """What a setting is called."""
    return TextToVideoRequest.model_fields[name].title or name


def choices() -> list[tuple[str, str]]:
    """(title, setting) of all that can be varied without a tuned model."""
    return [("Prompt words" if name == "prompt" else title(name), name) for name in AXES if name not in TUNING]


def usual(name: str, domain_models: Sequence[str], models: Sequence[str] = ()) -> str:
    """The values that a person most likely wants, as text.

    Args:
        domain_models: names of all.
        models: names of all.
    """
    named = {"domain_model": domain_models, "model": models}
    return ", ".join(named[name]) if name in named else USUAL.get(name, "")


def parse(name: str, text: str, ends: Sequence[str] = ()) -> list[object]:
    """What was typed, as values that the request still has to check; for strengths with the chosen ends around them."""
    apart = r"\n" if name == "prompt" else r"[,;\n]"
    typed: list[object] = [part.strip() for part in re.split(apart, text) if part.strip()]
    if name != "prior_strength":
        return typed
    return ([ENDS[ALONE]] if ALONE in ends else []) + typed + ([ENDS[PRIOR]] if PRIOR in ends else [])


def as_text(axis: Axis) -> tuple[str, list[str]]:
    """(what would be typed, the ends) of an axis."""
    ends = [words for words, value in ENDS.items() if axis.field == "prior_strength" and value in axis.values]
    typed = [value for value in axis.values if not (axis.field == "prior_strength" and value in ENDS.values())]
    return ("\n" if axis.field == "prompt" else ", ").join(plain(value) for value in typed), ends


def plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def ends(adapter: bool) -> list[tuple[str, str]]:
    """(what it is called, which one) of the ends of the strengths.

    Args:
        adapter: whether the prior is that of a model, which is its adapter.
    """
    return [(ADAPTER_ALONE if adapter and end == ALONE else end, end) for end in ENDS]


def labels(axis: Axis, adapter: bool = False) -> tuple[str, ...]:
    """The heads of columns or rows; `adapter` as of `ends`."""
    if axis.field == "prior_strength":
        names = {ENDS[end]: words for words, end in ends(adapter)}
        return tuple(names.get(value, plain(value)) for value in axis.values)
    if axis.field == "prompt":
        return tuple(BESIDE_EDITS.get(str(value), plain(value).replace("->", "→")) for value in axis.values)
    return tuple(plain(value) for value in axis.values)
