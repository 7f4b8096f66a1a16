"""How much the frames of a clip belong together, and how well they fit a text.

Frame consistency is Tune-A-Video's protocol (arXiv 2212.11565, section 5): the mean cosine similarity of all pairs of frames. The paper
takes features of a CLIP image encoder; without one, pixels stand in for them here, each frame less its mean colour. Numbers from
pixels compare clips with each other, never with a paper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .errors import InvalidInput

Features = Callable[[np.ndarray], np.ndarray]  # uint8 (f, h, w, 3) -> (f, d)


def frame_consistency(clip: np.ndarray, features: Features | None = None) -> float:
    """Mean cosine over all pairs of different frames, at most 1; one frame is consistent with itself.

    Args:
        clip: uint8 (f, h, w, 3), or features (f, d).
        features: of an image encoder; None takes pixels.

    Raises:
        InvalidInput: for any other shape, or no frames.
    """
    if clip.ndim not in (2, 4) or len(clip) == 0:
        raise InvalidInput(
            f"Frame consistency was asked of an array of shape {clip.shape}.", "Give frames (f, h, w, 3) or features (f, d)."
        )
    if clip.ndim == 4:
        clip = (features or pixel_features)(clip)
    if len(clip) == 1:
        return 1.0
    unit = _unit(clip)
    return float((unit @ unit.T)[np.triu_indices(len(unit), k=1)].mean())


def pixel_features(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 (f, h, w, 3) as vectors (f, d): pixels less the frame's mean colour. Flat frames are all the same."""
    values = frames.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    return values.reshape(len(frames), -1)


def text_similarity(frames: np.ndarray, text: np.ndarray) -> float:
    """Mean cosine of frames' features (f, d) with a text's (d,), both of one CLIP."""
    return float((_unit(frames) @ _unit(text[None])[0]).mean())


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros becomes the first axis, so that two of them are alike."""
    rows = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    first = np.zeros_like(rows)
    first[:, 0] = 1
    return np.where(norms > 0, rows / np.maximum(norms, 1e-12), first)
