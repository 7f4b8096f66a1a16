"""Prior strengths: numbers, and how a strength changes with the level of noise. No torch.

The strength gamma of Video Adapter (arXiv 2306.01872) is one number there. Here it may also be a function of the noise, because what
a clip shows is decided while it is nearly all noise, and its style later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeAlias

from .errors import InvalidInput

Schedule: TypeAlias = Callable[[float], float]
Strength: TypeAlias = float | Schedule
Strengths: TypeAlias = Strength | Sequence[Strength]

FADING_BELOW = 1.2  # sigma / alpha at which "fading" begins to fade
FADED_BELOW = 0.6  # and at which nothing is left


def noise_share(ratio: float) -> float:
    """How much of a sample is noise, 0 (clean) to 1 (nothing else): the angle of (alpha, sigma) in quarter turns, for ratio sigma / alpha.

    It is the same on every noise schedule and for every parametrisation of the path, and finite where alpha is zero.
    """
    return math.atan(ratio) * 2 / math.pi


def noise_ratio(share: float) -> float:
    """sigma / alpha at that share of noise; the inverse of `noise_share`."""
    return math.inf if share >= 1 else math.tan(share * math.pi / 2)


def constant(share: float) -> float:
    """The same at every level."""
    return 1.0


def fading(share: float) -> float:
    """Whole while sigma / alpha is above FADING_BELOW, nothing below FADED_BELOW, a smooth step in its logarithm between.

    The prior then decides what is in a clip and where, and the adapter alone how it looks. Levels at which it is zero save the prior's
    evaluation.
    """
    ratio = noise_ratio(share)
    if not FADED_BELOW < ratio < FADING_BELOW:
        return float(ratio >= FADING_BELOW)
    x = math.log(ratio / FADED_BELOW) / math.log(FADING_BELOW / FADED_BELOW)
    return x * x * (3 - 2 * x)


SCHEDULES: dict[str, Schedule] = {"constant": constant, "fading": fading}


def strength_schedule(name: str, strength: float) -> Strength:
    """The named schedule whose largest value is `strength`: a number where it is constant, else a function of the share of noise.

    Raises:
        InvalidInput: for a name that is not in SCHEDULES, or a strength that is not a finite number of 0 or more.
    """
    if name not in SCHEDULES:
        raise InvalidInput(f"There is no strength schedule {name!r}.", f"Choose one of {', '.join(SCHEDULES)}.")
    whole = checked(strength)
    return whole if name == "constant" or not whole else lambda share: whole * SCHEDULES[name](share)


def checked(strength: Any) -> float:
    """The strength as a float.

    Raises:
        InvalidInput: where it is not a finite number of 0 or more.
    """
    if isinstance(strength, bool) or not isinstance(strength, Real) or not math.isfinite(strength) or strength < 0:
        raise InvalidInput(f"The prior strength is {strength!r}.", "Give a finite number of 0 or more; 0 is the adapter alone.")
    return float(strength)


def each(strengths: Strengths) -> tuple[Strength, ...]:
    """One strength, or one a clip, as a tuple; every number is checked.

    Raises:
        InvalidInput: for a number that is refused, or an empty sequence.
    """
    several = tuple(strengths) if isinstance(strengths, Sequence) and not isinstance(strengths, str) else (strengths,)
    if not several:
        raise InvalidInput("The list of prior strengths is empty.", "Give at least one number.")
    return tuple(one if callable(one) else checked(one) for one in several)
