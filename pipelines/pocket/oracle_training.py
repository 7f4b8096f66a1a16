"""Trains the oracle's networks on rendered frames, clean and degraded, and measures the oracle on clips it has never seen."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .captions import PHRASES, Attributes, random_attributes
from .degrade import degrade
from .oracle import LABELS, READS, Oracle, OracleNetworks, cut_out, to_tensor
from .tracking import find_object
from .world import render

SEED = 20_000_000  # training clip k is rendered from SEED + k; the checks use other seeds
FRAMES_PER_CLIP = 3
CLEAN = 0.25  # share of training clips that are not degraded
BATCH = 144
LEARNING_RATE = 3e-3
STYLES = tuple(PHRASES["style"])


@dataclass(frozen=True)
class Lessons:
    """frames uint8 (n, 64, 64, 3), cutouts uint8 (n, 32, 32, 3) of their objects, labels attribute -> int64 (n,)."""

    frames: np.ndarray
    cutouts: np.ndarray
    labels: dict[str, torch.Tensor]


def train(clips: int = 6000, steps: int = 600, seed: int = 0) -> Oracle:
    """A new oracle, trained on `clips` rendered clips whose triples are not held out."""
    torch.manual_seed(seed)
    started = time.perf_counter()
    lessons = render_lessons(clips)
    print(f"{len(lessons.frames)} frames rendered in {time.perf_counter() - started:.0f} s", flush=True)
    networks = OracleNetworks()
    optimizer = torch.optim.AdamW(networks.parameters(), LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        loss = _loss(networks, lessons, rng.integers(0, len(lessons.frames), BATCH))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            print(f"step {step}/{steps}  loss {loss.item():.3f}  {time.perf_counter() - started:.0f} s", flush=True)
    return Oracle(networks)


def render_lessons(clips: int) -> Lessons:
    """Renders and degrades training frames, in as many processes as there are cores."""
    with multiprocessing.get_context("spawn").Pool() as pool:
        parts = list(pool.imap(_lesson, range(SEED, SEED + clips), chunksize=64))
    frames, cutouts, names = zip(*[part for parts_of_clip in parts for part in parts_of_clip], strict=True)
    labels = {name: torch.tensor([LABELS[name].index(getattr(known, name)) for known in names]) for name in LABELS}
    return Lessons(np.stack(frames), np.stack(cutouts), labels)


def held_out_clips(count: int, seed: int, styles: tuple[str, ...] = STYLES) -> Iterator[tuple[Attributes, np.ndarray]]:
    """Rendered clips of triples that nothing was trained on."""
    for k in range(count):
        rng = np.random.default_rng((seed, k))
        known = random_attributes(rng, styles, held_out=True)
        yield known, render(known, rng)


def check(oracle: Oracle, clips: int = 512, seed: int = 1, worse: bool = False) -> dict[str, float]:
    """Attribute -> share of held-out clips that are read right; `worse` degrades the clips first."""
    right = dict.fromkeys(READS, 0)
    rng = np.random.default_rng(seed)
    for known, clip in held_out_clips(clips, seed):
        reading = oracle.read(degrade(clip, rng) if worse else clip)
        for name in READS:
            right[name] += getattr(reading, name) == getattr(known, name)
    return {name: count / clips for name, count in right.items()}


def print_check(oracle: Oracle, clips: int, seed: int) -> None:
    """Prints a table: clean and degraded clips, one column an attribute."""
    print(f"{clips} held-out clips, share read right\n\n{'':10}" + "".join(f"{name:>12}" for name in READS))
    for row, worse in (("clean", False), ("degraded", True)):
        shares = check(oracle, clips, seed, worse)
        print(f"{row:10}" + "".join(f"{shares[name]:>12.1%}" for name in READS), flush=True)


def _loss(networks: OracleNetworks, lessons: Lessons, picks: np.ndarray) -> torch.Tensor:
    logits = networks.read_frames(to_tensor(lessons.frames[picks]))
    logits["object"] = networks.read_cutouts(to_tensor(lessons.cutouts[picks]))
    losses = [F.cross_entropy(values, lessons.labels[name][picks], label_smoothing=0.02) for name, values in logits.items()]
    return torch.stack(losses).sum()


def _lesson(seed: int) -> list[tuple[np.ndarray, np.ndarray, Attributes]]:
    """Frames of one clip with the object cut out as the oracle will find it, a bit off; frames where it is not found are left out."""
    rng = np.random.default_rng(seed)
    known = random_attributes(rng, STYLES, held_out=False)
    clip = render(known, rng, times=rng.random(FRAMES_PER_CLIP))
    if rng.random() >= CLEAN:
        clip = degrade(clip, rng)
    track = find_object(clip)
    lessons = []
    for i in np.flatnonzero(track.seen):
        aside = (rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06))
        lessons.append((clip[i], cut_out(clip[i], track.mask[i], rng.uniform(0.9, 1.15), aside), known))
    return lessons
