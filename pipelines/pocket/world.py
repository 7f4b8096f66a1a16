"""The pocket world: a fast, seeded, anti-aliased renderer of short clips whose every attribute is known exactly.

    attributes = random_attributes(rng)
    clip = render(attributes, rng)          # uint8 (16, 64, 64, 3)

The same generator state gives the same pixels. Everything is drawn at twice the size and averaged down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .captions import Attributes
from .shapes import HUES, OBJECTS, Scenery, disc, hsv, polygon, scenery

SIZE = 64  # pixels, width and height
FRAMES = 16
FPS = 8
CANVAS = 2 * SIZE
RADIUS = {"small": 0.145, "big": 0.215}  # of the frame's width
PAPER = np.array((244, 240, 230), np.float32)
cv2.setNumThreads(1)  # frames are small: threads cost more than they give
_STRIPES = (np.subtract.outer(np.arange(CANVAS), np.arange(CANVAS)) % 9) < 3
_GRAIN = ((np.add.outer(np.arange(CANVAS), np.arange(CANVAS)) // 2) % 6 == 0)[..., None].astype(np.float32)


@dataclass(frozen=True)
class Path:
    """Where the object is: centre x, y and radius as shares of the frame, angle in radians, each (frames,)."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    angle: np.ndarray


def path(attributes: Attributes, rng: np.random.Generator, times: np.ndarray) -> Path:
    """The object's path at the given times, 0 the first frame of a standard clip and 1 its last."""
    u = rng.uniform
    r = RADIUS[attributes.size] * u(0.95, 1.05)
    t = np.asarray(times, np.float64)
    x, y = np.full_like(t, u(0.36, 0.64)), np.full_like(t, u(0.36, 0.62))
    radius, angle = np.full_like(t, r), np.zeros_like(t)
    low, high = r + 0.02, 1 - r - 0.02
    start, end = low + u(0, 0.06), high - u(0, 0.06)
    match attributes.motion:
        case "right" | "left":
            x = start + (end - start) * (t if attributes.motion == "right" else 1 - t)
            y[:] = u(0.32, 0.68)
        case "down" | "up":
            y = start + (end - start) * (t if attributes.motion == "down" else 1 - t)
            x[:] = u(0.28, 0.72)
        case "bounce":
            ground, phase = high - u(0, 0.06), u(0, 0.1)  # starts on the ground
            q = (2 * t + phase) % 1.0
            y = ground - (ground - low - u(0.02, 0.10)) * 4 * q * (1 - q)
        case "circle":
            reach, phase = min(0.5 - r - 0.03, 0.27), -np.pi / 2 + u(-0.2, 0.2)  # clockwise from the top
            turn = phase + 2 * np.pi * t * 15 / 16
            x, y = 0.5 + reach * np.cos(turn), 0.5 + reach * np.sin(turn)
        case "grow":
            radius = r * (0.45 + t)
        case "spin":
            angle = 2 * np.pi * t * 15 / 16 + u(0, 0.3)
    return Path(x, y, radius, angle)


def render(attributes: Attributes, rng: np.random.Generator, times: np.ndarray | None = None) -> np.ndarray:
    """A clip as uint8 (frames, 64, 64, 3). `times` defaults to 16 frames from 0 to 1."""
    return render_with_path(attributes, rng, times)[0]


def render_with_path(attributes: Attributes, rng: np.random.Generator, times: np.ndarray | None = None) -> tuple[np.ndarray, Path]:
    """The clip of `render`, and the path that its object takes."""
    times = np.linspace(0, 1, FRAMES) if times is None else times
    backdrop = _paint_scenery(scenery(attributes.background, CANVAS, rng), attributes, rng)
    track = path(attributes, rng, times)
    main = np.array(hsv(HUES[attributes.color] + rng.uniform(-5, 5), 0.62 if attributes.color == "pink" else 0.88, 0.95))
    clip = np.empty((len(track.x), SIZE, SIZE, 3), np.uint8)
    for i in range(len(track.x)):
        canvas = _PAINT_OBJECT[attributes.style](backdrop.copy(), _placed(attributes, track, i), main)
        clip[i] = _shrink(np.clip(canvas, 0, 255), attributes.style)
    return clip, track


