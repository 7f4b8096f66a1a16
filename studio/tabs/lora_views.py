"""A LoRA's card and the catalog's LoRAs, as HTML: what it fits, and the settings that it was made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from pipelines.catalog import Catalog, DescribedLora
from pipelines.errors import InvalidInput
from pipelines.lora_catalog import LoraAdvice, LoraEntry
from pipelines.samplers import SAMPLERS

from ..downloads import size_text
from ..fetching import Fetch
from ..model_here import ModelHere
from ..models import LORA
from .lora_choice import words
from .model_words import chips, page
from .views import button, plural

# Field of a LoRA's settings -> title, lowest, highest, step.
NUMBERS = {"steps": ("Steps", 1, 200, 1), "guidance_scale": ("Guidance", 1, 30, 0.1), "strength": ("Strength", 0, 2, 0.05)}
ADVISING = "Set where this LoRA is chosen, and undone where it is taken off; what is left empty stays as it was."


@dataclass(frozen=True)
class LoraShown:
    """What a card says of a LoRA's settings.

    Args:
        advice: that it was made for.
        changeable: whether the page may change them.
    """

    advice: LoraAdvice = field(default_factory=LoraAdvice)
    changeable: bool = False


def about(one: ModelHere, lora: DescribedLora, fits: Mapping[str, str], shown: LoraShown) -> str:
    """What a LoRA is, which models it fits, and what it was made for."""
    made_for = words(shown.advice.settings())
    facts = chips(["LoRA", size_text(lora.bytes), f"rank {lora.rank}", plural(lora.layers, "layer"), made_for and f"for {made_for}"])
    form = _form(one, shown.advice) if shown.changeable else ""
    if not fits:
        return f'{facts}<p class="hint">No model here takes LoRAs.</p>{form}'
    rows = "".join(f"<dt>{escape(title)}</dt><dd>{escape(why or 'Fits, as far as its layers say.')}</dd>" for title, why in fits.items())
    good = [title for title, why in fits.items() if not why]
    head = f"For {', '.join(good)}" if good else "For none of the models here"
    return f"{facts}<details><summary>{escape(head)}</summary><dl>{rows}</dl></details>{form}"


def _form(one: ModelHere, advice: LoraAdvice) -> str:
    """The folded part of a card with the settings, which a person may know better."""
    values = advice.model_dump(exclude_none=True)
    controls = "".join(
        f'<label><span>{title}</span><input name="{name}" type="number" min="{lowest}" max="{highest}" step="{step}" '
        f'value="{f"{values[name]:g}" if name in values else ""}" placeholder="as it is"></label>'
        for name, (title, lowest, highest, step) in NUMBERS.items()
    )
    options = ""
    for name, info in SAMPLERS.items():
        options += f'<option value="{name}"{" selected" if advice.sampler == name else ""}>{escape(info.label)}</option>'
    controls += f'<label><span>Sampler</span><select name="sampler"><option value="">as it is</option>{options}</select></label>'
    apply = button("Apply", "advise", model=one.name, label=f"Apply the settings of {one.title}")
    return (
        f'<details class="speed"><summary>Settings it was made for</summary><p class="line">{ADVISING}</p>'
        f'<div class="speed-form" data-form role="group" aria-label="Settings of {escape(one.title)}">{controls}</div>'
        f'<div class="actions">{apply}</div></details>'
    )


def values_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a card's controls send, as `LoraAdvice` takes it. Raises InvalidInput for what is no number."""
    values: dict[str, Any] = {"sampler": str(sent["sampler"])} if sent.get("sampler") else {}
    for name, (title, *_) in NUMBERS.items():
        if (given := str(sent.get(name) or "").strip()) != "":
            try:
                values[name] = int(given) if name == "steps" else float(given)
            except ValueError as error:
                raise InvalidInput(f"{title} is {given!r}.", "Give a number, or leave it empty.") from error
    return values


# -- The catalog ----------------------------------------------------------------------------------------------------------


def catalog(entries: Mapping[str, LoraEntry], models: Catalog, here: Sequence[ModelHere], under_way: Sequence[Fetch], offline: bool) -> str:
    """The LoRAs that can be downloaded by name.

    Args:
        models: in which their bases are.
        under_way: what is downloaded now.
    """
    have = {(one.stored.hub, one.file) for one in here if one.stored and one.file}
    busy = {(fetch.hub, fetch.file) for fetch in under_way if not fetch.error}
    rows = ""
    for entry in entries.values():
        at = (entry.hub, entry.file)
        rows += _entry(entry, models, "here" if at in have else "on its way" if at in busy else "", offline)
    return f'<h2>LoRAs for few steps</h2><div class="model-list">{rows}</div>'


def _entry(entry: LoraEntry, models: Catalog, state: str, offline: bool) -> str:
    off = 'disabled title="The studio is offline."' if offline else ""
    name = "" if offline else f"Download {entry.title}"
    tools = (
        f'<span class="line">{state}</span>' if state else button("Download", "download", model=LORA + entry.name, label=name, extra=off)
    )
    facts = ["LoRA", words(entry.settings()), *(f"for {models[base].title}" for base in entry.bases)]
    unsure = "" if entry.verified else '<p class="line">Not known whether the Hub still has it under this name</p>'
    return (
        f'<article class="model"><div class="model-top"><div><h3>{escape(entry.title)}</h3><p class="line">{page(entry.hub, entry.hub)} · '
        f'{escape(entry.file)}</p></div><div class="actions">{tools}</div></div>{chips(facts)}{unsure}</article>'
    )
