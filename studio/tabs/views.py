"""What the page shows, as HTML. Pure functions of the engine's values: no Gradio, no state."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from .. import source_clips
from ..engine import QueuedJob
from ..events import Event, Failed, Learning, Loading, Queued, StageStep, Step, Stopped
from ..history import ClipRecord
from ..jobs import State
from ..residency import MemoryReport, ResidentModel


def file_url(path: Path) -> str:
    """Where the page finds a file, relative to the page so that a studio behind a path prefix works."""
    return f"gradio_api/file={quote(path.resolve().as_posix())}"


def button(
    text: str, action: str, *, clip: str = "", job: str = "", model: str = "", style: str = "", label: str = "", extra: str = ""
) -> str:
    """A button that sends `action` to the server, with the clip, job or model it is about."""
    about = (("clip", clip), ("job", job), ("model", model))
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in about if value)
    named = f' aria-label="{escape(label)}" title="{escape(label)}"' if label else ""
    return f'<button type="button" class="{style}" data-do="{action}"{attributes}{named} {extra}>{escape(text)}</button>'


def picture(pixels: np.ndarray, label: str = "", style: str = "") -> str:
    """An image of pixels uint8 (h, w, 3), inside the page itself."""
    data = base64.b64encode(source_clips.pack(pixels[None])).decode()
    return f'<img class="{style}" src="data:image/png;base64,{data}" alt="{escape(label)}">'


def plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def seconds(value: float) -> str:
    """A time for people: 3 s, 1 min 20 s."""
    whole = max(1, round(value))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"


def alert(message: str) -> str:
    """An error where its cause is; an empty message shows nothing."""
    return f'<p class="alert" role="alert">{escape(message)}</p>' if message else ""


# -- Header -----------------------------------------------------------------------------------------------------------


def header(resident: Sequence[ResidentModel], memory: MemoryReport, waiting: int, running: bool) -> str:
    """One line beside the name and the model: what is loaded, device and memory, queue, theme."""
    used = min(1.0, memory.used / max(memory.total, 1))
    queue = " · ".join(part for part in ("1 running" if running else "", f"{waiting} waiting" if waiting else "") if part)
    return (
        f'<div class="header-line">{loaded(resident)}'
        f'<span class="fact" title="Memory of the device"><b>{escape(memory.device)}</b> '
        f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.0f} GB"
        f'<span class="meter" role="meter" aria-label="Memory used" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{used * 100:.0f}">'
        f'<i style="width:{used * 100:.0f}%"></i></span></span>'
        f'<span class="fact queue-fact{" busy" if running else ""}">{queue or "idle"}</span>'
        '<button type="button" class="api" data-open-api title="The same jobs from a program">API</button>'
        '<button type="button" class="theme" data-theme-toggle aria-label="Switch between dark and light" '
        'title="Switch between dark and light"><span class="to-light">Light</span><span class="to-dark">Dark</span></button></div>'
    )


def loaded(resident: Sequence[ResidentModel]) -> str:
    """The models that are loaded: one by name, several by their number, all of them where the pointer rests."""
    if not resident:
        return '<span class="fact loaded">loads with the first video</span>'
    lines = [f"{each.name} {each.bytes / 2**20:,.0f} MB{', waiting beside the device' if each.waiting else ''}" for each in resident]
    total = sum(each.bytes for each in resident) / 2**20
    said = f"{resident[0].name} loaded, {total:,.0f} MB" if len(resident) == 1 else f"{len(resident)} models loaded, {total:,.0f} MB"
    return f'<span class="fact loaded" title="{escape(" · ".join(lines))}">{escape(said)}</span>'


# -- The prompt -------------------------------------------------------------------------------------------------------


def unknown_words(words: Sequence[str], model: str) -> str:
    """Names the words of a prompt that the model has never seen."""
    if not words:
        return ""
    named = ", ".join(f"<b>{escape(short(word))}</b>" for word in words[:8]) + (" and more" if len(words) > 8 else "")
    return f'<p class="unknown">The {escape(model)} model has never seen: {named}</p>'


def vocabulary(groups: dict[str, list[str]], model: str) -> str:
    """What the model knows, behind one line; a click puts a phrase into the prompt."""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>"
        + "".join(f'<button type="button" data-insert="{escape(phrase)}">{escape(phrase)}</button>' for phrase in phrases)
        + "</dd>"
        for name, phrases in groups.items()
    )
    return f'<details class="words"><summary>What the {escape(model)} model knows</summary><dl>{rows}</dl></details>'


def changed(values: dict[str, object], titles: dict[str, str], prefix: str = "field") -> str:
    """The settings that differ from the default: named, marked at their control, reset with one click."""
    if not values:
        return ""
    marks = ",".join(f"#{prefix}-{name}" for name in values)
    chips = "".join(
        f'<li><button type="button" data-do="reset" data-field="{name}" title="Reset to the default" '
        f'aria-label="Reset {escape(titles[name])}">{escape(titles[name])} {escape(short(value))}'
        '<span aria-hidden="true">&times;</span></button></li>'
        for name, value in values.items()
    )
    every = '<li><button type="button" class="plain" data-do="reset-all">Reset all</button></li>' if len(values) > 1 else ""
    return f'<style>:is({marks}){{--mark:var(--accent)}}</style><ul class="chips changed" aria-label="Changed settings">{chips}{every}</ul>'


def short(value: object) -> str:
    """A setting's value in a chip."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"


