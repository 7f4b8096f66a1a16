"""The switches that make a model faster, as HTML in its card: what it can have to be chosen, what it cannot greyed, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from pipelines.errors import InvalidInput

from ..model_here import ModelHere
from ..speeds import Refused, told
from .views import alert, button

LABELS = {
    "precision": ("Precision", "Of weights and computation; another one is loaded anew."),
    "weights": ("Weights", "Stored in 8 bits: half the memory, a little less exact. LoRAs need them whole."),
    "attention": ("Attention", "The kernel that computes it, by its name in diffusers."),
    "cache": ("Step cache", "Uses again what changes little from step to step: faster, not quite the same video."),
    "offload": ("Offloading", "Weights wait in the machine's memory until they are needed: far less on the device, slower."),
}
OWN = {"precision": "the model's own", "weights": "whole", "attention": "torch's choice", "cache": "none", "offload": "none"}
NAMES = {"fp8": "fp8, layerwise", "int8": "int8, torchao", "first-block": "first block", "mag": "magnitudes", "taylor": "Taylor series"} | {
    **{"model": "parts in turn", "group": "blocks in turn"}
}
BOXES = {
    "compiled": ("Compile the blocks that repeat", "Slow the first time at each size, faster after."),
    "tiled": ("Decode in tiles", "Less memory at the end of a clip; seams are blended."),
    "sliced": ("Decode frame by frame", "Less memory where several would be decoded at once; the same pixels."),
}
FINDING_OUT = "Finding out what it can have ..."
RATIOS = "One a step, with commas between them. Measuring makes one short clip and keeps what it found."
THRESHOLD, PLAIN_THRESHOLD = "Threshold of the cache, 0 to 1", 0.05


@dataclass(frozen=True)
class SpeedShown:
    """What a card says of a model's speed.

    Args:
        values: the switches that are on.
        refused: what it cannot have; None while that is being found out.
        changeable: whether the page may change it.
        measuring: whether its magnitudes are being measured, or wait for it.
        problem: why they could not be measured.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    refused: Refused | None = None
    changeable: bool = False
    measuring: bool = False
    problem: str = ""


def chip(speed: SpeedShown) -> str:
    """For the facts of a card; "" where all switches are off."""
    return f"speed: {words}" if (words := told(speed.values)) else ""


def section(one: ModelHere, speed: SpeedShown) -> str:
    """The folded part of a card with its switches; nothing where they may not be changed."""
    if not speed.changeable:
        return ""
    if speed.refused is None:
        return '<details class="speed"><summary>Speed</summary><p class="line">' + FINDING_OUT + "</p></details>"
    selects = {switch: _select(switch, speed.values, speed.refused) for switch in LABELS}
    selects["cache"] += _threshold(speed.values, speed.refused)
    controls = "".join(selects.values()) + _ratios(one, speed)
    controls += "".join(_box(switch, speed.values, speed.refused) for switch in BOXES)
    apply = button("Apply", "speed", model=one.name, label=f"Apply the speed of {one.title}")
    return (
        f'<details class="speed"><summary>Speed</summary><div class="speed-form" data-form role="group" aria-label="Speed of '
        f'{escape(one.title)}">{controls}</div>{alert(speed.problem)}<div class="actions">{apply}</div>{_reasons(speed.refused)}</details>'
    )


def values_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a card's controls send, as `Speed` takes it. Raises InvalidInput for a threshold or ratios that are no numbers."""
    values: dict[str, Any] = {switch: str(sent[switch]) for switch in LABELS if sent.get(switch)}
    if "cache" in values:
        values["threshold"] = threshold_of(sent)
    if ratios := str(sent.get("ratios") or "").replace(",", " ").split():
        try:
            values["ratios"] = tuple(map(float, ratios))
        except ValueError as error:
            raise InvalidInput(
                f"The cache's ratios are {sent['ratios']!r}.", "Give numbers, one a step, with commas between them."
            ) from error
    return values | {switch: True for switch in BOXES if sent.get(switch)}


def threshold_of(sent: Mapping[str, Any]) -> float:
    """Of the cache. Raises InvalidInput where it is no number."""
    given = sent.get("threshold", PLAIN_THRESHOLD)
    try:
        return float(given)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The cache's threshold is {given!r}.", "Give a number from 0, which skips nothing, to 1.") from error


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


def _ratios(one: ModelHere, speed: SpeedShown) -> str:
    """Shown where the cache by magnitudes is chosen, by the page's style."""
    if "mag" in (speed.refused or {}).get("cache", {}):
        return ""
    given = ", ".join(f"{ratio:g}" for ratio in speed.values.get("ratios", ()))
    measured = button(
        "Measuring ..." if speed.measuring else "Measure",
        "measure",
        model=one.name,
        label=f"Measure the magnitudes of {one.title}",
        extra="disabled" if speed.measuring else "",
    )
    return (
        '<div class="ratios"><label><span>Ratios of magnitudes</span><input name="ratios" type="text" autocomplete="off" '
        f'placeholder="not measured yet" value="{given}"><span class="line">{RATIOS}</span></label>'
        f'<div class="actions">{measured}</div></div>'
    )


def _box(switch: str, values: Mapping[str, Any], refused: Refused) -> str:
    """A switch that is on or off."""
    title, help = BOXES[switch]
    why, on = refused[switch].get(True, ""), bool(values.get(switch))
    disabled, checked = " disabled" if why and not on else "", " checked" if on else ""
    return (
        f'<label class="check{" off" if disabled else ""}"><span><input name="{switch}" type="checkbox"{checked}{disabled}> '
        f'{title}</span><span class="line">{escape(why or help)}</span></label>'
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
