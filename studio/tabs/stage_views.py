"""What a stage shows, as HTML: the looping clips, what can be done with them, how they were made. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ..events import Event, Failed, Step
from ..examples import Example
from ..history import ClipRecord
from ..requests import ClipRequest, TextToVideoRequest
from .facts import caption
from .finishing import Offers
from .views import alert, button, file_url, progress, status_line

BLANK = '<i class="blank"></i>'


def player(video: Path, thumbnail: Path | None, label: str) -> str:
    """A clip that plays by itself, in a loop."""
    poster = f' poster="{file_url(thumbnail)}"' if thumbnail else ""
    return f'<video data-clip src="{file_url(video)}"{poster} autoplay loop muted playsinline aria-label="{escape(label)}"></video>'


def clip_player(clip: ClipRecord) -> str:
    return player(clip.path, clip.thumbnail, clip.prompt)


def preview(picture: Path | None) -> str:
    """What is being denoised, or its place."""
    return f'<img class="preview" src="{file_url(picture)}" alt="Preview of the video being denoised">' if picture else BLANK


def stage(cells: Sequence[str], ratio: float, under: str, caption: str, state: str) -> str:
    """The hero and the two lines under it: what happens or can be done, and what it is."""
    return (
        f'<section class="stage" data-state="{state}" data-cells="{len(cells)}" style="--ratio:{ratio:.4f}" aria-label="Stage">'
        f'<div class="hero">{"".join(f"<div class=cell>{cell}</div>" for cell in cells)}</div>'
        f'<div class="under">{under}</div><div class="caption">{caption}</div></section>'
    )


def running(event: Event, request: ClipRequest, made: Sequence[ClipRecord], ratio: float, before: str = BLANK) -> str:
    """A job under way: finished variations, the one being denoised, and places for those to come.

    Args:
        before: what is shown until there is a preview.
    """
    count = request.variations if isinstance(request, TextToVideoRequest) else 1
    picture = event.preview if isinstance(event, Step) else None
    cells = [clip_player(clip) for clip in made[:count]] + [preview(picture) if picture else before]
    cells += [BLANK] * (count - len(cells))
    return stage(cells[:count], ratio, progress(event), caption(request), "running")


def finished(clips: Sequence[ClipRecord], chosen: ClipRecord, offers: Offers, note: str = "") -> str:
    """The looping clips, what can be done with the chosen one, and its settings.

    Args:
        offers: how clips can be finished.
        note: what happened.
    """
    cells = [clip_player(clip) if len(clips) == 1 else choice(clip, clip.id == chosen.id) for clip in clips]
    line = f'<p class="status" role="status">{escape(note)}</p>' if note else ""
    size = f"{chosen.width} by {chosen.height}"
    return stage(cells, chosen.width / chosen.height, line + actions(chosen, offers), caption(chosen.request, size), "done")


def choice(clip: ClipRecord, chosen: bool) -> str:
    """One of several variations, to be chosen."""
    return (
        f'<button type="button" class="choice" data-do="choose" data-clip="{clip.id}" aria-pressed="{str(chosen).lower()}" '
        f'aria-label="Seed {clip.seed}">{clip_player(clip)}<span>seed {clip.seed}</span></button>'
    )


def actions(clip: ClipRecord, offers: Offers) -> str:
    """The strip under a finished clip."""
    url, name = file_url(clip.path), escape(clip.path.name)
    gif = clip.gif_path
    as_gif = f'<a href="{file_url(gif)}" download="{escape(gif.name)}">GIF</a>' if gif else button("GIF", "gif", clip=clip.id)
    own = isinstance(clip.request, TextToVideoRequest)
    comparable = isinstance(clip.request, TextToVideoRequest) and not clip.request.tuned_model
    return (
        f'<div class="actions"><a href="{url}" download="{name}">Download MP4</a>{as_gif}'
        + offers.buttons(clip.id, (clip.width, clip.height))
        + button("Use as reference", "as-reference", clip=clip.id)
        + button("Use these settings" if clip.request.kind != "finishing" else "Open what it was", "use", clip=clip.id)
        + (button("Same seed, new prompt", "same-seed", clip=clip.id, extra="data-focus-prompt") if own else "")
        + (button("Compare strengths", "compare", clip=clip.id) if comparable else "")
        + (button("Tune on this", "tune", clip=clip.id) if clip.frames > 1 else "")
        + button("Open in gallery", "gallery", clip=clip.id)
        + "</div>"
    )


def stopped(picture: str, request: ClipRequest, event: Event, ratio: float) -> str:
    """A job that gave no video: stopped early, or failed."""
    failed = isinstance(event, Failed)
    cell = f'<img class="preview faded" src="{escape(picture)}" alt="Where it stopped">' if picture else BLANK
    line = alert(event.error) if isinstance(event, Failed) else f'<p class="status" role="status">{escape(status_line(event))}</p>'
    again = button("Run again", "rerun", job=event.job_id)
    if request.kind != "finishing":
        again += button("Use these settings", "use-job", job=event.job_id)
    return stage([cell], ratio, f'{line}<div class="actions">{again}</div>', caption(request), "failed" if failed else "stopped")


# -- Before the first run ---------------------------------------------------------------------------------------------


def welcome(examples: Sequence[Example], prompts: Iterable[str]) -> str:
    """Clips that load their settings when clicked; without clips, prompts."""
    if examples:
        lead, cards = "Made by the model that ships with the studio. Click one to load its settings.", map(example_card, examples)
    else:
        lead, cards = "Say what the video should show, or start from one of these.", map(prompt_card, prompts)
    return opening(lead, cards)


def opening(lead: str, cards: Iterable[str]) -> str:
    """A sentence and what to start from."""
    return (
        '<section class="stage welcome" data-state="welcome" aria-label="Stage">'
        f'<p class="lead">{lead}</p><div class="examples">{"".join(cards)}</div></section>'
    )


def example_card(example: Example) -> str:
    return (
        f'<button type="button" class="example" data-do="example" data-clip="{escape(example.name)}">'
        f'<video data-clip src="{file_url(example.video)}" autoplay loop muted playsinline tabindex="-1" aria-hidden="true"></video>'
        f"<span>{escape(example.request.prompt)}</span></button>"
    )


def prompt_card(prompt: str) -> str:
    text = escape(prompt)
    return f'<button type="button" class="example words-only" data-do="prompt" data-clip="{text}"><span>{text}</span></button>'