# -- Progress --------------------------------------------------------------------------------------------------------


def status_line(event: Event) -> str:
    """What a job does, in words: 'denoising 12/24 · 3 s left · seed 41'."""
    match event:
        case Queued(position=position):
            return "next in the queue" if position == 1 else f"waiting · number {position} in the queue"
        case Loading(what=what):
            return f"loading the model {what}"
        case Learning(index=0):
            return "reading the clips"
        case Learning() as learning:
            left = f"{seconds(learning.seconds_left)} left" if learning.seconds_left is not None else ""
            loss = f"loss {learning.losses[-1][1]:.3f}" if learning.losses else ""
            return " · ".join(part for part in (f"learning, step {learning.index:,}", loss, left) if part)
        case StageStep() as step:
            left = f"{seconds(step.seconds_left)} left" if step.seconds_left is not None else ""
            name = step.stage.replace("_", " ")
            return " · ".join(part for part in (f"{name} {step.index}/{step.total}", left, f"seed {step.seed}") if part)
        case Step() as step:
            left = f"{seconds(step.seconds_left)} left" if step.seconds_left is not None else ""
            which = f"video {step.variation} of {step.variations}" if step.variations > 1 else ""
            said = (f"denoising {step.index}/{step.total}", left, f"seed {step.seed}", which, step.note)
            return " · ".join(part for part in said if part)
        case Stopped(clips=clips):
            return f"stopped · {plural(len(clips), 'video')} kept" if clips else "stopped"
        case Failed(error=error):
            return error
    return "done"


def progress(event: Event) -> str:
    """The status line and a thin bar."""
    line = escape(status_line(event))
    if not isinstance(event, Step):
        return f'<p class="status" role="status">{line}</p><div class="bar idle"></div>'
    done = (event.variation - 1 + event.index / event.total) / event.variations * 100
    return (
        f'<p class="status" role="status" aria-live="off">{line}</p><div class="bar" role="progressbar" aria-label="Progress" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{done:.0f}"><i style="width:{done:.1f}%"></i></div>'
    )


# -- The queue and what was made lately --------------------------------------------------------------------------------


def queue(lines: Sequence[QueuedJob]) -> str:
    """Running, waiting and interrupted jobs; nothing when there is only the one on the stage."""
    if not any(line.state is not State.RUNNING for line in lines):
        return ""
    waiting = sum(line.state is State.QUEUED for line in lines)
    return f'<h2>Queue</h2><ol class="queue">{"".join(queue_line(line, waiting) for line in lines)}</ol>'


def queue_line(line: QueuedJob, waiting: int) -> str:
    picture = f'<img src="{file_url(line.thumbnail)}" alt="">' if line.thumbnail else '<i class="blank"></i>'
    match line.state:
        case State.QUEUED:
            up = button("↑", "up", job=line.id, label="Earlier", extra="disabled" if line.position == 1 else "")
            down = button("↓", "down", job=line.id, label="Later", extra="disabled" if line.position == waiting else "")
            state, tools = f"number {line.position}", up + down + button("Skip", "skip", job=line.id)
        case State.INTERRUPTED:
            state, tools = "interrupted", button("Run again", "rerun", job=line.id) + button("Dismiss", "skip", job=line.id)
        case _:
            state, tools = "running", button("Show", "follow", job=line.id)
    what = f'<span class="what">{escape(line.prompt)}</span><span class="state">{state}</span>'
    return f'<li data-job="{line.id}">{picture}{what}<span class="tools">{tools}</span></li>'


def takeable(clips: Sequence[ClipRecord]) -> str:
    """The last clips, each to be taken for something."""
    own = "".join(
        f'<button type="button" data-do="take" data-clip="{clip.id}" title="{escape(clip.prompt)}" aria-label="Take {escape(clip.prompt)}">'
        f'<img src="{file_url(clip.thumbnail)}" alt=""></button>'
        for clip in clips
    )
    return f'<div class="strip small">{own}</div>' if own else ""


def recent(clips: Sequence[ClipRecord], chosen: str | None) -> str:
    """The last clips as a film strip."""
    if not clips:
        return ""
    return f'<h2>Recent</h2><div class="strip">{"".join(strip_frame(clip, clip.id == chosen) for clip in clips)}</div>'


def strip_frame(clip: ClipRecord, chosen: bool) -> str:
    prompt = escape(clip.prompt)
    return (
        f'<button type="button" data-do="show" data-clip="{clip.id}" aria-pressed="{str(chosen).lower()}" title="{prompt}" '
        f'aria-label="Show {prompt}, seed {clip.seed}"><img src="{file_url(clip.thumbnail)}" alt=""></button>'
    )
