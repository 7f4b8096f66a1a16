"""What the training section shows, as HTML: the loss as it falls, samples, how it ended. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pipelines.domain_models import DomainModel

from ..events import FINAL, Done, Event, Failed, Learning, Stopped
from ..requests import DomainTrainingRequest
from . import views

WIDTH, HEIGHT, LEFT, BOTTOM = 560, 180, 46, 22  # of the plot, in its own units


def waiting() -> str:
    """Before the first training."""
    return (
        '<p class="lead">A small network learns the look of your clips, and the studio\'s model stays as it is: afterwards the two are '
        "mixed at any strength. Twenty clips and five minutes are a start. It can be stopped at any time and go on later.</p>"
    )


def live(request: DomainTrainingRequest, event: Event, model: DomainModel | None) -> str:
    """A training under way, or how it ended."""
    title = f'<p class="prompt">{escape(request.name)}</p>'
    if isinstance(event, Learning):
        notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in event.notes)
        sample = (
            f'<img class="sample" src="{views.file_url(event.sample)}" alt="What it draws now">'
            if event.sample
            else '<p class="hint">The first sample comes soon.</p>'
        )
        return f"{title}{bar(event)}{plot(event.losses)}{sample}{notes}"
    if isinstance(event, Failed):
        again = views.button("Try again", "rerun", job=event.job_id)
        return f'{title}{views.alert(event.error)}<div class="actions">{again}</div>'
    if not isinstance(event, FINAL):
        return f'{title}<p class="status" role="status">{escape(views.status_line(event))}</p>'
    return title + ended(event, model)


def ended(event: Done | Stopped, model: DomainModel | None) -> str:
    """What can be done with what was learned."""
    if model is None:
        return '<p class="status" role="status">stopped before it had learned anything</p>' + again(event, "Start again")
    told = f"{model.parameters:,} parameters. It is in the list of domain models."
    curve = model.folder / "curve.svg"
    picture = f'<img class="curve" src="{views.file_url(curve)}" alt="Loss">' if curve.exists() else ""
    if isinstance(event, Stopped):
        return f'<p class="status" role="status">stopped, and kept · {told}</p>{picture}' + again(event, "Go on learning")
    return f'<p class="status" role="status">done · {told}</p>{picture}'


def again(event: Event, text: str) -> str:
    return f'<div class="actions">{views.button(text, "rerun", job=event.job_id)}</div>'


def bar(event: Learning) -> str:
    """The status line and a thin bar."""
    done = event.progress * 100
    return (
        f'<p class="status" role="status" aria-live="off">{escape(views.status_line(event))}</p><div class="bar" role="progressbar" '
        f'aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{done:.0f}"><i style="width:{done:.1f}%"></i></div>'
    )


def plot(losses: Sequence[tuple[float, float]]) -> str:
    """(minutes, loss) as a line, the loss on a logarithmic scale."""
    if len(losses) < 2:
        return f'<div class="plot empty" style="aspect-ratio:{WIDTH}/{HEIGHT}"></div>'
    end = max(minutes for minutes, _ in losses) or 1.0
    logs = [math.log(max(loss, 1e-9)) for _, loss in losses]
    low, high = min(logs), max(max(logs), min(logs) + 0.05)
    places = [
        (LEFT + minutes / end * (WIDTH - LEFT - 8), 8 + (high - value) / (high - low) * (HEIGHT - BOTTOM - 16))
        for (minutes, _), value in zip(losses, logs, strict=True)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    heads = "".join(
        f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{math.exp(v):.3f}</text>' for v, y in ((high, 14), (low, HEIGHT - BOTTOM))
    )
    ends = f'<text x="{LEFT}" y="{HEIGHT - 5}">0</text><text x="{WIDTH - 8}" y="{HEIGHT - 5}" text-anchor="end">{end:.1f} min</text>'
    last = f'<circle cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="3"/>'
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss over time, now {losses[-1][1]:.3f}">'
        f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - 8}M{LEFT} 8H{WIDTH - 8}"/><polyline points="{line}"/>{last}{heads}{ends}</svg>'
    )
