"""Prompt following as a number: generates clips of held-out prompts and has the oracle read them.

    report = evaluate(pipe, EvaluationSettings(prompts=256))
    print(report.table())

Rendered clips of the same attributes are read as well; what the oracle gets right there is the ceiling.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InvalidInput
from .captions import PHRASES, PRIOR_STYLES, Attributes, plain_caption, random_attributes
from .oracle import READS, Oracle, Reading
from .world import render


@dataclass(frozen=True)
class EvaluationSettings:
    """What is generated; None means the model's own default.

    Args:
        prompts: how many, one clip each.
        seed: of the prompts; clip i starts from noise seed + i.
        batch: clips generated at once.
        sheet_rows: clips kept for the contact sheet.
        num_inference_steps, guidance_scale, sampler: as in `TextToVideoPipeline`.
    """

    prompts: int = 256
    seed: int = 1000
    batch: int = 8
    sheet_rows: int = 18
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None

    def __post_init__(self) -> None:
        for name in ("prompts", "batch"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", "Give a whole number of 1 or more.")

    def overrides(self) -> dict[str, Any]:
        """The keyword arguments of the pipeline that are not left to the model."""
        names = ("num_inference_steps", "guidance_scale", "sampler")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass
class Report:
    """Readings of generated clips beside what was asked for, and readings of rendered clips of the same attributes."""

    settings: EvaluationSettings
    asked: list[Attributes] = field(default_factory=list)
    read: list[Reading] = field(default_factory=list)
    ceiling_read: list[Reading] = field(default_factory=list)
    samples: list[np.ndarray] = field(default_factory=list)  # the first clips, uint8 (f, h, w, 3), for the contact sheet
    seconds: float = 0.0
    interrupted: bool = False

    def accuracy(self) -> dict[str, float]:
        """Attribute -> share of the clips that show what was asked for."""
        return _accuracy(self.asked, self.read)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        done = len(self.read)
        return {
            "accuracy": self.accuracy(),
            "all_five": _share([not wrong_attributes(a, r) for a, r in zip(self.asked, self.read, strict=True)]),
            "ceiling": _accuracy(self.asked, self.ceiling_read),
            "by_motion": self._by("motion"),
            "by_object": self._by("object"),
            "motion_confusion": self._confusion("motion"),
            "object_confusion": self._confusion("object"),
            "prompts": done,
            "interrupted": self.interrupted,
            "seconds_per_clip": round(self.seconds / done, 3) if done else None,
            "settings": asdict(self.settings),
        }

    def table(self) -> str:
        """The accuracies for a terminal."""
        if not self.read:
            return "No clip was generated."
        ours, ceiling = self.accuracy(), _accuracy(self.asked, self.ceiling_read)
        note = " (interrupted)" if self.interrupted else ""
        lines = [f"\n  Prompt following on {len(self.read)} held-out prompts{note}, {self.seconds / len(self.read):.2f} s a clip\n"]
        lines.append(f"  {'':12}{'model':>8}{'rendered':>10}")
        lines += [f"  {name:12}{ours[name]:>8.1%}{ceiling[name]:>10.1%}  {_bar(ours[name])}" for name in READS]
        for name in ("motion", "object"):
            confusion = self._confusion(name)
            lines.append(f"\n  by {name}")
            for value, share in self._by(name).items():
                instead = ", ".join(f"{read} {count}" for read, count in confusion[value].items() if read != value)
                lines.append(f"  {value:12}{share:>8.1%}{'':12}{_bar(share)}  {instead}".rstrip())
        return "\n".join(lines) + "\n"

    def _by(self, name: str) -> dict[str, float]:
        """Value of an attribute -> share of the clips that asked for it and show it."""
        pairs = [(getattr(a, name), getattr(r, name)) for a, r in zip(self.asked, self.read, strict=True)]
        present = [value for value in PHRASES[name] if any(value == asked for asked, _ in pairs)]
        return {value: _share([read == value for asked, read in pairs if asked == value]) for value in present}

    def _confusion(self, name: str) -> dict[str, dict[str, int]]:
        """Asked value -> read value ("none" where nothing was read) -> clips, the most frequent first."""
        counts: dict[str, Counter[str]] = {value: Counter() for value in PHRASES[name]}
        for a, r in zip(self.asked, self.read, strict=True):
            counts[getattr(a, name)][getattr(r, name) or "none"] += 1
        return {value: dict(counter.most_common()) for value, counter in counts.items() if counter}


def evaluate(
    pipe: Callable[..., Any],
    settings: EvaluationSettings | None = None,
    oracle: Oracle | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Generates and reads clips in batches. Ctrl-C ends it early with what there is.

    Args:
        pipe: a `TextToVideoPipeline`, or anything called like one.
        progress: told a short line after each batch.
    """
    settings, oracle = settings or EvaluationSettings(), oracle or Oracle.from_pretrained()
    report = Report(settings)
    wanted = held_out_attributes(settings.prompts, settings.seed)
    try:
        for start in range(0, len(wanted), settings.batch):
            _evaluate_batch(pipe, oracle, report, wanted[start : start + settings.batch], start)
            if progress:
                progress(_progress_line(report, len(wanted)))
    except KeyboardInterrupt:
        report.interrupted = True
    return report


