"""Classic vision for the oracle: finds the one saturated thing in a clip and reads its colour and its motion.

Nothing here is trained and nothing here knows the prompt. The world's backgrounds are muted and its objects are saturated, so the
object is the largest connected region of high chroma. A motion is read by fitting the paths that the world knows to the path that was
found; what fits none of them is read as None.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .shapes import HUES

LEAST_CHROMA = 75  # a clip whose strongest colour is weaker than this shows no object
LEAST_AREA = 12  # pixels
MOST_AREA = 0.45  # of the frame; what fills more is no object
LEAST_VOTE = 0.4  # share of an object's pixels that must agree on a colour
CLIPPED = 250  # a channel this bright has lost its ratio to the others, and with it the hue
LEAST_SEEN = 0.6  # share of the frames in which the object must be found
MOVING = 0.05  # RMS distance from the mean position, in frame widths, from which on an object moves
GROWING = 1.5  # ratio of last radius to first from which on an object grows
ANGLES = 96  # samples around the object when a rotation is looked for
TURNING = 6.0  # RMS change of an object, in 0..255, below which nothing turns
CHANGING = 45.0  # RMS change of a resting object, in 0..255, from which on it is not the same thing any more


@dataclass(frozen=True)
class Track:
    """Where the object was found in each frame.

    centre: float (f, 2), x and y as shares of the frame, interpolated where the object was not found; NaN when it never was.
    radius: float (f,), of the disc with the object's area, as a share of the frame; interpolated likewise.
    mask: bool (f, h, w), the object without holes; empty where it was not found.
    seen: bool (f,), whether it was found.
    """

    centre: np.ndarray
    radius: np.ndarray
    mask: np.ndarray
    seen: np.ndarray

    @property
    def found(self) -> bool:
        return bool(self.seen.mean() >= LEAST_SEEN)


def find_object(clip: np.ndarray) -> Track:
    """The track of the most saturated thing in a clip uint8 (f, h, w, 3)."""
    size = clip.shape[1]
    calm = np.stack([cv2.medianBlur(np.ascontiguousarray(frame), 3) for frame in clip])
    chroma = (calm.max(-1) - calm.min(-1)).astype(np.float32)
    level = float(np.median(np.percentile(chroma.reshape(len(clip), -1), 99.5, axis=1)))
    mask = np.zeros(chroma.shape, bool)
    centre, area = np.full((len(clip), 2), np.nan), np.full(len(clip), np.nan)
    for i in range(len(clip)) if level >= LEAST_CHROMA else ():
        body = _largest_region(chroma[i], max(0.6 * level, 0.6 * LEAST_CHROMA))
        if body is not None:
            mask[i] = body
            y, x = np.nonzero(body)
            centre[i], area[i] = ((x.mean() + 0.5) / size, (y.mean() + 0.5) / size), len(x)
    seen = ~np.isnan(area)
    return Track(_fill_gaps(centre), _fill_gaps(np.sqrt(area[:, None] / np.pi) / size)[:, 0], mask, seen)


def read_color(clip: np.ndarray, track: Track) -> tuple[str | None, float]:
    """The nearest colour name by vote of the object's pixels, and the share of the vote it got. (None, 0) without an object."""
    if not track.found:
        return None, 0.0
    pixels = clip[track.mask].astype(np.uint8)
    hue = cv2.cvtColor(pixels[:, None], cv2.COLOR_RGB2HSV_FULL)[:, 0, 0].astype(np.float32) * (360 / 255)
    chroma = pixels.max(-1).astype(np.float32) - pixels.min(-1)
    weight = np.maximum(chroma - 0.5 * chroma.max(), 0) * np.where(pixels.max(-1) < CLIPPED, 1.0, 0.1)
    distance = np.abs((hue[:, None] - np.array(list(HUES.values())) + 180) % 360 - 180)
    votes = np.bincount(distance.argmin(1), weight, minlength=len(HUES)) / max(weight.sum(), 1e-6)
    return (list(HUES)[votes.argmax()], float(votes.max())) if votes.max() >= LEAST_VOTE else (None, 0.0)


def read_motion(clip: np.ndarray, track: Track) -> tuple[str | None, float]:
    """The motion that explains the track best, and how well it does, in 0..1. (None, 0) when none does or in a single frame.

    The frames are taken to cover the world's two seconds, however many they are.
    """
    if not track.found or len(clip) < 2:
        return None, 0.0
    t = np.linspace(0, 1, len(clip))
    points = _steady(track.centre)
    moved = float(np.sqrt(points.var(0).sum()))
    growth = float(np.exp(_line(t, np.log(_steady(track.radius[:, None])[:, 0]))[1]))
    if moved < MOVING:
        return ("grow", min(1.0, growth / GROWING - 0.5)) if growth > GROWING else _turning_or_still(clip, track, t)
    misfits = {name: misfit / moved for name, misfit in _misfits(points, t).items()}
    best = min(misfits, key=misfits.__getitem__)
    explained = 1 - misfits[best] ** 2
    return (best, float(explained)) if explained > 0.65 else (None, 0.0)


