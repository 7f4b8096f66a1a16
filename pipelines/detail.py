"""What a network loses of the frames it is given is put back, and travels with the motion that it paints.

A network paints its own version of what it is given: a little flat, or in another tone. Of a given frame the difference is known. It
belongs to what is seen there, so that in the frames between, it is wherever that has moved to, and the optical flow between the painted
frames, which are all of one hand, says where. Nothing of the network's motion is changed by it.

    clip = with_detail(made, frames, places)        # uint8 (f, h, w, 3), whose frames at `places` are the given ones
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .errors import InvalidInput
from .flow import check_clip, optical_flow, warp


def with_detail(made: np.ndarray, frames: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """The clip with its given frames as they were given, and between two of them what was lost of both, the nearer one's more.

    Args:
        made: uint8 (f, h, w, 3), as the network painted it, the given frames too.
        frames: uint8 (k, h, w, 3), the given frames.
        places: of each in the clip, ascending.

    Raises:
        InvalidInput: when they do not belong together.
    """
    check_clip(made)
    check_clip(frames)
    if frames.shape[1:] != made.shape[1:] or len(places) != len(frames) or not set(places) <= set(range(len(made))):
        raise InvalidInput(
            f"Frames {frames.shape} at {list(places)} are no part of a clip {made.shape}.", "Give as many places as frames, of one size."
        )
    lost = {place: frame.astype(np.float32) - made[place] for place, frame in zip(places, frames, strict=True)}
    whole = made.astype(np.float32)
    for before, after in pairwise(places):
        for frame in range(before + 1, after):
            share = (frame - before) / (after - before)
            for place, weight in ((before, 1 - share), (after, share)):
                whole[frame] += weight * warp(lost[place], optical_flow(made[frame], made[place]))
    whole[list(places)] = frames
    return np.clip(np.round(whole), 0, 255).astype(np.uint8)
