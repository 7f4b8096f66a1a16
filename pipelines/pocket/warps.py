"""Clips bent out of shape: the same style on things that the domain has no name for.

A domain model that has only seen three backgrounds turns everything into one of them, where it should leave what to show to the prior
and only say how it looks. Bent clips of its own, under words that it does not know, teach it that such a word may be anything.
"""

from __future__ import annotations

import cv2
import numpy as np


def warp(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip uint8 (f, h, w, 3), every frame turned, scaled, sheared and rippled in the same way. Up stays up and left stays left."""
    height, width = clip.shape[1:3]
    x, y = _displaced(height, width, rng)
    return np.stack([cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101) for frame in clip])


def _displaced(height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel comes from: x and y, float32 (h, w)."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = u - width / 2, v - height / 2
    angle, shear = np.deg2rad(rng.uniform(-25, 25)), rng.uniform(-0.35, 0.35)
    stretch = np.exp(rng.uniform(-0.35, 0.35, 2))
    x = (np.cos(angle) * u - np.sin(angle) * v) * stretch[0] + shear * v
    y = (np.sin(angle) * u + np.cos(angle) * v) * stretch[1]
    for _ in range(2):
        length, reach = rng.uniform(18, 64), rng.uniform(0, 4)
        direction, phase = rng.uniform(0, 2 * np.pi, 2)
        ripple = reach * np.sin(2 * np.pi * (np.cos(direction) * u + np.sin(direction) * v) / length + phase)
        towards = rng.uniform(0, 2 * np.pi)
        x, y = x + np.cos(towards) * ripple, y + np.sin(towards) * ripple
    shift = rng.uniform(-8, 8, 2)
    return (x + width / 2 + shift[0]).astype(np.float32), (y + height / 2 + shift[1]).astype(np.float32)
