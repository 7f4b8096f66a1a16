"""The readings of `composition_evaluation` as a curve, a table, a figure, and the claim that they support or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from .card import COLORS
from .composition_evaluation import COMPOSED, PRIOR_ALONE, Cell, Grid, Readings
from .oracle import READS

LEAST_STYLE = 0.85  # of the clips, that a composition must keep
LEAST_GAIN = 0.25  # in content, over the domain model alone
MOST_PRIOR_STYLE = 0.10  # of the prior's own clips, that may be in the domain's style
MEASURES = ("style", "content", "object", "background", "color", "motion")


@dataclass(frozen=True)
class Point:
    """One setting, over all prompts and seeds.

    Args:
        cell: the setting, of seed 0.
        shares: measure -> share of the clips; content is the mean of object and background.
        clips: how many.
        seeds: content of each seed.
    """

    cell: Cell
    shares: Mapping[str, float]
    clips: int
    seeds: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        cell = {name: value for name, value in asdict(self.cell).items() if name != "seed"}
        return {**cell, **self.shares, "clips": self.clips, "content_of_seeds": list(self.seeds)}


def points_of(readings: Readings) -> list[Point]:
    """One point a setting, its seeds together, sorted by curve and strength."""
    together: dict[Cell, list[list[dict[str, bool]]]] = {}
    for cell, rows in readings.rows.items():
        together.setdefault(Cell(**{**asdict(cell), "seed": 0}), []).append(list(rows.values()))
    points = []
    for cell, seeds in together.items():
        everything = [row for rows in seeds for row in rows]
        points.append(Point(cell, _shares(everything), len(everything), tuple(_shares(rows)["content"] for rows in seeds)))
    return sorted(points, key=lambda p: (p.cell.series, p.cell.strength))


def claim_of(points: Iterable[Point], domain: str) -> dict[str, Any]:
    """Whether the composition gains what it should, at its best point: the most content among those that keep the style."""
    mine = [p for p in points if p.cell.domain == domain]
    ends = [p for p in mine if p.cell.way == COMPOSED and p.cell.strength == 0]
    prior = next((p for p in mine if p.cell.way == PRIOR_ALONE), None)
    composed = [p for p in mine if p.cell.way == COMPOSED and p.cell.strength > 0]
    if not composed or not ends or prior is None:
        return {"domain": domain, "holds": None}
    kept = [p for p in composed if p.shares["style"] >= LEAST_STYLE]
    best = max(kept, key=lambda p: p.shares["content"]) if kept else max(composed, key=lambda p: p.shares["style"] + p.shares["content"])
    alone = max(ends, key=lambda p: p.shares["content"])
    gain = round(best.shares["content"] - alone.shares["content"], 4)
    holds = best.shares["style"] >= LEAST_STYLE and gain >= LEAST_GAIN and prior.shares["style"] <= MOST_PRIOR_STYLE
    return {
        "domain": domain,
        "holds": holds,
        "gain": gain,
        "best": best.to_dict(),
        "alone": alone.to_dict(),
        "prior": prior.to_dict(),
    }


def table(points: Iterable[Point]) -> str:
    """All points for a terminal, and the claim of each domain model."""
    points = list(points)
    lines = [f"  {'':44}{'gamma':>7}" + "".join(f"{name:>12}" for name in MEASURES) + f"{'clips':>8}"]
    before: tuple[Any, ...] = ()
    for p in points:
        name = label(p.cell) if p.cell.series != before else ""
        gamma = "-" if p.cell.way == PRIOR_ALONE else f"{p.cell.strength:g}"
        lines.append(f"  {name:44}{gamma:>7}" + "".join(f"{p.shares[m]:>12.1%}" for m in MEASURES) + f"{p.clips:>8}")
        before = p.cell.series
    lines += [_sentence(claim_of(points, domain)) for domain in dict.fromkeys(p.cell.domain for p in points)]
    return "\n".join(lines) + "\n"


def label(cell: Cell) -> str:
    """What a curve is called."""
    if cell.way == PRIOR_ALONE:
        return f"{cell.domain}: {PRIOR_ALONE}"
    if cell.way != COMPOSED:
        return f"{cell.domain}: {cell.way}, guidance {cell.guidance:g}"
    correction = f", {cell.langevin} Langevin" if cell.langevin else ""
    return f"{cell.domain}: {cell.mode}, {cell.schedule}{correction}, guidance {cell.guidance:g}"


def write_report(points: list[Point], grid: Grid, path: Path) -> None:
    """JSON with the whole curve, and the figure beside it under the same name (SVG)."""
    domains = list(dict.fromkeys(p.cell.domain for p in points))
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {"grid": asdict(grid), "claims": [claim_of(points, d) for d in domains], "points": [p.to_dict() for p in points]}
    path.write_text(json.dumps(report, indent=2) + "\n")
    path.with_suffix(".svg").write_text(figure(points))


def _shares(rows: list[dict[str, bool]]) -> dict[str, float]:
    shares = {name: sum(row[name] for row in rows) / len(rows) for name in READS}
    shares["content"] = (shares["object"] + shares["background"]) / 2
    return {name: round(shares[name], 4) for name in MEASURES}


def _sentence(claim: Mapping[str, Any]) -> str:
    if claim["holds"] is None:
        return f"\n  {claim['domain']}: no claim without the domain model alone, the prior alone and a composition."
    best, verdict = claim["best"], "holds" if claim["holds"] else "does not hold"
    return (
        f"\n  {claim['domain']}: the claim {verdict}. At gamma {best['strength']:g} ({best['mode']}, "
        f"{best['schedule']}, {best['langevin']} Langevin, guidance {best['guidance']:g}) style {best['style']:.1%}, content "
        f"{best['content']:.1%}, {100 * claim['gain']:+.1f} points over the domain model alone; the prior alone has the style in "
        f"{claim['prior']['style']:.1%}."
    )


# ---------------------------------------------------------------------------------------------------------------------
# The figure

WIDTH, PANEL, MARGIN, ROW = 760, 250, 46, 16


def figure(points: list[Point]) -> str:
    """An SVG: a panel a domain model; content whole and style dashed over gamma, one colour a curve; the prior alone as lines across."""
    drawn, top = [], 0
    for domain in dict.fromkeys(p.cell.domain for p in points):
        mine = [p for p in points if p.cell.domain == domain]
        panel, height = _panel(domain, mine, top)
        drawn.append(panel)
        top += height
    style = '<style>text{font:12px sans-serif;fill:#999}</style><rect width="100%" height="100%" fill="#16171d"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}">{style}{"".join(drawn)}</svg>\n'


def _panel(domain: str, points: list[Point], top: int) -> tuple[str, int]:
    """(the panel, its height with the legend under it)."""
    gammas = sorted({p.cell.strength for p in points if p.cell.way != PRIOR_ALONE})
    curves: dict[tuple[Any, ...], list[Point]] = {}
    for p in points:
        if p.cell.way != PRIOR_ALONE and p.cell.strength > 0:
            curves.setdefault(p.cell.series, []).append(p)
    parts = [_text(MARGIN, top + 18, f"{domain}: content (whole) and style (dashed) over the prior strength")]
    parts += [_text(8, _y(share, top) + 4, f"{share:.0%}") for share in (0, 0.5, 1)]
    parts += [_text(_x(g, gammas) - 8, top + PANEL - 8, f"{g:g}") for g in gammas]
    for row, (curve, color) in enumerate(zip(curves.values(), cycle(COLORS), strict=False)):
        starts = [p for p in points if p.cell.way == COMPOSED and p.cell.strength == 0 and p.cell.guidance == curve[0].cell.guidance]
        for measure, dash in (("content", ""), ("style", "5 4")):
            xy = " ".join(f"{_x(p.cell.strength, gammas):.1f},{_y(p.shares[measure], top):.1f}" for p in [*starts, *curve])
            parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.6" stroke-dasharray="{dash}" points="{xy}"/>')
        parts.append(f'<text x="{MARGIN}" y="{top + PANEL + ROW * (row + 1)}" style="fill:{color}">{label(curve[0].cell)}</text>')
    for p in points:
        if p.cell.way == PRIOR_ALONE:
            parts += [_across(p, "content", "", top), _across(p, "style", "2 4", top)]
    return "".join(parts), PANEL + ROW * (len(curves) + 1) + 12


def _across(prior: Point, measure: str, dash: str, top: int) -> str:
    y = _y(prior.shares[measure], top)
    line = f'<line x1="{MARGIN}" x2="{WIDTH - 120}" y1="{y:.1f}" y2="{y:.1f}" stroke="#666" stroke-dasharray="{dash}"/>'
    return line + _text(WIDTH - 114, y + 4, f"{PRIOR_ALONE}: {measure}")


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}">{text}</text>'


def _x(gamma: float, gammas: list[float]) -> float:
    """Strengths stand at equal distances, whatever they are."""
    return MARGIN + gammas.index(gamma) / max(1, len(gammas) - 1) * (WIDTH - 120 - MARGIN)


def _y(share: float, top: int) -> float:
    return top + 30 + (1 - share) * (PANEL - 60)
