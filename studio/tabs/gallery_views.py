"""What the gallery shows, as HTML. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ..history import ClipRecord
from ..reference_requests import Finishing
from ..requests import FinishingRequest
from ..sources import Kept
from . import facts
from .finishing import Offers
from .tuning_views import film
from .views import button, file_url, plural

FILM = 8  # frames of a dropped clip that are shown


def gallery(clips: Sequence[ClipRecord], search: str, offers: Offers) -> str:
    """All past clips as cards.

    Args:
        offers: how clips can be finished.
    """
    if not clips:
        nothing = f"No clip's prompt contains “{escape(search)}”." if search else "Every video you make is kept here."
        return f'<p class="lead">{nothing}</p>'
    return f'<div class="cards">{"".join(card(clip, offers) for clip in clips)}</div>'


def card(clip: ClipRecord, offers: Offers) -> str:
    label = escape(clip.request.headline)
    return (
        f'<article class="card" data-hover-play data-card="{clip.id}">'
        f'<button type="button" class="frame" data-do="open" data-clip="{clip.id}" aria-label="Open {label}">'
        f'<video src="{file_url(clip.path)}" poster="{file_url(clip.thumbnail)}" loop muted playsinline preload="none" tabindex="-1">'
        "</video></button>"
        f'<p class="prompt" title="{label}">{label}</p><p class="line" title="{escape(made(clip))}">{escape(made(clip))}</p>'
        f'<div class="actions">{button("Open", "open", clip=clip.id)}'
        f'<a href="{file_url(clip.path)}" download="{escape(clip.path.name)}">MP4</a>'
        + button("As reference", "as-reference", clip=clip.id, label="Use as reference")
        + button("Delete", "delete", clip=clip.id, extra='data-confirm="Delete for good?"')
        + f'</div><div class="actions">{offers.buttons(clip.id, (clip.width, clip.height))}</div></article>'
    )


def made(clip: ClipRecord) -> str:
    """When and how, in one line."""
    request = clip.request
    finish = [fact for fact in facts.finishing(request).values() if fact] if isinstance(request, Finishing) else []
    drawn = [] if isinstance(request, FinishingRequest) else [f"seed {clip.seed}", plural(request.steps, "step")]
    return " · ".join((f"{clip.created.astimezone():%d %b %H:%M}", *finish, *drawn))


def own(kept: Kept, frames: np.ndarray, offers: Offers) -> str:
    """A dropped clip as the model will see it, and what can be done to it."""
    height, width = frames.shape[1:3]
    facts = f"{plural(kept.frames, 'frame')} at {kept.fps:.3g} a second, {width} by {height}"
    notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in kept.notes)
    some = frames[np.linspace(0, len(frames) - 1, min(FILM, len(frames))).round().astype(int)]
    tools = offers.buttons(kept.name, (width, height)) + button("Put away", "close")
    return f'<section class="seen"><h2>Your clip: {facts}</h2>{film(some)}{notes}<div class="actions">{tools}</div></section>'


def paging(first: int, shown: int, total: int) -> str:
    return f'<p class="count" role="status">{first + 1} to {first + shown} of {total}</p>' if total else ""