def held_out_attributes(count: int, seed: int) -> list[Attributes]:
    """Attributes whose triples were never trained on; motions and the prior's styles in equal numbers, the rest at random."""
    rng = np.random.default_rng(seed)
    motions = list(PHRASES["motion"])
    attributes = []
    for i in range(count):
        drawn = random_attributes(rng, held_out=True)
        style = PRIOR_STYLES[(i // len(motions)) % len(PRIOR_STYLES)]
        attributes.append(Attributes(**{**asdict(drawn), "motion": motions[i % len(motions)], "style": style}))
    return attributes


def wrong_attributes(asked: Attributes, reading: Reading) -> list[str]:
    """Names of the attributes that were read differently."""
    return [name for name in READS if getattr(asked, name) != getattr(reading, name)]


def to_pixels(frames: np.ndarray) -> np.ndarray:
    """Float (..., 3) in [0, 1] -> uint8."""
    return np.clip(np.round(np.asarray(frames) * 255), 0, 255).astype(np.uint8)


def write_json(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.to_dict(), indent=2) + "\n")


def print_progress(line: str) -> None:
    """One line that overwrites itself in a terminal, and plain lines in a file."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(line.ljust(100), end=end, file=sys.stderr, flush=True)


def _evaluate_batch(pipe: Callable[..., Any], oracle: Oracle, report: Report, asked: list[Attributes], start: int) -> None:
    """Adds a whole batch to the report, or nothing."""
    seeds = range(report.settings.seed + start, report.settings.seed + start + len(asked))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    began = time.perf_counter()
    frames = pipe([plain_caption(a) for a in asked], generator=generators, **report.settings.overrides()).frames
    seconds = time.perf_counter() - began
    clips = list(to_pixels(frames))
    read = oracle.read_batch(clips)
    rendered = oracle.read_batch([render(a, np.random.default_rng((2, seed))) for a, seed in zip(asked, seeds, strict=True)])
    report.samples += clips[: max(0, report.settings.sheet_rows - len(report.samples))]
    report.asked += asked
    report.read += read
    report.ceiling_read += rendered
    report.seconds += seconds


def _progress_line(report: Report, total: int) -> str:
    shares = "  ".join(f"{name} {share:.0%}" for name, share in report.accuracy().items())
    left = report.seconds / len(report.read) * (total - len(report.read))
    return f"{len(report.read)}/{total}  {shares}  {left:.0f} s left"


def _accuracy(asked: list[Attributes], read: list[Reading]) -> dict[str, float]:
    return {name: _share([getattr(a, name) == getattr(r, name) for a, r in zip(asked, read, strict=True)]) for name in READS}


def _share(hits: list[bool]) -> float:
    return round(sum(hits) / len(hits), 4) if hits else 0.0


def _bar(share: float, width: int = 24) -> str:
    filled = round(share * width)
    return "█" * filled + "·" * (width - filled)
