"""Rendered clips on disk: a memory-mapped array of pixels and a list of attributes, made once and read by every training stage."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .captions import PRIOR_STYLES, Attributes, random_attributes
from .world import FRAMES, SIZE, render

SEED = 10_000_000


def render_dataset(folder: Path, clips: int, styles: tuple[str, ...] = PRIOR_STYLES, workers: int | None = None) -> None:
    """Renders `clips` training clips (held-out triples excluded) into `folder`. Does nothing when they are there already."""
    if _count(folder) >= clips:
        return
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(folder / "partial.npy", "w+", np.uint8, (clips, FRAMES, SIZE, SIZE, 3))
    attributes = []
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for k, (known, clip) in enumerate(pool.imap(_render_one, ((k, styles) for k in range(clips)), chunksize=32)):
            pixels[k] = clip
            attributes.append(asdict(known))
    pixels.flush()
    (folder / "clips.json").write_text(json.dumps(attributes))
    (folder / "partial.npy").rename(folder / "clips.npy")


def open_dataset(folder: Path) -> tuple[np.ndarray, list[Attributes]]:
    """Pixels uint8 (n, 16, 64, 64, 3), mapped from disk, and the attributes of each clip."""
    pixels = np.load(folder / "clips.npy", mmap_mode="r")
    return pixels, [Attributes(**known) for known in json.loads((folder / "clips.json").read_text())]


def _render_one(job: tuple[int, tuple[str, ...]]) -> tuple[Attributes, np.ndarray]:
    k, styles = job
    rng = np.random.default_rng(SEED + k)
    attributes = random_attributes(rng, styles, held_out=False)
    return attributes, render(attributes, rng)


def _count(folder: Path) -> int:
    if not (folder / "clips.npy").exists():
        return 0
    return len(np.load(folder / "clips.npy", mmap_mode="r"))
