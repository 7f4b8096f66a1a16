"""A chain of stages while it is made: what is kept already is taken, the rest is made and kept, and whoever watches sees each stage.

A stage's result is found by all that decides it: its settings, the pixels it starts from, the weights, the versions and the source of
what makes it. So another seed of the motion finds the picture, and another finish finds the motion. `pipelines.reference.ReferenceChain`
is the same in memory. Pixel video is uint8 (f, h, w, 3).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from pipelines.checkpoints import read_defaults
from pipelines.errors import StorageError

from .events import StageStep
from .making import Bench, Making, versions
from .previews import Previews
from .stages import ORDER, Stored, key_of, pixels_hash

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    """A stage that is to be there.

    Args:
        name: its place's.
        after: names of the stages whose frames it starts from, one after another.
        decides: its settings, as JSON has them.
        weights: files of the networks it uses -> their hashes.
        fps: at which its result plays.
        steps: that it tells of.
        cost: how long it takes, compared with the others.
        make: from the frames it starts from; it tells each step, and stops where the answer is False.
    """

    name: str
    after: tuple[str, ...]
    decides: Mapping[str, Any]
    weights: Mapping[str, str]
    fps: float
    steps: int
    cost: float
    make: Callable[[np.ndarray, Ticker], np.ndarray]


@cache
def code_hash() -> str:
    """Of the methods' source: between two releases they change, and so may what they make."""
    files = sorted(Path(pipelines.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


class Damaged(Exception):
    """A kept result turned out to be unreadable, and was forgotten."""


class Chain:
    """The stages of one job.

    Args:
        making: the job.
        bench: what it is made with.
        seed: that is told with each step.
    """

    def __init__(self, making: Making, bench: Bench, seed: int) -> None:
        self.making, self.bench, self.seed = making, bench, seed
        self.stages = bench.stages
        self.made: dict[str, tuple[Stored, bool]] = {}  # name -> result, and whether it was there before
        self.given: dict[str, tuple[np.ndarray, float]] = {}
        self.frames: dict[str, np.ndarray] = {}  # of the results at hand
        self.seconds = self.cost = 0.0  # of the stages that were made
        shutil.rmtree(making.previews, ignore_errors=True)

    def give(self, name: str, frames: np.ndarray, fps: float) -> None:
        """Puts frames uint8 (f, h, w, 3) where a stage would have made some."""
        self.given[name] = frames, fps
        key = key_of({"given": pixels_hash(frames), "fps": fps})
        stored = self.stages.find(key)
        self._put(name, stored or self.stages.keep(key, frames, fps, 0.0, self._needed()), stored is not None)
        self.frames[name] = frames

    def run(self, plan: Sequence[Planned]) -> np.ndarray | None:
        """The frames of the last stage; None when the job was stopped before. Finished stages stay."""
        while True:  # a damaged result is forgotten each time round
            try:
                return self._run(plan)
            except Damaged as error:
                log.warning("%s", error)
                given, self.made, self.frames = self.given, {}, {}
                for name, (frames, fps) in given.items():
                    self.give(name, frames, fps)

    def _run(self, plan: Sequence[Planned]) -> np.ndarray | None:
        for i, stage in enumerate(plan):
            key = self._key(stage)
            if stored := self.stages.find(key):
                self._put(stage.name, stored, True)
            elif self.making.stop.is_set() or not self._make(stage, key, plan[i + 1 :]):
                return None
        return self._pixels(plan[-1].name)

    def _make(self, stage: Planned, key: str, later: Sequence[Planned]) -> bool:
        ticker = Ticker(self, stage, sum(each.cost for each in later))
        before = [self._pixels(name) for name in stage.after]
        ticker.tell()
        with ticker.previews:
            frames = stage.make(np.concatenate(before) if before else np.empty(0, np.uint8), ticker)
        if ticker.stopped:
            return False
        self.seconds, self.cost = self.seconds + ticker.seconds, self.cost + stage.cost
        self._put(stage.name, self.stages.keep(key, frames, stage.fps, ticker.seconds, self._needed()), False)
        self.frames = {stage.name: frames}  # of the others there may be too many to hold
        ticker.tell()
        return True

    def _key(self, stage: Planned) -> str:
        return key_of(
            {
                "stage": stage.name,
                "settings": dict(stage.decides),
                "before": [self.made[name][0].pixels for name in stage.after],
                "weights": dict(stage.weights),
                "model": read_defaults(self.bench.settings.model_dir).to_dict(),
                "versions": versions(),
                "code": code_hash(),
                "fps": stage.fps,
            }
        )

    def _put(self, name: str, stored: Stored, cached: bool) -> None:
        self.made = dict(sorted({**self.made, name: (stored, cached)}.items(), key=lambda found: ORDER.index(found[0])))
        self.stages.note(self.making.job_id, [(name, *found) for name, found in self.made.items()])

    def _pixels(self, name: str) -> np.ndarray:
        if name not in self.frames:
            try:
                self.frames[name] = self.stages.frames(self.made[name][0])
            except StorageError as error:
                raise Damaged(str(error)) from error
        return self.frames[name]

    def _needed(self) -> set[str]:
        return {stored.key for stored, _ in self.made.values()}


class Ticker:
    """Counts the steps of a stage: tells the observers, and stops it when somebody asked for that. A pipeline's step callback, too.

    Args:
        chain: that it belongs to.
        stage: that is made.
        later: cost of the stages after it.
    """

    def __init__(self, chain: Chain, stage: Planned, later: float) -> None:
        self.chain, self.stage, self.later = chain, stage, later
        self.done, self.stopped = 0, False
        self.previews = Previews(chain.making, chain.bench.tell)
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    def __call__(self, pipe: Any, index: int, timestep: int, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.done + 1 < self.stage.steps and "denoised" in tensors:
            self.previews.offer(pipe, tensors["denoised"], self.stage.fps, self.stage.name, self.done + 1)
        if not self.tick():
            pipe._interrupt = True
        return {}

    def tick(self) -> bool:
        """A step is done; False when the stage shall stop."""
        self.done += 1
        self.stopped = self.stopped or self.chain.making.stop.is_set()
        if not self.stopped:
            self.tell()
        return not self.stopped

    def tell(self) -> None:
        """How far it is, with the newest preview."""
        made = tuple(stored.shown(name, cached) for name, (stored, cached) in self.chain.made.items())
        finished = any(each.name == self.stage.name for each in made)
        tell = self.chain.bench.tell if finished else self.previews.tell
        tell(
            StageStep(
                self.chain.making.job_id,
                self.stage.steps if finished else min(self.done, self.stage.steps),
                self.stage.steps,
                None,
                self._seconds_left(finished),
                self.chain.seed,
                stage=self.stage.name,
                stages=made,
            )
        )

    def _seconds_left(self, finished: bool) -> float | None:
        share = 1.0 if finished else min(1.0, self.done / self.stage.steps)
        cost = self.chain.cost + (0.0 if finished else share * self.stage.cost)
        seconds = self.chain.seconds + (0.0 if finished else self.seconds)
        return seconds / cost * ((1 - share) * self.stage.cost + self.later) if cost else None
