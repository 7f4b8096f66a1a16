"""What the tab of models shows, as HTML. Pure functions; nothing is said that is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType

from pipelines.catalog import Catalog, CatalogEntry, DescribedLora, DescribedModel
from pipelines.families import FAMILIES, FEATURES

from ..downloads import size_text
from ..events import FINAL, Event, Queued, Step
from ..fetching import Fetch
from ..model_here import ModelHere
from ..settings import Settings
from . import lora_views, speed_views
from .lora_views import LoraShown
from .model_words import chips, count_text, licence, page
from .speed_views import SpeedShown
from .views import alert, button, plural, seconds

ROLES = {
    "text-to-video": "text to video",
    "image-to-video": "picture to video",
    "image-base": "base of motion modules",
    "one-shot": "one-shot tuning",
    "prior": "prior",
    "adapter": "small model over a prior",
}
CAN = {
    "text": "Made from text",
    "negative_prompt": "Negative prompt",
    "guidance": "Guidance",
    "fps": "Frame rate that it follows",
    "size": "Sizes other than its own",
    "sampler": "Other samplers",
    "noise_prior": "Noise priors",
    "composition": "Prior strength",
    "lora": "LoRAs",
    "one_shot": "One-shot tuning",
}
BUNDLED, OWN_LICENCE = Settings.model_fields["model_dir"].default, "Apache-2.0, like the studio"
OWN_MODEL = "The studio's own model"
PLAIN, NO_ADVICE = SpeedShown(), LoraShown()
ORIGINS = {"studio": "the model this studio runs", "pair": "a motion module and the model that it moves"}  # not removed by themselves


def summary(here: Sequence[ModelHere], free: int, offline: bool) -> str:
    """How much is here, and for how much there is room."""
    stored = [one for one in here if one.origin != "pair"]  # which takes no room of its own
    total = sum(one.bytes for one in stored)
    parts = [f"{plural(len(stored), 'model')}, {size_text(total)}", f"{size_text(free)} free on the disk"]
    if offline:
        parts.append("offline: the Hub is asked for nothing")
    return f'<h2>Here</h2><p class="hint" role="status">{escape(" · ".join(parts))}</p>'


# -- Downloads under way ------------------------------------------------------------------------------------------------


def under_way(fetches: Sequence[Fetch], measuring: Mapping[str, Event] = MappingProxyType({})) -> str:
    """Downloads, and models whose magnitudes are measured, by their names."""
    rows = [fetch(one) for one in fetches]
    rows += [measured(name, event) for name, event in measuring.items() if not isinstance(event, FINAL)]
    return f'<ul class="fetches" aria-label="Under way">{"".join(rows)}</ul>' if rows else ""


def measured(name: str, event: Event) -> str:
    """A measuring that runs, or waits for its turn."""
    title = f"<b>{escape(name or OWN_MODEL)}</b> · measuring magnitudes"
    top = f'<div class="model-top"><p>{title}</p><div class="actions">{button("Stop", "stop", job=event.job_id)}</div></div>'
    if not isinstance(event, Step):
        said = f"number {event.position} in the queue" if isinstance(event, Queued) else "loading the model"
        return f'<li>{top}<p class="line">{said}</p></li>'
    said = f"step {event.index} of {event.total}" + (f" · {seconds(event.seconds_left)} left" if event.seconds_left else "")
    said += f" · {escape(event.note)}" if event.note else ""
    done = event.index / event.total * 100
    return f'<li>{top}<div class="bar"><i style="width:{done:.1f}%"></i></div><p class="line">{said}</p></li>'


def fetch(one: Fetch) -> str:
    """A download, or why it failed."""
    title = f"<b>{escape(one.hub)}</b>{' · ' + escape(one.file) if one.file else ''}"
    if one.error:
        tools = button("Try again", "again", model=one.hub) + button("Put away", "cancel", model=one.hub)
        return f'<li><div class="model-top"><p>{title}</p><div class="actions">{tools}</div></div>{alert(one.error)}</li>'
    tools = button("Cancel", "cancel", model=one.hub, extra="disabled" if one.stopping else "")
    done = one.progress.done / max(one.progress.total, 1) * 100 if one.progress else 0
    bar = (
        f'<div class="bar" role="progressbar" aria-label="{escape(one.hub)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{done:.0f}"><i style="width:{done:.1f}%"></i></div>'
    )
    line = f'<p class="line">{escape(fetch_line(one))}</p>'
    return f'<li><div class="model-top"><p>{title}</p><div class="actions">{tools}</div></div>{bar}{line}</li>'


def fetch_line(one: Fetch) -> str:
    """Where it is, in words: '1.2 GB of 5.7 GB · 34 MB a second · 2 min 10 s left'."""
    if one.stopping:
        return "stopping; what is here stays"
    if one.progress is None:
        return "asking the Hub what it consists of"
    now = one.progress
    parts = [f"{size_text(now.done)} of {size_text(now.total)}"]
    if now.speed:
        parts += [f"{size_text(now.speed)} a second", f"{seconds(now.seconds_left or 0)} left"]
    return " · ".join(parts)


# -- What is here -------------------------------------------------------------------------------------------------------


def models(
    here: Sequence[ModelHere],
    fits: Mapping[str, Mapping[str, str]],
    busy: Sequence[str],
    speeds: Mapping[str, SpeedShown] = MappingProxyType({}),
    advice: Mapping[str, LoraShown] = MappingProxyType({}),
    lacking: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """All that is on this machine.

    Args:
        fits: name of a LoRA -> (title of a model -> why it is not for it, or "").
        busy: repositories that are on their way, which are shown above.
        speeds: name of a model -> what is said of its speed.
        advice: name of a LoRA -> what is said of the settings that it was made for.
        lacking: name of a motion module or its base -> what is said of the other half (`pair_views`).
    """
    shown = [one for one in here if not (one.total and one.stored and one.stored.hub in busy)]
    return "".join(
        model(one, fits.get(one.name, {}), speeds.get(one.name, PLAIN), advice.get(one.name, NO_ADVICE), lacking.get(one.name, ""))
        for one in shown
    )


def model(one: ModelHere, fits: Mapping[str, str], speed: SpeedShown = PLAIN, advice: LoraShown = NO_ADVICE, more: str = "") -> str:
    where = page(one.stored.hub, one.stored.hub) if one.stored else escape(ORIGINS.get(one.origin) or str(one.path))
    body = _half(one) if one.total else alert(one.problem) or _about(one, fits, speed, advice) + more
    return (
        f'<article class="model"><div class="model-top"><div><h3>{escape(one.title)}</h3><p class="line">{where}</p></div>'
        f'<div class="actions">{_tools(one)}</div></div>{body}</article>'
    )


def _tools(one: ModelHere) -> str:
    usable = isinstance(one.about, DescribedModel) and not (one.total or one.problem or one.alone)
    use = button("Use", "choose", model=one.name, label=f"Use {one.title} in the other tabs") if usable else ""
    return use + _keeping(one)


def _keeping(one: ModelHere) -> str:
    """What becomes of its files."""
    if one.origin in ORIGINS:
        return ""
    if one.origin == "folder":
        return button("Take off the list", "remove", model=one.name, label="Its files stay where they are")
    several = one.stored is not None and one.path.is_file() and len(one.stored.files) > 1
    sure = f"Delete all {len(one.stored.files)} files of {one.stored.hub}?" if several and one.stored else "Delete for good?"
    more = button("Go on", "resume", model=one.name, label=f"Download the rest of {one.title}") if one.total else ""
    return more + button("Delete", "remove", model=one.name, extra=f'data-confirm="{escape(sure)}"')


def _half(one: ModelHere) -> str:
    done = one.bytes / one.total * 100
    return (
        f'<div class="bar"><i style="width:{done:.1f}%"></i></div><p class="line">{size_text(one.bytes)} of {size_text(one.total)} here</p>'
    )


def _about(one: ModelHere, fits: Mapping[str, str], speed: SpeedShown, advice: LoraShown) -> str:
    if isinstance(one.about, DescribedLora):
        return lora_views.about(one, one.about, fits, advice)
    assert isinstance(one.about, DescribedModel)
    about, can = one.about, one.about.capabilities
    native = f"{can.frames.least} to {can.frames.most} frames" + (f", every {can.frames.step}" if can.frames.step > 1 else "")
    facts = [
        FAMILIES[about.family].title,
        size_text(about.bytes),
        f"{count_text(about.parameters)} parameters",
        native,
        *roles(one),
        speed_views.chip(speed),
    ]
    able = ", ".join(CAN[name] for name in FEATURES if can.can(name))
    unable = "".join(f"<dt>{CAN[name]}</dt><dd>{escape(can.cannot[name])}</dd>" for name in FEATURES if name in can.cannot)
    warning = f"<dt>Noise priors</dt><dd>{escape(can.noise_warning)}</dd>" if can.noise_warning and can.can("noise_prior") else ""
    told = (
        f'<p class="line">Licence: {OWN_LICENCE}</p>' if one.path == BUNDLED else licence(one.entry, one.stored.hub if one.stored else "")
    )
    return (
        f"{chips(facts)}{told}<details><summary>What it can do, and what not</summary>"
        f'<p class="able">{escape(able[:1] + able[1:].lower().replace("loras", "LoRAs"))}.</p><dl>{unable}{warning}</dl></details>'
        f"{'' if one.alone else speed_views.section(one, speed)}"
    )


def roles(one: ModelHere) -> list[str]:
    """What a model can be: as the catalog says, else as its files say."""
    if one.entry:
        return [ROLES[role] for role in one.entry.roles]
    assert isinstance(one.about, DescribedModel)
    can = one.about.capabilities
    held = {"text-to-video": can.picture != "needed", "image-to-video": can.picture != "none", "one-shot": can.can("one_shot")}
    return [ROLES[role] for role, holds in held.items() if holds]


# -- The catalog ----------------------------------------------------------------------------------------------------------


def catalog(entries: Catalog, here: Sequence[ModelHere], busy: Sequence[str], offline: bool) -> str:
    """What can be downloaded by name.

    Args:
        busy: repositories that are on their way.
    """
    titles = {name: entry.title for name, entry in entries.items()}
    stored = {one.stored.hub.lower(): one for one in here if one.stored and not one.file}
    rows = ""
    for entry in entries.values():
        base = stored.get(entries[entry.base].hub.lower()) if entry.base else None
        whole = bool(base and not base.total)
        rows += _entry(entry, stored.get(entry.hub.lower()), entry.hub in busy, offline, titles, whole)
    return f'<div class="model-list">{rows}</div>'


def _entry(entry: CatalogEntry, here: ModelHere | None, busy: bool, offline: bool, titles: Mapping[str, str], base_here: bool) -> str:
    native = f"{entry.width} x {entry.height}" if entry.width and entry.height else ""
    length = plural(entry.frames, "frame") if entry.frames else ""
    parameters = f"{count_text(entry.parameters)} parameters" if entry.parameters else ""
    facts = [FAMILIES[entry.family].title, parameters, native, length, *(ROLES[role] for role in entry.roles)]
    notes = [f"GPU memory: {entry.memory_gb:g} GB, {entry.memory_note}"] if entry.memory_gb else []
    if entry.base:
        notes.append(f"needs {titles[entry.base]} too" + (", which is here" if base_here else ""))
    if not entry.verified:
        notes.append("not known whether the Hub still has it under this name")
    if busy:
        tools = '<span class="line">on its way</span>'
    elif here:
        tools = button("Go on", "resume", model=here.name) if here.total else '<span class="line">here</span>'
    else:
        off = 'disabled title="The studio is offline."' if offline else ""
        tools = button("Download", "download", model=entry.name, label="" if offline else f"Download {entry.title}", extra=off)
    line = " · ".join(notes)
    said = f'<p class="line">{escape(line[:1].upper() + line[1:])}</p>' if line else ""
    return (
        f'<article class="model"><div class="model-top"><div><h3>{escape(entry.title)}</h3>'
        f'<p class="line">{page(entry.hub, entry.hub)}</p></div><div class="actions">{tools}</div></div>'
        f"{chips(facts)}{licence(entry, entry.hub)}{said}</article>"
    )
