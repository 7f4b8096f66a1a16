"""What the tab of one-shot tuning shows, as HTML: the clip, the frames the model sees, the tuning, the tuned models. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from .. import bundled, source_clips
from ..events import FINAL, Done, Event, Failed, Learning, Stopped
from ..history import ClipRecord
from ..requests import TuningRequest
from ..source_clips import ClipFacts, SourceClip
from ..tuned_models import TunedRecord
from . import axes, example_walls, views, wall_views
from .training_views import again, bar, plot

SHOWN_SIDE = 128  # pixels: frames of larger models are shown smaller


def welcome() -> str:
    """Before a clip is chosen."""
    return (
        '<p class="lead">One clip and its caption teach the model this one motion. Then the words are changed, and the motion stays: '
        "a man skiing becomes a robot skiing. Drop a clip, or take one of those on the left.</p>" + shown_edits()
    )


def shown_edits() -> str:
    """What came of a bundled clip: shipped, so that there is something to see before anything is tuned."""
    video = example_walls.clip_of(example_walls.EDITS)
    if video is None:
        return ""
    heads = "".join(f"<span>{escape(text)}</span>" for text in axes.labels(example_walls.EDITED))
    return f'<figure class="shown-edits">{wall_views.example(video)}<figcaption>{heads}</figcaption></figure>'


def real_footage(model: str) -> str:
    """What to expect of a small model on camera clips, before anybody waits for it."""
    return (
        f'<p class="hint">The {escape(model)} model has only ever seen drawn shapes. Real footage comes back softer, and edits of it will '
        "hardly follow the words. For those, choose a Stable Diffusion model at the top of the page.</p>"
    )


def picks(clips: Sequence[ClipRecord]) -> str:
    """Clips that are there already: the bundled ones, and those made lately."""
    ready = "".join(views.button(name.capitalize(), "bundled", clip=name, label=bundled.caption(name)) for name in bundled.CLIPS)
    own = views.takeable([clip for clip in clips if clip.frames > 1])
    lately = f'<p class="hint">Or one of yours:</p>{own}' if own else ""
    return f'<div class="picks"><div class="actions">{ready}</div>{lately}</div>'


# -- The clip -----------------------------------------------------------------------------------------------------------


def clip(name: str, facts: ClipFacts, strip: Sequence[tuple[float, bytes]], start: float, seconds: float) -> str:
    """The whole clip as a strip; a picture is where the first frame may be."""
    line = f"{escape(name)} · {facts.seconds:.1f} s · {facts.width} by {facts.height} · {facts.fps:g} frames a second"
    pictures = "".join(
        f'<button type="button" data-do="start" data-clip="{at:.2f}" aria-pressed="{str(start - 1e-6 <= at <= start + seconds).lower()}" '
        f'aria-label="Start at {at:.1f} seconds"><img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt=""></button>'
        for at, data in strip
    )
    return (
        f'<section class="trim"><h2>The clip</h2><p class="hint">{line}</p><div class="trim-strip" role="group" '
        f'aria-label="Start of the part that is learned">{pictures}</div></section>'
    )


def frames(source: SourceClip) -> str:
    """Exactly what the model will see."""
    said = f"{views.plural(len(source.frames), 'frame')} at {source.fps:.3g} a second"
    notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in source.notes)
    return f'<section class="seen"><h2>What the model will see: {said}</h2>{film(source.frames)}{notes}</section>'


def film(frames: np.ndarray) -> str:
    """Frames uint8 (f, h, w, 3) side by side."""
    step = max(1, max(frames.shape[1:3]) // SHOWN_SIDE)  # so that a large model's frames stay quick to send
    count, ratio = len(frames), frames.shape[2] / frames.shape[1]
    sheet = base64.b64encode(source_clips.pack(frames[:, ::step, ::step])).decode()
    places = "".join(f'<i style="--at:{i}" role="img" aria-label="Frame {i + 1}"></i>' for i in range(count))
    return f'<div class="film" style="--count:{count};--ratio:{ratio:.4f};--sheet:url(data:image/png;base64,{sheet})">{places}</div>'


def estimate(seconds: float | None) -> str:
    """About how long the tuning takes, before it is started."""
    said = "How long it takes is known after its first steps." if seconds is None else f"Takes about {views.seconds(seconds)}."
    return f'<p class="hint">{said}</p>'


# -- The tuning -----------------------------------------------------------------------------------------------------------


def live(request: TuningRequest, event: Event, record: TunedRecord | None) -> str:
    """A tuning under way, or how it ended."""
    on = f'<p class="hint">On the model {escape(request.model)}</p>' if request.model else ""
    title = f'<h2>Tuned model {escape(request.name)}</h2><p class="prompt">{escape(request.caption)}</p>{on}'
    if isinstance(event, Learning):
        notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in event.notes)
        return f"{title}{bar(event)}{plot(event.losses)}{sample(request, event)}{notes}"
    if isinstance(event, Failed):
        kept = f'<p class="hint">What it had learned after {record.steps} steps is kept.</p>' if record else ""
        return title + views.alert(event.error) + kept + again(event, "Go on learning" if record else "Try again")
    if not isinstance(event, FINAL):
        return f'{title}<p class="status" role="status">{escape(views.status_line(event))}</p>'
    return title + ended(event, record)


def sample(request: TuningRequest, event: Learning) -> str:
    """What the model draws now, under the words of what is side by side."""
    if event.sample is None:
        return '<p class="hint">The first sample comes after a quarter of the steps.</p>'
    named = ["The clip", "Its caption", *([f"“{request.edit}”"] if request.edit else [])]
    heads = "".join(f"<span>{escape(each)}</span>" for each in named)
    return (
        f'<figure class="samples" style="--count:{len(named)}"><figcaption>{heads}</figcaption>'
        f'<img class="sample" src="{views.file_url(event.sample)}" alt="What it draws now"></figure>'
    )


def ended(event: Done | Stopped, record: TunedRecord | None) -> str:
    """What can be done with what was learned."""
    if record is None:
        gone = "stopped before it had learned anything" if isinstance(event, Stopped) else "deleted meanwhile"
        return f'<p class="status" role="status">{gone}</p>' + again(event, "Start again")
    how = "done" if record.finished else "stopped, and kept"
    more = "" if record.finished else views.button("Go on learning", "rerun", job=event.job_id)
    return (
        f'<p class="status" role="status">{how} · {views.plural(record.steps, "step")} in {views.seconds(record.seconds)}</p>'
        f'<div class="actions">{views.button("Edit with it", "edit", clip=record.name)}{more}</div>'
    )


# -- Tuned models ---------------------------------------------------------------------------------------------------------


def models(records: Iterable[tuple[TunedRecord, str, str]]) -> str:
    """All that were kept, to be chosen from.

    Args:
        records: (tuned model, its base for people, why that cannot be used now, or "").
    """
    cards = "".join(card(*each) for each in records)
    return f'<h2>Tuned models</h2><div class="past-walls tuned">{cards}</div>' if cards else ""


def card(record: TunedRecord, base: str, why: str) -> str:
    parts = [views.plural(record.steps, "step"), views.plural(record.frames, "frame"), f"on {base}", *(["not usable now"] if why else [])]
    return (
        f'<button type="button" data-do="choose" data-clip="{escape(record.name)}" title="{escape(why)}">'
        f'<img src="{views.file_url(record.thumbnail)}" alt=""><span class="what">{escape(record.title)}</span>'
        f'<span class="what">{escape(record.caption)}</span><span class="line">{escape(" · ".join(parts))}</span></button>'
    )


def edits_welcome(chosen: TunedRecord | None) -> str:
    """In the place of the first wall."""
    if chosen is None:
        return '<p class="lead">Nothing is tuned yet. Tune on a clip first, or add the file of a tuned model.</p>'
    lead = "Write what should be different, one edit a line. The clip, its reconstruction and every edit then play in step."
    return f'<p class="lead">{lead}</p>'


def about(record: TunedRecord | None, base: str = "", why: str = "") -> str:
    """The caption that edits start from, and the model that makes them, or why it cannot."""
    if record is None:
        return ""
    made_by = views.alert(why) or f'<p class="about">Its model, whichever is chosen above: {escape(base)}</p>'
    return f'<p class="about">Its clip: {escape(record.caption)}</p>{made_by}'


def delete(record: TunedRecord | None) -> str:
    if record is None:
        return ""
    return f"""<div class="actions">{views.button("Delete", "delete", extra='data-confirm="Delete for good?"')}</div>"""
