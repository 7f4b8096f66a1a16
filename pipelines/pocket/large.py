"""The pocket world at twice its size: the frames that `world.render` averages down, before it does."""

from __future__ import annotations

import cv2
import numpy as np

from . import world
from .captions import Attributes
from .shapes import HUES, hsv, scenery

LARGE = world.CANVAS  # pixels, width and height


def render_large(attributes: Attributes, rng: np.random.Generator, times: np.ndarray | None = None) -> np.ndarray:
    """The clip that `world.render` makes of the same arguments, as uint8 (frames, 128, 128, 3). Pixel art has pixels twice as large."""
    times = np.linspace(0, 1, world.FRAMES) if times is None else times
    backdrop = world._paint_scenery(scenery(attributes.background, LARGE, rng), attributes, rng)
    track = world.path(attributes, rng, times)
    main = np.array(hsv(HUES[attributes.color] + rng.uniform(-5, 5), 0.62 if attributes.color == "pink" else 0.88, 0.95))
    clip = np.empty((len(track.x), LARGE, LARGE, 3), np.uint8)
    for i in range(len(track.x)):
        canvas = np.clip(world._PAINT_OBJECT[attributes.style](backdrop.copy(), world._placed(attributes, track, i), main), 0, 255)
        clip[i] = world._shrink(canvas, "pixel").repeat(2, 0).repeat(2, 1) if attributes.style == "pixel" else canvas
    return clip


def shrunk(large: np.ndarray) -> np.ndarray:
    """Large frames uint8 (f, 128, 128, 3) as the world shows them, (f, 64, 64, 3)."""
    return np.stack([cv2.resize(frame, (world.SIZE, world.SIZE), interpolation=cv2.INTER_AREA) for frame in large])
