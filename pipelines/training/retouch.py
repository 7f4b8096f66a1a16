"""Clips in other tones, for training a small model that will be composed with a prior (`pipelines/composition.py`).

Alone, a domain model only ever sees noisy clips of its own domain. In a composition it gets what the prior has made of the clip so far:
a bright sky where its own nights are dark, flat colour where it would draw strokes. Trained on nothing but its domain it takes that for
granted. Shown its own clips retouched, and asked for the clean ones, it learns to keep the shapes and to set the tones right. Nothing
of the prior is in it: tones are random. SDEdit (Meng et al., arXiv 2108.01073) relies on noise alone to hide such differences.
"""

from __future__ import annotations

import cv2
import numpy as np


def retouch(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (f, h, w, 3), every frame in the same way: softened, on another ground or washed over, with another contrast."""
    tones = clip.astype(np.float32) / 255
    if rng.random() < 0.6:
        softness = rng.uniform(0.4, 1.6)
        tones = np.stack([cv2.GaussianBlur(frame, (0, 0), softness) for frame in tones])
    wash, dark = _wash(clip.shape[1:], rng), tones.mean() < 0.5
    match rng.integers(5):
        case 0 | 1:  # what stands out is cut out and laid on another ground
            stands_out = np.clip(8 * np.abs(tones - np.median(tones, axis=(0, 1, 2))).max(-1, keepdims=True) - 1, 0, 1)
            tones = wash + stands_out * (tones - wash)
        case 2:  # light falls on a dark clip, a bright one is seen through coloured glass
            tones = 1 - (1 - tones) * (1 - wash) if dark else tones * wash
        case 3:
            tones = np.maximum(tones, wash) if dark else np.minimum(tones, wash)
        case _:
            share = rng.uniform(0.2, 0.7)
            tones = (1 - share) * tones + share * wash
    tones = tones ** np.exp(rng.uniform(-0.5, 0.5))
    return np.round(255 * np.clip(tones, 0, 1)).astype(np.uint8)


def _wash(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) in [0, 1]: a colour above and a colour below a line, which is sharp or soft."""
    height = shape[0]
    above, below = rng.uniform(0, 1) + rng.uniform(-0.35, 0.35, 3), rng.uniform(0, 1) + rng.uniform(-0.35, 0.35, 3)
    line, width = rng.uniform(0, height), np.exp(rng.uniform(np.log(0.3), np.log(height / 2)))
    under = 1 / (1 + np.exp(-(np.arange(height) - line) / width))
    wash = above + (below - above) * under[:, None, None]
    return np.clip(np.broadcast_to(wash, shape), 0, 1).astype(np.float32)
