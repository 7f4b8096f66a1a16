"""What all trainings tell while they run: a loss that is smoothed, thinned for a plot, and read back after an interruption."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path

POINTS = 160  # of the loss in an event
TELL_SECONDS = 0.4
Losses = list[tuple[float, float]]  # (minutes, loss)


class LossCurve:
    """The loss over time, smoothed.

    Args:
        past: of an earlier part of the same training.
    """

    def __init__(self, past: Losses) -> None:
        self.points = past
        self.mean: float | None = None
        self.told = 0.0

    def add(self, minutes: float, loss: float) -> bool:
        """Takes the loss of one step; True when it is time to tell, a few times a second."""
        self.mean = loss if self.mean is None else 0.95 * self.mean + 0.05 * loss
        if time.monotonic() - self.told < TELL_SECONDS:
            return False
        self.told = time.monotonic()
        self.points.append((minutes, self.mean))
        return True

    @property
    def thinned(self) -> tuple[tuple[float, float], ...]:
        return thinned(self.points)


def thinned(losses: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most POINTS of them, evenly spread, the newest among them."""
    every = -(-len(losses) // POINTS)
    return tuple(losses[(len(losses) - 1) % every :: every]) if losses else ()


def past_losses(log: Path) -> Losses:
    """What a training wrote before it was interrupted."""
    if not log.exists():
        return []
    with log.open(newline="") as lines:
        return [(float(row["seconds"]) / 60, float(row["loss"])) for row in csv.DictReader(lines)]
