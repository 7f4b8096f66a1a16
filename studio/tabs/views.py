"""What the page shows, as HTML. Pure functions of the engine's values: no Gradio, no state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from pipelines.samplers import SAMPLERS

from ..engine import QueuedJob
from ..events import Event, Failed, Learning, Loading, Queued, Step, Stopped
from ..examples import Example
from ..history import ClipRecord
from ..jobs import State
from ..requests import TextToVideoRequest
from ..residency import MemoryReport, ResidentModel


def file_url(path: Path) -> str:
    """Where the page finds a file, relative to the page so that a studio behind a path prefix works."""
    return f"gradio_api/file={quote(path.resolve().as_posix())}"


def button(text: str, action: str, *, clip: str = "", job: str = "", style: str = "", label: str = "", extra: str = "") -> str:
    """A button that sends `action` to the server, with the clip or job it is about."""
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in (("clip", clip), ("job", job)) if value)
    named = f' aria-label="{escape(label)}" title="{escape(label)}"' if label else ""
    return f'<button type="button" class="{style}" data-do="{action}"{attributes}{named} {extra}>{escape(text)}</button>'


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


def header(model: str, resident: Sequence[ResidentModel], memory: MemoryReport, waiting: int, running: bool) -> str:
    """One line: name, model, device and memory, queue, theme."""
    loaded = next((each for each in resident if each.name == model), None)
    state = f"{loaded.bytes / 2**20:.0f} MB resident" if loaded else "loads with the first video"
    used = min(1.0, memory.used / max(memory.total, 1))
    queue = " · ".join(part for part in ("1 running" if running else "", f"{waiting} waiting" if waiting else "") if part)
    return (
        '<div class="header-line"><h1>Prior Studio</h1>'
        f'<span class="fact" title="The text-to-video model"><b>{escape(model)}</b> {state}</span>'
        f'<span class="fact" title="Memory of the device"><b>{escape(memory.device)}</b> '
        f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.0f} GB"
        f'<span class="meter" role="meter" aria-label="Memory used" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{used * 100:.0f}">'
        f'<i style="width:{used * 100:.0f}%"></i></span></span>'
        f'<span class="fact queue-fact{" busy" if running else ""}">{queue or "idle"}</span>'
        '<button type="button" class="api" data-open-api title="The same jobs from a program">API</button>'
        '<button type="button" class="theme" data-theme-toggle aria-label="Switch between dark and light" '
        'title="Switch between dark and light"><span class="to-light">Light</span><span class="to-dark">Dark</span></button></div>'
    )


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


# -- The stage --------------------------------------------------------------------------------------------------------


def chips(request: TextToVideoRequest, size: str = "", without: Collection[str] = ()) -> str:
    """All settings of a video, readable; without those that vary."""
    facts = [fact for name, fact in settings(request, size).items() if fact and name not in without]
    return '<ul class="chips facts" aria-label="Settings">' + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>"


def settings(request: TextToVideoRequest, size: str = "") -> dict[str, str]:
    """Field -> its value in words; empty where it does not matter."""
    if request.tuned_model:
        return tuned(request) | {"size": size}
    alpha = "" if request.noise_kind == "independent" else f" alpha {request.noise_alpha:g}"
    return {
        "seed": f"seed {request.seed}",
        "frames": plural(request.frames, "frame"),
        "fps": f"{request.fps:g} fps",
        "steps": plural(request.steps, "step"),
        "guidance_scale": f"guidance {request.guidance_scale:g}",
        "sampler": SAMPLERS[request.sampler].label,
        "noise_kind": f"{request.noise_kind} noise",
        "noise_alpha": alpha.strip(),
        "size": size,
        "negative_prompt": f"without {request.negative_prompt}" if request.negative_prompt else "",
        **mixture(request),
    }


def tuned(request: TextToVideoRequest) -> dict[str, str]:
    """What decides an edit, a reconstruction, or nothing but which clip it is."""
    played = {"frames": plural(request.frames, "frame"), "fps": f"{request.fps:g} fps"}
    which = {"shows": {"edit": "", "reconstruction": "reconstruction", "source": "source clip"}[request.shows]}
    model = {"tuned_model": f"tuned model {request.tuned_model}"}
    if request.shows == "source":
        return model | which | played
    last = f"checkpoint {request.tuned_steps}" if request.tuned_steps else "last checkpoint"
    made = {"tuned_steps": last, "steps": plural(request.steps, "step"), "guidance_scale": f"guidance {request.guidance_scale:g}"}
    if request.shows == "reconstruction":
        return model | which | made | played
    return model | {
        **made,
        "structure": f"structure {request.structure:g}",
        "base_strength": f"base strength {request.base_strength:g}" if request.base_strength else "",
        "seed": f"seed {request.seed}" if request.structure < 1 else "",
        "negative_prompt": f"without {request.negative_prompt}" if request.negative_prompt else "",
        **played,
    }


def mixture(request: TextToVideoRequest) -> dict[str, str]:
    """The domain model of a video and how it is mixed with its prior; nothing where there is none."""
    if not request.domain_model:
        return {}
    return {
        "domain_model": f"domain model {request.domain_model}",
        "prior_strength": f"prior strength {request.prior_strength:g}",
        "composition": "summed as in the paper" if request.composition == "paper" else "",
        "strength_schedule": "strength fading" if request.strength_schedule == "fading" else "",
        "langevin_steps": plural(request.langevin_steps, "Langevin step") if request.langevin_steps else "",
        "prior_prompt": f"prior told: {request.prior_prompt}" if request.prior_prompt else "",
    }


def player(clip: ClipRecord) -> str:
    return (
        f'<video data-clip src="{file_url(clip.path)}" poster="{file_url(clip.thumbnail)}" autoplay loop muted playsinline '
        f'aria-label="{escape(clip.prompt)}"></video>'
    )


def stage(cells: Sequence[str], ratio: float, under: str, caption: str, state: str) -> str:
    """The hero and the two lines under it: what happens or can be done, and what it is."""
    return (
        f'<section class="stage" data-state="{state}" data-cells="{len(cells)}" style="--ratio:{ratio:.4f}" aria-label="Stage">'
        f'<div class="hero">{"".join(f"<div class=cell>{cell}</div>" for cell in cells)}</div>'
        f'<div class="under">{under}</div><div class="caption">{caption}</div></section>'
    )


def caption(request: TextToVideoRequest, size: str = "") -> str:
    return f'<p class="prompt">{escape(request.prompt)}</p>{chips(request, size)}'


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
        case Step() as step:
            left = f"{seconds(step.seconds_left)} left" if step.seconds_left is not None else ""
            which = f"video {step.variation} of {step.variations}" if step.variations > 1 else ""
            return " · ".join(part for part in (f"denoising {step.index}/{step.total}", left, f"seed {step.seed}", which) if part)
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


def running(event: Event, request: TextToVideoRequest, made: Sequence[ClipRecord], ratio: float) -> str:
    """A job under way: finished variations, the one being denoised, and places for those to come."""
    preview = event.preview if isinstance(event, Step) else None
    now = (
        f'<img class="preview" src="{file_url(preview)}" alt="Preview of the video being denoised">' if preview else '<i class="blank"></i>'
    )
    cells = [player(clip) for clip in made[: request.variations]] + [now]
    cells += ['<i class="blank"></i>'] * (request.variations - len(cells))
    return stage(cells[: request.variations], ratio, progress(event), caption(request), "running")


def finished(clips: Sequence[ClipRecord], chosen: ClipRecord, note: str = "") -> str:
    """The looping clips, what can be done with the chosen one, and its settings."""
    cells = [player(clip) if len(clips) == 1 else choice(clip, clip.id == chosen.id) for clip in clips]
    line = f'<p class="status" role="status">{escape(note)}</p>' if note else ""
    ratio = chosen.width / chosen.height
    return stage(cells, ratio, line + actions(chosen), caption(chosen.request, f"{chosen.width} by {chosen.height}"), "done")


def choice(clip: ClipRecord, chosen: bool) -> str:
    """One of several variations, to be chosen."""
    return (
        f'<button type="button" class="choice" data-do="choose" data-clip="{clip.id}" aria-pressed="{str(chosen).lower()}" '
        f'aria-label="Seed {clip.seed}">{player(clip)}<span>seed {clip.seed}</span></button>'
    )


def actions(clip: ClipRecord) -> str:
    """The strip under a finished clip."""
    url, name = file_url(clip.path), escape(clip.path.name)
    gif = clip.gif_path
    as_gif = f'<a href="{file_url(gif)}" download="{escape(gif.name)}">GIF</a>' if gif else button("GIF", "gif", clip=clip.id)
    return (
        f'<div class="actions"><a href="{url}" download="{name}">Download MP4</a>{as_gif}'
        + button("Use these settings", "use", clip=clip.id)
        + button("Same seed, new prompt", "same-seed", clip=clip.id, extra="data-focus-prompt")
        + ("" if clip.request.tuned_model else button("Compare strengths", "compare", clip=clip.id))
        + (button("Tune on this", "tune", clip=clip.id) if clip.frames > 1 else "")
        + button("Open in gallery", "gallery", clip=clip.id)
        + "</div>"
    )


def stopped(preview: str, request: TextToVideoRequest, event: Event, ratio: float) -> str:
    """A job that gave no video: stopped early, or failed."""
    failed = isinstance(event, Failed)
    cell = f'<img class="preview faded" src="{escape(preview)}" alt="Where it stopped">' if preview else '<i class="blank"></i>'
    line = alert(event.error) if isinstance(event, Failed) else f'<p class="status" role="status">{escape(status_line(event))}</p>'
    again = (
        '<div class="actions">' + button("Run again", "rerun", job=event.job_id) + button("Use these settings", "use-job", job=event.job_id)
    )
    return stage([cell], ratio, f"{line}{again}</div>", caption(request), "failed" if failed else "stopped")


def welcome(examples: Sequence[Example], prompts: Iterable[str]) -> str:
    """Before the first run: clips that load their settings when clicked; without clips, prompts."""
    if examples:
        lead, cards = "Made by the model that ships with the studio. Click one to load its settings.", map(example_card, examples)
    else:
        lead, cards = "Say what the video should show, or start from one of these.", map(prompt_card, prompts)
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


# -- The gallery --------------------------------------------------------------------------------------------------------


def gallery(clips: Sequence[ClipRecord], search: str) -> str:
    """All past clips as cards."""
    if not clips:
        nothing = f"No clip's prompt contains “{escape(search)}”." if search else "Every video you make is kept here."
        return f'<p class="lead">{nothing}</p>'
    return f'<div class="cards">{"".join(card(clip) for clip in clips)}</div>'


def card(clip: ClipRecord) -> str:
    request = clip.request
    line = f"{clip.created.astimezone():%d %b %H:%M} · seed {clip.seed} · {plural(request.steps, 'step')}"
    return (
        f'<article class="card" data-hover-play data-card="{clip.id}">'
        f'<button type="button" class="frame" data-do="open" data-clip="{clip.id}" aria-label="Open {escape(clip.prompt)}">'
        f'<video src="{file_url(clip.path)}" poster="{file_url(clip.thumbnail)}" loop muted playsinline preload="none" tabindex="-1">'
        "</video></button>"
        f'<p class="prompt" title="{escape(clip.prompt)}">{escape(clip.prompt)}</p><p class="line">{line}</p>'
        f'<div class="actions">{button("Open", "open", clip=clip.id)}'
        f'<a href="{file_url(clip.path)}" download="{escape(clip.path.name)}">MP4</a>'
        + button("Delete", "delete", clip=clip.id, extra='data-confirm="Delete for good?"')
        + "</div></article>"
    )


def paging(first: int, shown: int, total: int) -> str:
    return f'<p class="count" role="status">{first + 1} to {first + shown} of {total}</p>' if total else ""
