"""How near a clip is to another, and how steady it is: PSNR, warping error, flicker where nothing moves.

The warping error is that of Lai et al., "Learning Blind Video Temporal Consistency", arXiv 1808.00449, section 4: neighbouring frames
are compared along the motion of the true clip, where the motion can be followed.
"""

from __future__ import annotations

import numpy as np

from .errors import InvalidInput
from .flow import check_clip, optical_flow, warp

PERFECT = 60.0  # dB, and no more: rounding to bytes alone costs 59, and a few frames that are equal would swallow every mean
FOLLOWED = 1.0  # pixels; a pixel whose way there and back ends further from its start is occluded
STILL = 2  # grey levels; what changes less in the true clip stands still


def psnr(made: np.ndarray, true: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, the mean over frames. Clips uint8 (f, h, w, 3)."""
    _check_pair(made, true)
    error = np.square(made.astype(np.float64) - true).mean(axis=(1, 2, 3))
    return float(np.minimum(10 * np.log10(255**2 / np.maximum(error, 1e-12)), PERFECT).mean())


def warping_error(made: np.ndarray, true: np.ndarray) -> float:
    """Mean squared difference of each frame from the next along the true clip's flow, in squared shares of full brightness, times 1000.

    What moves as it does in the true clip and keeps its look costs nothing. Pixels that the flow cannot follow there and back do not
    count. The true clip itself has a small error too, because its flow is an estimate.
    """
    _check_pair(made, true)
    errors, count = 0.0, 0
    for i in range(len(made) - 1):
        there = optical_flow(true[i], true[i + 1])
        seen = _followed(there, optical_flow(true[i + 1], true[i]))
        difference = (warp(made[i + 1], there) - made[i]) / 255
        errors, count = errors + float(np.square(difference[seen]).sum()), count + 3 * int(seen.sum())
    return 1000 * errors / max(count, 1)


def still_flicker(made: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute change from frame to frame, in grey levels, of the pixels that stand still in the true clip; 0 where none do."""
    _check_pair(made, true)
    still = (np.ptp(true, axis=0) <= STILL).all(axis=-1)
    change = np.abs(np.diff(made.astype(np.float32), axis=0))[:, still]
    return float(change.mean()) if change.size else 0.0


def _followed(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(h, w), true where the flow there and back ends near its start."""
    return np.linalg.norm(there + warp(back, there), axis=-1) < FOLLOWED


def _check_pair(made: np.ndarray, true: np.ndarray) -> None:
    check_clip(made)
    check_clip(true)
    if made.shape != true.shape:
        raise InvalidInput(f"Clips of {made.shape} and {true.shape} were compared.", "Give two of the same shape.")
