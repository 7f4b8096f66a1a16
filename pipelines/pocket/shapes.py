"""The pocket world's objects as polygons and its backgrounds as layers, in plain coordinates.

An object is a list of (polygon, role): polygons are (n, 2) arrays around (0, 0) of radius about 1; roles are "main", "light", "dark".
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, field

import numpy as np

RGB = tuple[float, float, float]
HUES = {"red": 0, "orange": 28, "yellow": 52, "green": 125, "cyan": 182, "blue": 222, "purple": 275, "pink": 325}  # degrees


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """RGB in 0..255 from a hue in degrees, saturation and value in 0..1."""
    r, g, b = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    return 255 * r, 255 * g, 255 * b


def disc(radius: float, points: int, cx: float = 0.0, cy: float = 0.0) -> np.ndarray:
    a = np.arange(points) * 2 * np.pi / points
    return np.stack([cx + radius * np.cos(a), cy + radius * np.sin(a)], 1)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, np.float64)


def _star() -> np.ndarray:
    a = np.arange(10) * np.pi / 5 - np.pi / 2
    r = np.where(np.arange(10) % 2 == 0, 1.12, 0.5)
    return np.stack([r * np.cos(a), r * np.sin(a)], 1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([16 * np.sin(t) ** 3, y], 1) / 16.0 - np.array([0, 0.1])


def _fish_body() -> np.ndarray:
    return np.array([[1.0 * math.cos(a) - 0.15, 0.62 * math.sin(a)] for a in np.arange(24) * 2 * np.pi / 24])


OBJECTS: dict[str, list[tuple[np.ndarray, str]]] = {
    "ball": [(disc(0.95, 28), "main"), (disc(0.28, 14, -0.35, -0.38), "light")],
    "square": [
        (polygon((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)), "main"),
        (polygon((-0.6, -0.6), (0.1, -0.6), (0.1, -0.3), (-0.6, -0.3)), "light"),
    ],
    "triangle": [
        (polygon((0, -1.05), (1.0, 0.75), (-1.0, 0.75)), "main"),
        (polygon((-0.05, -0.5), (0.12, -0.15), (-0.42, 0.3), (-0.55, 0.3)), "light"),
    ],
    "star": [(_star(), "main"), (disc(0.22, 12, -0.08, -0.1), "light")],
    "heart": [(_heart(), "main"), (disc(0.2, 12, -0.45, -0.42), "light")],
    "diamond": [
        (polygon((0, -1.15), (0.75, 0), (0, 1.15), (-0.75, 0)), "main"),
        (polygon((0, -0.8), (0.0, 0), (-0.45, 0)), "light"),
    ],
    "fish": [
        (polygon((0.55, 0), (1.15, -0.6), (1.15, 0.6)), "main"),
        (_fish_body(), "main"),
        (disc(0.17, 12, -0.68, -0.15), "light"),
        (disc(0.08, 8, -0.7, -0.15), "dark"),
    ],
    "rocket": [
        (polygon((-0.4, 0.35), (-0.9, 1.0), (-0.3, 0.85)), "main"),
        (polygon((0.4, 0.35), (0.9, 1.0), (0.3, 0.85)), "main"),
        (polygon((0, -1.25), (0.35, -0.75), (0.45, -0.1), (0.4, 0.85), (-0.4, 0.85), (-0.45, -0.1), (-0.35, -0.75)), "main"),
        (disc(0.2, 12, 0, -0.3), "light"),
    ],
}


@dataclass
class Scenery:
    """A background before it gets a style: sky colours, filled layers from back to front, star dots (x, y, radius)."""

    top: RGB
    bottom: RGB
    layers: list[tuple[np.ndarray, RGB]] = field(default_factory=list)
    dots: list[tuple[float, float, float]] = field(default_factory=list)


def scenery(background: str, size: int, rng: np.random.Generator) -> Scenery:
    """A random background of that kind on a canvas of size x size. Colours are muted, so that objects stand out."""
    return _SCENERIES[background](size, rng)


def _below(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Everything below the curve y(x)."""
    return np.concatenate([np.stack([x, y], 1), [[size + 4, size + 4], [-4, size + 4]]])


def _ridge(size: int, base: float, height: float, waves: float, phase: float) -> np.ndarray:
    x = np.linspace(-4, size + 4, 40)
    return _below(x, base - height * np.sin(x / size * waves + phase), size)


