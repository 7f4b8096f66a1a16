"""How a domain model is trained, as numbers. No torch: the page reads the defaults."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInput


@dataclass(frozen=True)
class DomainRecipe:
    """How a domain model is trained.

    Args:
        minutes: time budget, summed over resumes.
        share: most parameters, as a share of the base's network.
        learning_rate: peak of AdamW.
        focus, focus_share: see `ObjectiveConfig`. Style is decided where large shapes are there already: at low and middle noise.
        clip_lengths: frames of the clips of one batch after another, spread over the whole clip (a frame-rate curriculum); 1 is
            pictures. Lengths that a clip does not have are left out.
        frames_a_batch: frames of a batch, however many clips they make.
        given_share: of the clips in which some frames may be given clean, see `random_mask`.
        retouched_share, retouched_above: share of the clips that the network sees retouched (`retouch.py`), and the least
            sigma / alpha at which it does: below, tones are there already and nothing may be set right any more.
        caption_dropout: share of empty captions, for guidance.
        sample_every_s: seconds between samples.
        seed: of everything random.
    """

    minutes: float = 8.0
    share: float = 0.1
    learning_rate: float = 2e-3
    focus: tuple[float, float] = (0.05, 0.6)
    focus_share: float = 0.5
    clip_lengths: tuple[int, ...] = (1, 4, 1, 16, 1, 8)
    frames_a_batch: int = 64
    given_share: float = 0.4
    retouched_share: float = 0.5
    retouched_above: float = 0.7
    caption_dropout: float = 0.1
    sample_every_s: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < float("inf"):
            raise InvalidInput(f"The training time is {self.minutes!r} minutes.", "Give a number above 0.")