def _placed(attributes: Attributes, track: Path, i: int) -> list[tuple[np.ndarray, str]]:
    """The object's polygons on the canvas in frame i. A fish looks where it swims."""
    c, s = math.cos(track.angle[i]), math.sin(track.angle[i])
    turn = np.array([[c, s], [-s, c]]) * track.radius[i] * CANVAS
    mirror = np.array([-1.0 if (attributes.object, attributes.motion) == ("fish", "right") else 1.0, 1.0])
    centre = np.array([track.x[i], track.y[i]]) * CANVAS
    return [((points @ turn) * mirror + centre, role) for points, role in OBJECTS[attributes.object]]


def _shrink(canvas: np.ndarray, style: str) -> np.ndarray:
    if style == "pixel":
        blocks = np.round(canvas[2::4, 2::4] / 17) * 17
        return blocks.repeat(2, 0).repeat(2, 1)
    return cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _fill(canvas: np.ndarray, points: np.ndarray, color: object, smooth: bool = True) -> None:
    fixed = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(canvas, [fixed], _scalar(color), cv2.LINE_AA if smooth else cv2.LINE_8, 4)


def _outline(canvas: np.ndarray, points: np.ndarray, color: object, width: int, closed: bool = True, smooth: bool = True) -> None:
    fixed = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [fixed], closed, _scalar(color), width, cv2.LINE_AA if smooth else cv2.LINE_8, 4)


def _scalar(color: object) -> tuple[float, ...]:
    return tuple(float(c) for c in np.atleast_1d(np.asarray(color)))


# ---------------------------------------------------------------------------------------------------------------------
# Backgrounds, one function a style


def _paint_scenery(scene: Scenery, attributes: Attributes, rng: np.random.Generator) -> np.ndarray:
    """The background as float32 (CANVAS, CANVAS, 3)."""
    if attributes.style == "neon":
        return _neon_scenery(scene, plain=attributes.background == "plain")
    if attributes.style == "sketch":
        return _sketch_scenery(scene, dark=attributes.background == "night")
    return _flat_scenery(scene, smooth=attributes.style == "flat")


def _gradient(scene: Scenery, steps: int | None = None) -> np.ndarray:
    g = np.linspace(0, 1, CANVAS)[:, None, None]
    g = np.floor(g * steps) / steps if steps else g
    return (np.ones((1, CANVAS, 1)) * (np.array(scene.top) * (1 - g) + np.array(scene.bottom) * g)).astype(np.float32)


def _flat_scenery(scene: Scenery, smooth: bool) -> np.ndarray:
    canvas = _gradient(scene, None if smooth else 6)
    for points, color in scene.layers:
        _fill(canvas, points, color, smooth)
    for x, y, r in scene.dots:
        _fill(canvas, disc(r if smooth else 2.6, 8, x, y), (235, 235, 225), smooth)
    return np.clip(canvas, 0, 255)


def _sketch_scenery(scene: Scenery, dark: bool) -> np.ndarray:
    wash = 0.5 if dark else 0.28
    canvas = (PAPER * (1 - wash) + _gradient(scene) * wash).astype(np.float32)
    for points, color in scene.layers:
        _fill(canvas, points, PAPER * 0.6 + np.array(color) * 0.4)
        _outline(canvas, points, (95, 92, 98), 2)
    for x, y, _ in scene.dots:
        _outline(canvas, polygon((x - 3, y), (x + 3, y)), (235, 232, 225), 1, closed=False)
        _outline(canvas, polygon((x, y - 3), (x, y + 3)), (235, 232, 225), 1, closed=False)
    return np.clip(canvas - _GRAIN * 6.0, 0, 255)


