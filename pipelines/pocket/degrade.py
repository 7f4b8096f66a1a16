"""Makes rendered clips look generated: soft, noisy, with the seams of a patch autoencoder. The oracle is trained on these."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from .captions import PHRASES, random_attributes
from .world import render

PATCH = 8


def degrade(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A worse copy of a clip uint8 (f, h, w, 3): each fault comes or not, at a random strength, the same for all frames."""
    worse = clip.astype(np.float32)
    if rng.random() < 0.3:
        worse = _shift(worse, rng)
    if rng.random() < 0.6:
        worse = _through_patches(worse, rng)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.3, 0.9)
        worse = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in worse])
    if rng.random() < 0.5:
        worse = worse * rng.uniform(0.92, 1.06, 3).astype(np.float32) + np.float32(rng.uniform(-8, 8))
    if rng.random() < 0.5:
        worse = worse + rng.standard_normal(worse.shape, np.float32) * np.float32(rng.uniform(1, 10))
    pixels = np.clip(np.round(worse), 0, 255).astype(np.uint8)
    return _through_jpeg(pixels, int(rng.integers(35, 90))) if rng.random() < 0.25 else pixels


def _shift(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to two pixels to any side, the border repeated."""
    move = np.array([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]], np.float32)
    return np.stack([cv2.warpAffine(frame, move, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE) for frame in clip])


def _through_jpeg(clip: np.ndarray, quality: int) -> np.ndarray:
    encoded = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for frame in clip]
    return np.stack([np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)) for jpeg in encoded])


def _through_patches(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keeps the leading components of each patch, shrinks the weak ones and adds noise to them, as a denoiser that is not sure does."""
    mean, basis, spread = _components()
    kept = int(rng.integers(40, 97))
    flat, (f, h, w) = _to_patches(clip), clip.shape[:3]
    latents = (flat - mean) @ basis[:, :kept]
    unsure = rng.uniform(0, 12)  # in pixel units: components weaker than this fade, as under a Wiener filter
    latents = latents * (spread[:kept] ** 2 / (spread[:kept] ** 2 + unsure**2))
    latents = latents + rng.standard_normal(latents.shape, np.float32) * np.float32(rng.uniform(0, 14))
    flat = latents @ basis[:, :kept].T + mean
    tiles = flat.reshape(f, h // PATCH, w // PATCH, PATCH, PATCH, 3)
    return tiles.transpose(0, 1, 3, 2, 4, 5).reshape(f, h, w, 3)


def _to_patches(clip: np.ndarray) -> np.ndarray:
    """(f, h, w, 3) -> float32 (f * patches, PATCH * PATCH * 3)."""
    f, h, w = clip.shape[:3]
    tiles = clip.reshape(f, h // PATCH, PATCH, w // PATCH, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return tiles.reshape(-1, PATCH * PATCH * 3).astype(np.float32)


@cache
def _components() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, principal components and their standard deviations of the world's patches, from a few hundred rendered frames."""
    rng = np.random.default_rng(0)
    styles = tuple(PHRASES["style"])
    frames = [render(random_attributes(rng, (styles[k % len(styles)],), held_out=False), rng, times=rng.random(2)) for k in range(300)]
    flat = _to_patches(np.concatenate(frames))
    mean = flat.mean(0)
    variances, vectors = np.linalg.eigh(np.cov(flat - mean, rowvar=False))
    order = np.argsort(variances)[::-1]
    return mean, vectors[:, order].astype(np.float32), np.sqrt(np.maximum(variances[order], 0)).astype(np.float32)
