"""A LoRA that is chosen in a form: the settings that it was made for are set, and those of before are back where it is taken off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.errors import StudioError
from pipelines.samplers import SAMPLERS

from ..choosing import Chosen
from ..engine import Engine
from . import QUICK

ADVISED = ("steps", "guidance_scale", "sampler", "lora_strength")  # settings that a LoRA may have been made for


def advised(engine: Engine, lora: str, chosen: Chosen | None) -> dict[str, Any]:
    """What a LoRA was made for; nothing where it is not here, which a run says in words."""
    try:
        return engine.bench.choosing.advised(lora, chosen) if lora and chosen else {}
    except StudioError:
        return {}


def worn(advice: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a form remembers of the LoRA that is chosen in it.

    Args:
        advice: that was set.
        before: what the settings were; those that are not known are the model's own.
    """
    return {"set": dict(advice), "before": {name: value for name, value in (before or {}).items() if name in advice}}


def changed(
    advice: Mapping[str, Any], was: Mapping[str, Any], now: Mapping[str, Any], usual: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings to change, what to remember) where another LoRA is chosen, or none.

    Args:
        advice: of the new one; empty for none.
        was: what `worn` remembered of the one before.
        now: the settings as they are; those that a person has changed since stay.
        usual: the model's own.
    """
    kept = {name: was["before"].get(name, usual[name]) for name, value in was["set"].items() if now[name] == value}
    return {**kept, **advice}, worn(advice, {**now, **kept})


def told(help: str, advice: Mapping[str, Any]) -> str:
    """The help of the control, with what was set."""
    if not advice:
        return help
    return f"{help} This one was made for {words(advice)}: set so, and free to be changed."


def words(advice: Mapping[str, Any]) -> str:
    """Settings for people: "4 steps, guidance 1, sampler LCM, strength 0.8"."""
    parts = [f"{advice['steps']} steps"] if "steps" in advice else []
    parts += [f"guidance {advice['guidance_scale']:g}"] if "guidance_scale" in advice else []
    parts += [f"sampler {SAMPLERS[advice['sampler']].label}"] if advice.get("sampler") else []
    parts += [f"strength {advice['lora_strength']:g}"] if "lora_strength" in advice else []
    return ", ".join(parts)


def connect(desk: Any) -> None:
    """Listens to the LoRA of a desk's form. Only what a person chooses counts: a form that is filled has its settings with it."""
    fields, worn_state = desk.fields, desk.ui.worn
    settings = [fields[name] for name in ADVISED]
    given = [fields["lora"], worn_state, fields["model"], *settings]
    fields["lora"].input(desk.laid, given, [worn_state, fields["lora"], *settings], **QUICK)