def _neon_scenery(scene: Scenery, plain: bool) -> np.ndarray:
    g = np.linspace(0, 1, CANVAS, dtype=np.float32)[:, None, None]
    top, bottom, dark = (np.array(color, np.float32) for color in (scene.top, scene.bottom, (10, 8, 22)))
    canvas = np.zeros((CANVAS, CANVAS, 3), np.float32) + dark + top * (1 - g) * 0.05 + bottom * g * 0.07
    canvas += bottom * 0.05 * plain
    lines = np.zeros_like(canvas)
    for points, color in scene.layers:
        _fill(canvas, points, np.array(color) * 0.07 + np.array((8, 6, 18)))
        _fill(lines, points, (0, 0, 0))
        _outline(lines, points, np.array(color) * 0.55, 2)
    for x, y, r in scene.dots:
        _fill(lines, disc(r * 0.8, 8, x, y), (140, 140, 160))
    return np.clip(canvas + lines + cv2.GaussianBlur(lines, (0, 0), 4) * 0.9, 0, 255)


# ---------------------------------------------------------------------------------------------------------------------
# Objects, one function a style: (canvas, placed polygons, main colour) -> canvas

Placed = list[tuple[np.ndarray, str]]


def _tones(main: np.ndarray) -> dict[str, np.ndarray]:
    return {"main": main, "light": main * 0.35 + 255 * 0.65, "dark": main * 0.22}


def _flat_object(canvas: np.ndarray, parts: Placed, main: np.ndarray) -> np.ndarray:
    return _solid(canvas, parts, main, edge=main * 0.55, width=3, smooth=True)


def _pixel_object(canvas: np.ndarray, parts: Placed, main: np.ndarray) -> np.ndarray:
    return _solid(canvas, parts, main, edge=main * 0.275, width=5, smooth=False)


def _solid(canvas: np.ndarray, parts: Placed, main: np.ndarray, edge: np.ndarray, width: int, smooth: bool) -> np.ndarray:
    for points, role in parts:
        if role == "main":
            _outline(canvas, points, edge, width, smooth=smooth)
    for points, role in parts:
        _fill(canvas, points, _tones(main)[role], smooth)
    return canvas


def _sketch_object(canvas: np.ndarray, parts: Placed, main: np.ndarray) -> np.ndarray:
    inside = _mask(parts)
    hatching = np.where(_STRIPES[..., None], main * 0.82, main * 0.85 + PAPER * 0.15).astype(np.float32)
    canvas = canvas * (1 - inside) + hatching * inside
    for points, role in parts:
        if role != "main":
            _fill(canvas, points, _tones(main)["light"] if role == "light" else main * 0.165)
    for points, role in parts:
        if role == "main":
            _outline(canvas, points, (55, 50, 58), 3)
    return canvas


def _neon_object(canvas: np.ndarray, parts: Placed, main: np.ndarray) -> np.ndarray:
    tubes = np.zeros((CANVAS, CANVAS, 3), np.float32)
    body = [points for points, role in parts if role == "main"]
    for points in body:
        _outline(tubes, points, main, 5)
    for points in body:
        _fill(tubes, points, main * 0.42)
    for points, role in parts:
        _outline(tubes, points, main * 0.8 + 255 * 0.2 if role == "main" else main * 0.9, 3 if role == "main" else 2)
    halo = cv2.GaussianBlur(cv2.resize(tubes, (SIZE, SIZE), interpolation=cv2.INTER_AREA), (0, 0), 3.2)
    return canvas * (1 - _mask(parts) * 0.85) + tubes + halo.repeat(2, 0).repeat(2, 1) * 0.75


def _mask(parts: Placed) -> np.ndarray:
    """1 inside the object's body, (CANVAS, CANVAS, 1)."""
    mask = np.zeros((CANVAS, CANVAS), np.uint8)
    for points, role in parts:
        if role == "main":
            _fill(mask, points, 255)
    return mask[..., None].astype(np.float32) / 255


_PAINT_OBJECT = {"flat": _flat_object, "pixel": _pixel_object, "sketch": _sketch_object, "neon": _neon_object}
