"""Clips that show nothing of the world: clouds of colour that slide, turn and come nearer, as rich in detail as photographs.

The world is flat colour and sharp edges, and a network that has seen nothing else paints a person's clip in flat colour, too. The mean
spectrum of photographs falls as one over frequency (Field, "Relations between the statistics of natural images", JOSA A 4, 1987), and
so does that of these clouds.
"""

from __future__ import annotations

import cv2
import numpy as np

from .world import SIZE

CANVAS = 2 * SIZE
SLIDE = 0.25  # most, as a share of the frame's width, in a clip
TURN = 20.0  # most, in degrees, in a clip
NEARER = 0.25  # most, as a logarithm, in a clip


def drifting_clouds(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip uint8 (frames, 64, 64, 3) at the given times, 0 to 1."""
    clouds = _clouds(rng)
    slide, turn, nearer = rng.uniform(-SLIDE, SLIDE, 2) * SIZE, rng.uniform(-TURN, TURN), rng.uniform(-NEARER, NEARER)
    frames = []
    for t in times - 0.5:
        seen = cv2.getRotationMatrix2D((CANVAS / 2, CANVAS / 2), turn * t, float(np.exp(nearer * t)))
        seen[:, 2] += slide * t - (CANVAS - SIZE) / 2
        frames.append(cv2.warpAffine(clouds, seen, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101))
    return np.stack(frames)


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """Noise with a spectrum of about 1 / f, its colours mixed at random, uint8 (CANVAS, CANVAS, 3)."""
    rows, columns = np.fft.fftfreq(CANVAS)[:, None, None], np.fft.rfftfreq(CANVAS)[None, :, None]
    fall = np.maximum(np.hypot(rows, columns), 1 / CANVAS) ** -rng.uniform(0.9, 1.6)
    waves = np.fft.rfft2(rng.standard_normal((CANVAS, CANVAS, 3)), axes=(0, 1)) * fall
    noise = np.fft.irfft2(waves, (CANVAS, CANVAS), axes=(0, 1)) @ (np.eye(3) * 0.3 + rng.normal(0, 0.5, (3, 3)))
    tones = rng.uniform(60, 195, 3) + rng.uniform(25, 75) * noise / noise.std()
    return np.clip(np.round(tones), 0, 255).astype(np.uint8)
