"""The kinds of jobs: how each is checked before it is queued, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import comparison, domain_training, finishing, measuring, reference, text_to_video, tuning
from .making import Bench, Making


@dataclass(frozen=True)
class Kind:
    """Args:
    check: refuses a request that cannot be made, before it is queued; raises StudioError.
    make: makes it in the worker's thread; stops soon after `making.stop` is set.
    """

    check: Callable[[Any, Bench], None]
    make: Callable[[Making, Bench], None]


KINDS = {
    "text_to_video": Kind(text_to_video.check, text_to_video.make),
    "comparison": Kind(comparison.check, comparison.make),
    "edits": Kind(comparison.check, comparison.make),
    "domain_training": Kind(domain_training.check, domain_training.make),
    "one_shot_tuning": Kind(tuning.check, tuning.make),
    "reference": Kind(reference.check, reference.make),
    "finishing": Kind(finishing.check, finishing.make),
    "measuring": Kind(measuring.check, measuring.make),
}