def _plain(size: int, rng: np.random.Generator) -> Scenery:
    hue = rng.uniform(0, 360)
    return Scenery(hsv(hue, 0.10, 0.97), hsv(hue, 0.22, 0.85))


def _hills(size: int, rng: np.random.Generator) -> Scenery:
    u = rng.uniform
    far = _ridge(size, size * u(0.62, 0.70), size * 0.09, u(4, 7), u(0, 6))
    near = _ridge(size, size * u(0.78, 0.84), size * 0.07, u(4, 8), u(0, 6))
    sun = disc(size * 0.08, 24, size * u(0.12, 0.88), size * 0.14)
    layers = [(sun, hsv(50, 0.22, 1)), (far, hsv(130, 0.25, 0.72)), (near, hsv(120, 0.38, 0.60))]
    return Scenery(hsv(205, 0.25, 0.95), hsv(200, 0.10, 0.98), layers)


def _sea(size: int, rng: np.random.Generator) -> Scenery:
    y = size * rng.uniform(0.58, 0.66)
    water = polygon((-4, y), (size + 4, y), (size + 4, size + 4), (-4, size + 4))
    layers = [(water, hsv(208, 0.42, 0.72))]
    x = np.linspace(-4, size + 4, 40)
    for k in range(3):
        wave = y + size * (0.08 + 0.1 * k) + size * 0.018 * np.sin(x / size * (14 + 2 * k) + rng.uniform(0, 6))
        layers.append((_below(x, wave, size), hsv(212, 0.46, 0.66 - 0.07 * k)))
    return Scenery(hsv(200, 0.18, 0.97), hsv(25, 0.12, 0.98), layers)


def _city(size: int, rng: np.random.Generator) -> Scenery:
    u = rng.uniform
    layers: list[tuple[np.ndarray, RGB]] = []
    for near, (value, skyline) in enumerate([(0.62, 0.5), (0.42, 0.68)]):
        x = -u(0, 8)
        while x < size:
            w, y = size * u(0.10, 0.18), size * (skyline + u(-0.12, 0.12))
            layers.append((polygon((x, y), (x + w, y), (x + w, size + 4), (x, size + 4)), hsv(235, 0.25, value)))
            if near:
                layers += _windows(x, y, w, size, rng)
            x += w + size * u(0, 0.02)
    return Scenery(hsv(260, 0.14, 0.80), hsv(20, 0.20, 0.95), layers)


def _windows(x: float, y: float, w: float, size: int, rng: np.random.Generator) -> list[tuple[np.ndarray, RGB]]:
    spots = [(wx, wy) for wy in np.arange(y + 5, size - 3, 11) for wx in (x + w * 0.25, x + w * 0.65)]
    lit = [(wx, wy) for wx, wy in spots if rng.random() < 0.6]
    return [(polygon((wx, wy), (wx + 4, wy), (wx + 4, wy + 5), (wx, wy + 5)), hsv(48, 0.28, 0.92)) for wx, wy in lit]


def _night(size: int, rng: np.random.Generator) -> Scenery:
    u = rng.uniform
    moon = disc(size * 0.11, 28, size * u(0.15, 0.85), size * u(0.14, 0.2))
    dots = [(u(2, size - 2), u(2, size * 0.85), u(1.2, 2.4)) for _ in range(rng.integers(16, 26))]
    ground = _ridge(size, size * u(0.88, 0.93), size * 0.04, u(4, 7), u(0, 6))
    layers = [(moon, hsv(55, 0.12, 0.96)), (ground, hsv(245, 0.45, 0.12))]
    return Scenery(hsv(240, 0.50, 0.16), hsv(250, 0.42, 0.34), layers, dots)


def _desert(size: int, rng: np.random.Generator) -> Scenery:
    u = rng.uniform
    sun = disc(size * 0.10, 28, size * u(0.15, 0.85), size * 0.17)
    far = _ridge(size, size * u(0.66, 0.72), size * 0.07, u(3, 5), u(0, 6))
    near = _ridge(size, size * u(0.80, 0.85), size * 0.06, u(3, 6), u(0, 6))
    layers = [(sun, hsv(45, 0.10, 1)), (far, hsv(32, 0.34, 0.86)), (near, hsv(28, 0.40, 0.74))]
    return Scenery(hsv(35, 0.18, 0.98), hsv(25, 0.26, 0.95), layers)


_SCENERIES = {"plain": _plain, "hills": _hills, "sea": _sea, "city": _city, "night": _night, "desert": _desert}