def _largest_region(chroma: np.ndarray, threshold: float) -> np.ndarray | None:
    """The region above the threshold with the most chroma in all, holes filled, as a bool mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((chroma > threshold).astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    weight = np.bincount(labels.ravel(), chroma.ravel(), minlength=count)[1:]
    best = int(weight.argmax()) + 1
    if not LEAST_AREA <= stats[best, cv2.CC_STAT_AREA] <= MOST_AREA * chroma.size:
        return None
    contours, _ = cv2.findContours((labels == best).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    body = np.zeros(chroma.shape, np.uint8)
    cv2.drawContours(body, contours, -1, 1, cv2.FILLED)
    return body.astype(bool)


def _fill_gaps(values: np.ndarray) -> np.ndarray:
    """(f, k) with NaN rows interpolated from their neighbours."""
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    if not len(known):
        return values
    return np.stack([np.interp(np.arange(len(values)), known, column[known]) for column in values.T], 1)


def _steady(values: np.ndarray) -> np.ndarray:
    """(f, k) where a row that jumps away from both neighbours for one frame is pulled back to their middle."""
    steady = values.copy()
    for i in range(1, len(values) - 1):
        middle, reach = (steady[i - 1] + values[i + 1]) / 2, float(np.linalg.norm(values[i + 1] - steady[i - 1]))
        if np.linalg.norm(values[i] - middle) > max(0.2, 1.5 * reach):
            steady[i] = middle
    return steady


# ---------------------------------------------------------------------------------------------------------------------
# Paths


def _misfits(points: np.ndarray, t: np.ndarray) -> dict[str, float]:
    """RMS distance, in frame widths, between the track (f, 2) and the best path of each moving motion."""
    x, y = points.T
    flat_x, flat_y = x.std(), y.std()
    across, slope_x = _line(t, x)
    along, slope_y = _line(t, y)
    misfits = {
        "right" if slope_x > 0 else "left": float(np.hypot(across, flat_y)),
        "down" if slope_y > 0 else "up": float(np.hypot(along, flat_x)),
    }
    if len(t) > 3:
        misfits["bounce"] = float(np.hypot(_bounce(t, y), flat_x))
        misfits["circle"] = _circle(t, points)
    return misfits


def _line(t: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """RMS misfit of a straight line, and its slope."""
    spread = t - t.mean()
    slope = float(spread @ values / max(spread @ spread, 1e-9))
    return float(np.sqrt(np.mean((values - values.mean() - slope * spread) ** 2))), slope


def _bounce(t: np.ndarray, y: np.ndarray) -> float:
    """RMS misfit of thrown parabolas over the ground, about two of them, at any phase."""
    best = float(y.std())
    for rate in (1.8, 2.0, 2.2):
        for phase in np.arange(0, 1, 1 / 24):
            q = (rate * t + phase) % 1.0
            misfit, lift = _line(4 * q * (1 - q), y)
            if lift < 0:  # up is towards smaller y
                best = min(best, misfit)
    return best


def _circle(t: np.ndarray, points: np.ndarray) -> float:
    """RMS misfit of about one turn of a circle, either way round."""
    best = float(np.sqrt(points.var(0).sum()))
    for turns in (-1.1, -0.94, -0.8, 0.8, 0.94, 1.1):
        wheel = np.exp(2j * np.pi * turns * t)
        place = points[:, 0] + 1j * points[:, 1]
        basis = np.stack([np.ones_like(wheel), wheel], 1)
        fit, *_ = np.linalg.lstsq(basis, place, rcond=None)
        best = min(best, float(np.sqrt(np.mean(np.abs(place - basis @ fit) ** 2))))
    return best


# ---------------------------------------------------------------------------------------------------------------------
# Turning on the spot


def _turning_or_still(clip: np.ndarray, track: Track, t: np.ndarray) -> tuple[str | None, float]:
    """Whether a rotation explains how the object changes while it stays where it is."""
    rings = _unroll(clip, track)
    t = t[track.seen]
    change = _rms_change(rings)
    turned = [_rms_change(_turn_back(rings, turns * t)) for turns in np.linspace(0.5, 1.3, 17)]
    turned += [_rms_change(_turn_back(rings, -turns * t)) for turns in np.linspace(0.5, 1.3, 17)]
    unexplained = min(turned) / max(change, 1e-6)
    if change > TURNING and unexplained < 0.75:
        return "spin", float(1 - unexplained**2)
    return ("still", float(1 - change / (2 * CHANGING))) if change < CHANGING else (None, 0.0)


def _unroll(clip: np.ndarray, track: Track) -> np.ndarray:
    """The object's pixels around its mean place, in polar coordinates: float (frames seen, ANGLES, rings, 3); black outside of it."""
    size = clip.shape[1]
    middle = track.centre[track.seen].mean(0) * size - 0.5
    reach = float(np.median(track.radius[track.seen])) * size * 1.5
    rings = max(4, round(reach))
    cut = [np.where(mask[..., None], frame, 0).astype(np.float32) for frame, mask in zip(clip, track.mask, strict=True)]
    to_polar = cv2.WARP_POLAR_LINEAR | cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS  # without it, what lies beyond the frame is any memory
    return np.stack([cv2.warpPolar(cut[i], (rings, ANGLES), tuple(middle), reach, to_polar) for i in np.flatnonzero(track.seen)])


def _turn_back(rings: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Each frame rolled back by its own share of a turn."""
    return np.stack([np.roll(ring, -round(ANGLES * turn), axis=0) for ring, turn in zip(rings, turns, strict=True)])


def _rms_change(rings: np.ndarray) -> float:
    """RMS over frames and pixels of the difference from the mean over frames; outer rings count more, as they are longer."""
    weight = np.arange(1, rings.shape[2] + 1) / np.arange(1, rings.shape[2] + 1).mean()
    return float(np.sqrt((rings.var(0).mean(-1) * weight).mean()))
