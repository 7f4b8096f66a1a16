"""The finishing steps as buttons: longer, smoother, steadier, sharper, on every clip. What cannot be done says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from pipelines.errors import InvalidInput, ModelError
from pipelines.finishers import SAID, Finisher, has_finisher

from ..engine import Engine
from ..finishing import FinishingStep
from ..finishing_stages import check_takes_frames
from ..wall import Tool
from . import views

# Step -> its button and what it does.
STEPS: dict[FinishingStep, tuple[str, str]] = {
    "longer": ("Longer", "Continue this video from where it ends"),
    "smoother": ("Smoother", "Twice the frames a second"),
    "steadier": ("Steadier", "Decoded as a video, which flickers less"),
    "sharper": ("Sharper", "Twice the width and height"),
}
NEEDS: dict[FinishingStep, Finisher] = {"steadier": "decoder", "sharper": "upscaler"}
ANY_SIZE = ("smoother",)  # the others only know the model's own
ONLY_WITH_WEIGHTS = ("steadier",)  # not even offered under a clip without them


@dataclass(frozen=True)
class Offers:
    """What the studio's model can do for a clip.

    Args:
        lacking: step -> why it cannot be done for any clip.
        size: width and height that the model makes, if that is known.
    """

    lacking: Mapping[FinishingStep, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None

    @property
    def steps(self) -> tuple[FinishingStep, ...]:
        """Those that are offered, even if greyed out."""
        return tuple(step for step in STEPS if step not in ONLY_WITH_WEIGHTS or step not in self.lacking)

    def buttons(self, clip: str, size: tuple[int, int]) -> str:
        """The steps for one clip, in their order.

        Args:
            clip: its id in the history, or the name of a kept file.
            size: its width and height.
        """
        return "".join(_button(clip, step, self.why_not(step, size)) for step in self.steps)

    def tools(self, size: tuple[int, int]) -> tuple[Tool, ...]:
        """The steps for the clips of a wall, and their use as reference images."""
        why = {step: self.why_not(step, size) for step in self.steps}
        made = (Tool(f"finish-{step}", STEPS[step][0], why_not or STEPS[step][1], bool(why_not)) for step, why_not in why.items())
        return *made, Tool("as-reference", "Reference image", "Brought to life anew, in the tab of reference images")

    def why_not(self, step: FinishingStep, size: tuple[int, int]) -> str:
        """Why a step cannot be done for a clip of this size; empty when it can."""
        if step in self.lacking:
            return self.lacking[step]
        if step in ANY_SIZE or self.size in (None, size):
            return ""
        width, height = self.size or size
        return f"Only for clips of {width} by {height}: do this before Sharper."


def offers(engine: Engine) -> Offers:
    """Read from the model's folder; nothing is loaded."""
    try:
        own = engine.defaults()
    except ModelError:
        return Offers()
    return Offers(lacking(engine.settings.model_dir), (own.width, own.height))


def lacking(model: Path) -> dict[FinishingStep, str]:
    """Step -> why this model cannot do it."""
    missing = {step: without(model, needed) for step, needed in NEEDS.items() if not has_finisher(model, needed)}
    try:
        check_takes_frames(model)
    except InvalidInput as error:
        missing["longer"] = error.happened
    return missing


def without(model: Path, finisher: Finisher) -> str:
    """That a model has no such network."""
    return f"The {model.name} model comes without {SAID[finisher]}."


def step_of(action: str) -> FinishingStep | None:
    """The step that a button's action asks for; None for another action."""
    return next((step for step in STEPS if action == f"finish-{step}"), None)


def _button(clip: str, step: FinishingStep, why_not: str) -> str:
    text, does = STEPS[step]
    extra = f'title="{escape(why_not or does)}"' + (" disabled" if why_not else "")
    return views.button(text, f"finish-{step}", clip=clip, extra=extra)
