"""Frames between frames without a model: linear blending, and optical flow in pixels.

The flow is Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (DIS), arXiv 1603.03590, as OpenCV has it. It needs no weights
and serves the clips of every checkpoint; what a network makes of frames is measured against it.

    smooth = flow_between(clip, 2)          # uint8 (f, h, w, 3) -> (2 f - 1, h, w, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np

from .defaults import MOST_FRAMES
from .errors import InvalidInput

SMALLEST_SIDE = 16  # pixels; DIS looks at patches of 8 on a coarser grid

Between = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # two frames (h, w, 3) and moments (m,) -> (m, h, w, 3)


def check_clip(frames: np.ndarray) -> None:
    """Raises InvalidInput for anything but uint8 (f, h, w, 3) with a frame or more."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise InvalidInput(f"The clip is an array {frames.dtype} {frames.shape}.", "Give uint8 (frames, height, width, 3).")


def count_between(frames: int, factor: int) -> int:
    """Frames of a clip after interpolation: (f - 1) factor + 1; 16 with a factor of 5 are 76.

    Raises:
        InvalidInput: a factor that is no whole number above 1, fewer than two frames, or too many frames in the end.
    """
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise InvalidInput(f"The factor is {factor!r}.", "Give a whole number of 2 or more.")
    if frames < 2:
        raise InvalidInput(f"The clip has {frames} frame.", "There is something between two frames or more.")
    total = (frames - 1) * factor + 1
    if total > MOST_FRAMES:
        raise InvalidInput(
            f"{frames:,} frames, {factor} times as many, are {total:,}.", f"At most {MOST_FRAMES:,} are made; cut the clip or take less."
        )
    return total


def linear_between(frames: np.ndarray, factor: int) -> np.ndarray:
    """Every given frame fades into the next. The reference that anything has to beat."""
    return _filled(frames, factor, lambda a, b, moments: np.stack([(1 - t) * a + t * b for t in moments]))


def flow_between(frames: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel moves along its flow from both neighbours, the nearer of which counts more; uint8 ((f - 1) factor + 1, h, w, 3).

    Raises:
        InvalidInput: as `count_between`, or frames too small for optical flow.
    """
    _check_side(frames)
    return _filled(frames, factor, _move_between)


def optical_flow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where each pixel of a is in b: float32 (h, w, 2) displacements x, y in pixels. Frames uint8 (h, w, 3)."""
    _check_side(a[None])
    before, after = (cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (a, b))
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)


def warp(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Backward warping: the result at p is the frame at p + flow(p); beyond its edge, the edge. Any (h, w, c), flow (h, w, 2)."""
    h, w = frame.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    source = np.ascontiguousarray(frame, np.float32)
    return cv2.remap(source, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _move_between(a: np.ndarray, b: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """At moment t, a pixel is taken from a at -t times its flow to b, and from b at -(1 - t) times its flow to a."""
    there, back = optical_flow(a, b), optical_flow(b, a)
    return np.stack([(1 - t) * warp(a, -t * there) + t * warp(b, -(1 - t) * back) for t in moments])


def _filled(frames: np.ndarray, factor: int, between: Between) -> np.ndarray:
    """The given frames as they are, with `between` for each pair of neighbours."""
    check_clip(frames)
    filled = np.empty((count_between(len(frames), factor), *frames.shape[1:]), np.uint8)
    filled[::factor] = frames
    moments = np.arange(1, factor, dtype=np.float32) / factor
    for i, (a, b) in enumerate(pairwise(frames)):
        filled[i * factor + 1 : (i + 1) * factor] = np.clip(np.round(between(a, b, moments)), 0, 255)
    return filled


def _check_side(frames: np.ndarray) -> None:
    check_clip(frames)
    h, w = frames.shape[1:3]
    if min(h, w) < SMALLEST_SIDE:
        raise InvalidInput(f"The frames have {w} x {h} pixels.", f"Optical flow needs {SMALLEST_SIDE} a side or more.")
