"""The readings of `one_shot_evaluation` as a table, as JSON, and as a contact sheet: source, reconstruction, edit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..text_to_video import TextToVideoPipeline
from .captions import plain_caption
from .evaluate import wrong_attributes
from .one_shot_evaluation import EDITED, WAYS, Plan, Rows, Subject, cases, making_of
from .oracle import Oracle
from .sheet import Row, write_rows

TARGETS = {"edited": 0.80, "motion": 0.90, "path": 0.95, "kept": 0.85}  # least means of the full method
MEASURES = (*TARGETS, "consistency", "alignment")
SHARES = ("edited", "motion", "kept")
TIMES = ("tuning", "inversion", "edit")


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Measure -> mean over the rows that have it; seconds too."""
    values: dict[str, list[float]] = {name: [row[name] for row in rows if row[name] is not None] for name in MEASURES}
    values |= {f"{name} seconds": [row["seconds"][name] for row in rows] for name in TIMES}
    return {name: round(float(np.mean(each)), 4) if each else None for name, each in values.items()}


def table(rows: Rows, plan: Plan) -> str:
    """All ways for a terminal, the full method by edited attribute, and what it should reach."""
    lines = [f"\n  {'':34}{'clips':>6}" + "".join(f"{name:>12}" for name in (*MEASURES, *(f"{t} s" for t in TIMES)))]
    for way in plan.ways:
        lines += _line(WAYS[way].label, rows.of(way, plan.clips))
    full = rows.of("full", plan.clips)
    for name in EDITED if full else ():
        lines += _line(f"  full method, {name} edited", [row for row in full if row["edited_attribute"] == name])
    lines.append(f"  {'the full method should reach':34}{'':6}" + "".join(f"{_number(name, least):>12}" for name, least in TARGETS.items()))
    return "\n".join(lines) + "\n"


def write_report(pipe: TextToVideoPipeline, rows: Rows, plan: Plan, path: Path) -> None:
    """JSON: means of each way, of each edited attribute in it, whether the targets are met, and every reading."""
    ways = {}
    for way in plan.ways:
        mine = rows.of(way, plan.clips)
        by = {name: means([row for row in mine if row["edited_attribute"] == name]) for name in EDITED}
        ways[way] = {"label": WAYS[way].label, "clips": len(mine), **means(mine), "by edited attribute": by}
    full = means(rows.of("full", plan.clips))
    reached = {name: (full[name] or 0.0) >= least for name, least in TARGETS.items()}
    readings = [row for way in plan.ways for row in rows.of(way, plan.clips)]
    report = {"making": making_of(pipe, plan), "ways": ways, "targets": TARGETS, "reached": reached, "readings": readings}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


def write_sheet(pipe: TextToVideoPipeline, plan: Plan, path: Path, clips: int = 8) -> None:
    """The first clips, made again by the full method, as a PNG: source, reconstruction and edit under each other."""
    rows, oracle = [], Oracle.from_pretrained()
    for case in cases(min(clips, plan.clips), plan.seed):
        subject = Subject(pipe, case, plan)
        edited, _ = subject.make(WAYS["full"])
        read = oracle.read(edited)
        wrong = [f"{name} read as {getattr(read, name) or 'none'}" for name in wrong_attributes(case.target, read)]
        rows += [Row(subject.frames, plain_caption(case.source)), Row(subject.reconstruct(), "reconstruction")]
        rows.append(Row(edited, plain_caption(case.target), ", ".join(wrong)))
    write_rows(rows, path)


def _line(label: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    mean = means(rows)
    numbers = [f"{_number(name, mean[name]):>12}" for name in (*MEASURES, *(f"{time} seconds" for time in TIMES))]
    return [f"  {label:34}{len(rows):>6}" + "".join(numbers)]


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in SHARES:
        return f"{value:.1%}"
    return f"{value:.1f}" if name.endswith("seconds") else f"{value:.3f}"
