"""The switches that make a model faster, as HTML in its card: what it can have to be chosen, what it cannot greyed, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from pipelines.errors import InvalidInput

from ..models import ModelHere
from ..speeds import Refused, told
from .views import button

LABELS = {
    "precision": ("Precision", "Of weights and computation; another one is loaded anew."),
    "weights": ("Weights", "Stored in 8 bits: half the memory, a little less exact. LoRAs need them whole."),
    "attention": ("Attention", "The kernel that computes it, by its name in diffusers."),
    "cache": ("Step cache", "Uses again what changes little from step to step: faster, not quite the same video."),
}
OWN = {"precision": "the model's own", "weights": "whole", "attention": "torch's choice", "cache": "none"}
NAMES = {"fp8": "fp8, layerwise", "int8": "int8, torchao", "first-block": "first block", "mag": "magnitudes", "taylor": "Taylor series"}
FINDING_OUT = "Finding out what it can have ..."
COMPILED = "Compile the blocks that repeat"
THRESHOLD, PLAIN_THRESHOLD = "Threshold of the cache, 0 to 1", 0.05


@dataclass(frozen=True)
class SpeedShown:
    """What a card says of a model's speed.

    Args:
        values: the switches that are on.
        refused: what it cannot have; None while that is being found out.
        changeable: whether the page may change it.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    refused: Refused | None = None
    changeable: bool = False


def chip(speed: SpeedShown) -> str:
    """For the facts of a card; "" where all switches are off."""
    return f"speed: {words}" if (words := told(speed.values)) else ""


def section(one: ModelHere, speed: SpeedShown) -> str:
    """The folded part of a card with its switches; nothing where they may not be changed."""
    if not speed.changeable:
        return ""
    if speed.refused is None:
        return '<details class="speed"><summary>Speed</summary><p class="line">' + FINDING_OUT + "</p></details>"
    controls = "".join(_select(switch, speed.values, speed.refused) for switch in LABELS)
    controls += _threshold(speed.values, speed.refused) + _compiled(speed.values, speed.refused)
    apply = button("Apply", "speed", model=one.name, label=f"Apply the speed of {one.title}")
    return (
        f'<details class="speed"><summary>Speed</summary><div class="speed-form" data-form role="group" aria-label="Speed of '
        f'{escape(one.title)}">{controls}</div><div class="actions">{apply}</div>{_reasons(speed.refused)}</details>'
    )


def values_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a card's controls send, as `Speed` takes it. Raises InvalidInput for a threshold that is no number."""
    values: dict[str, Any] = {switch: str(sent[switch]) for switch in LABELS if sent.get(switch)}
    if "cache" in values:
        given = sent.get("threshold", PLAIN_THRESHOLD)
        try:
            values["threshold"] = float(given)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"The cache's threshold is {given!r}.", "Give a number from 0, which skips nothing, to 1.") from error
    return values | ({"compiled": True} if sent.get("compiled") else {})


def _choices(switch: str) -> tuple[Any, ...]:
    from pipelines.switches import CHOICES  # what is refused is known, and with it torch

    return CHOICES[switch]


def _name(choice: str) -> str:
    return NAMES.get(choice, choice.strip("_").replace("_", " "))


def _whole_reason(switch: str, refused: Refused) -> str:
    """Why a model cannot have a switch at all, where that is one reason."""
    why = refused[switch]
    return next(iter(why.values())) if len(why) == len(_choices(switch)) and len(set(why.values())) == 1 else ""


def _select(switch: str, values: Mapping[str, Any], refused: Refused) -> str:
    title, help = LABELS[switch]
    options = f'<option value="">{escape(OWN[switch])}</option>'
    for choice in _choices(switch):
        chosen = " selected" if values.get(switch) == choice else ""
        why = refused[switch].get(choice, "")
        off = f' disabled title="{escape(why)}"' if why and not chosen else ""
        options += f'<option value="{escape(choice)}"{chosen}{off}>{escape(_name(choice))}</option>'
    whole = _whole_reason(switch, refused)
    disabled = " disabled" if whole and not values.get(switch) else ""
    return (
        f'<label class="{"off" if disabled else ""}"><span>{title}</span><select name="{switch}"{disabled}>{options}</select>'
        f'<span class="line">{escape(whole or help)}</span></label>'
    )


def _threshold(values: Mapping[str, Any], refused: Refused) -> str:
    off = len(refused["cache"]) == len(_choices("cache"))
    given = values.get("threshold", PLAIN_THRESHOLD)
    return (
        f'<label class="{"off" if off else ""}"><span>Threshold</span><input name="threshold" type="number" min="0" max="1" step="0.01" '
        f'value="{given:g}"{" disabled" if off else ""}><span class="line">{THRESHOLD}: 0 skips nothing.</span></label>'
    )


def _compiled(values: Mapping[str, Any], refused: Refused) -> str:
    why, on = refused["compiled"].get(True, ""), bool(values.get("compiled"))
    disabled, checked = " disabled" if why and not on else "", " checked" if on else ""
    return (
        f'<label class="check{" off" if disabled else ""}"><span><input name="compiled" type="checkbox"{checked}{disabled}> '
        f'{COMPILED}</span><span class="line">{escape(why or "Slow the first time at each size, faster after.")}</span></label>'
    )


def _reasons(refused: Refused) -> str:
    """Of the single choices that are greyed; a switch that is greyed as a whole says why beside itself."""
    rows = ""
    for switch, (title, _) in LABELS.items():
        if _whole_reason(switch, refused):
            continue
        by_reason: dict[str, list[str]] = {}
        for choice, why in refused[switch].items():
            by_reason.setdefault(why, []).append(_name(choice))
        rows += "".join(f"<dt>{title}: {escape(', '.join(names))}</dt><dd>{escape(why)}</dd>" for why, names in by_reason.items())
    return f"<details><summary>What it cannot have, and why</summary><dl>{rows}</dl></details>" if rows else ""
