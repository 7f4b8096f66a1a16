"""The chain of a job as a row of cards: what each stage made, is making, or could make; and what can be done with it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from ..events import FINAL, Event, StageStep
from ..reference_requests import Finishing
from ..requests import ReferenceRequest
from ..stages import MadeStage
from . import finishing
from .facts import WAYS
from .stage_views import BLANK, preview, stage
from .views import button, file_url, plural, seconds

State = Literal["idle", "waiting", "making", "done", "skipped", "stopped"]


@dataclass(frozen=True)
class Place:
    """A stage's place in the row: its title, what it does, and which field takes it in or leaves it out."""

    title: str
    does: str
    step: finishing.FinishingStep | None = None


PLACES = {
    "clip": Place("Clip", "What is finished"),
    "picture": Place("Picture", "Sets the look: drawn, or given"),
    "last_picture": Place("Last picture", "Where the motion ends"),
    "motion": Place("Motion", "Brings the picture to life"),
    "longer": Place("Longer", "Goes on from where it ends", "longer"),
    "smooth": Place("Smooth", "Frames between the frames", "smoother"),
    "steady": Place("Steady", "Decoded as a video", "steadier"),
    "sharp": Place("Sharp", "Twice the size", "sharper"),
}
BEFORE = ("picture", "motion", "longer", "smooth", "steady", "sharp")  # what is shown before the first run


@dataclass(frozen=True)
class Chain:
    """A job's chain as it is now.

    Args:
        job_id: the job.
        request: what it was asked for.
        event: where it is.
        made: the stages that are there.
        chosen: the one on the stage; empty is the whole clip.
        lacking: finishing step -> why the model cannot do it.
    """

    job_id: str
    request: Finishing
    event: Event
    made: Mapping[str, MadeStage]
    chosen: str = ""
    lacking: Mapping[finishing.FinishingStep, str] | None = None

    @property
    def over(self) -> bool:
        return isinstance(self.event, FINAL)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The stages that the request asks for, in order."""
        request = self.request
        first = ("clip",)
        if isinstance(request, ReferenceRequest):
            first = ("picture", *(("last_picture",) if request.last_picture else ()), "motion")  # type: ignore[assignment]
        asked = {"longer": request.longer > 0, "smooth": request.smoother > 1, "steady": request.steadier, "sharp": request.sharper}
        return (*first, *(name for name, is_asked in asked.items() if is_asked))

    @property
    def last(self) -> str:
        """The newest stage that is there; empty when there is none."""
        return next((name for name in reversed(self.wanted) if name in self.made), "")

    def state(self, name: str) -> State:
        """Of a stage."""
        if name in self.made:
            return "done"
        if name not in self.wanted:
            return "skipped"
        if isinstance(self.event, StageStep) and self.event.stage == name:
            return "making"
        return "stopped" if self.over else "waiting"


def shown(chain: Chain) -> tuple[str, ...]:
    """The places of a row: those that the job has, and those that could be taken in."""
    steps = [name for name, place in PLACES.items() if place.step]
    return tuple(name for name in PLACES if name in chain.wanted or name in steps)


def card(chain: Chain, name: str) -> str:
    """A stage: its picture, what is known of it, and what can be done."""
    if name not in shown(chain):
        return ""
    state, made = chain.state(name), chain.made.get(name)
    chosen = name == (chain.chosen or (chain.wanted[-1] if chain.over else ""))
    tools = _tools(chain, name) if chain.over else ""
    return (
        f'<article class="link" data-stage="{name}" data-state="{state}">{_head(name)}{_well(chain, name, made, chosen)}'
        f'<p class="line">{escape(_line(chain, state, made))}</p><div class="actions">{tools}</div></article>'
    )


def idle(name: str) -> str:
    """A stage before the first run."""
    if name not in BEFORE:
        return ""
    return (
        f'<article class="link" data-stage="{name}" data-state="idle">{_head(name)}<span class="well">{BLANK}</span>'
        f'<p class="line">{PLACES[name].does}</p></article>'
    )


def hero(chain: Chain, made: MadeStage) -> str:
    """One stage's result large, with its two ends as reference images."""
    job = chain.job_id
    ends = [("Use as reference", "0")] if made.frames == 1 else [("First frame as reference", "0"), ("Last frame as reference", "-1")]
    tools = "".join(button(text, "stage-frame", clip=f"{made.name}#{at}", job=job) for text, at in ends)
    if chain.over:
        tools += button("Show the whole clip", "stage", clip="", job=job)
    picture = f'<img src="{file_url(made.preview)}" alt="{escape(PLACES[made.name].title)}">'
    facts = (f"{made.width} by {made.height}", plural(made.frames, "frame"), f"{made.fps:g} fps" if made.frames > 1 else "", _when(made))
    chips = "".join(f"<li>{escape(fact)}</li>" for fact in facts if fact)
    caption = f'<p class="prompt">{PLACES[made.name].title}</p><ul class="chips facts" aria-label="Settings">{chips}</ul>'
    return stage([picture], made.width / made.height, f'<div class="actions">{tools}</div>', caption, "one-stage")


def _head(name: str) -> str:
    return f'<h3 title="{escape(PLACES[name].does)}">{PLACES[name].title}</h3>'


def _well(chain: Chain, name: str, made: MadeStage | None, chosen: bool) -> str:
    if made is None:
        now = chain.event.preview if chain.state(name) == "making" and isinstance(chain.event, StageStep) else None
        return f'<span class="well">{preview(now)}</span>'
    return (
        f'<button type="button" class="well" data-do="stage" data-job="{chain.job_id}" data-clip="{name}" '
        f'aria-pressed="{str(chosen).lower()}" aria-label="Show {PLACES[name].title}"><img src="{file_url(made.preview)}" alt=""></button>'
    )


def _line(chain: Chain, state: State, made: MadeStage | None) -> str:
    if made:
        playing = f"{plural(made.frames, 'frame')}, {made.frames / made.fps:.1f} s" if made.frames > 1 else ""
        return " · ".join(part for part in (f"{made.width} by {made.height}", playing, _when(made)) if part)
    if state == "making" and isinstance(chain.event, StageStep):
        return f"being made {chain.event.index}/{chain.event.total}"
    return {"waiting": "waiting", "skipped": "left out", "stopped": "not made"}.get(state, "")


def _when(made: MadeStage) -> str:
    if made.name == "clip" or not made.seconds:
        return ""
    return "kept from before" if made.cached else f"made in {seconds(made.seconds)}"


def _tools(chain: Chain, name: str) -> str:
    """Again with another seed; left out or taken in. What is before the stage stays as it is."""
    step, request, job = PLACES[name].step, chain.request, chain.job_id
    if step and name not in chain.wanted:
        why_not = (chain.lacking or {}).get(step, "")
        extra = f'title="{escape(why_not or PLACES[name].does)}"' + (" disabled" if why_not else "")
        return button("Take in", "take-in", clip=name, job=job, extra=extra)
    tools = ""
    seeded = _seed(chain, name)
    if seeded:
        tools += button("Again", "again", clip=seeded, job=job, extra='title="Made again with a new seed, and all after it"')
    if step and len(chain.wanted) > 2:  # a finishing that finishes nothing is none
        extra = f'title="{"Smooth: " + WAYS[request.smoother_way] if name == "smooth" else "The rest stays as it is"}"'
        tools += button("Leave out", "leave-out", clip=name, job=job, extra=extra)
    return tools


def _seed(chain: Chain, name: str) -> str:
    """The field of the seed that a stage is the first to use; empty for others."""
    if isinstance(chain.request, ReferenceRequest):
        drawn = {"motion": "seed"} | ({} if chain.request.picture else {"picture": "picture_seed"})
        return drawn.get(name, "")
    first = next((each for each in chain.wanted if each in ("longer", "sharp")), "")
    return "seed" if name == first else ""


def changes(name: str, taken: bool, longer: int, way: str) -> dict[str, object]:
    """What takes a finishing stage into a request, or leaves it out.

    Args:
        longer: so many frames, where it goes on.
        way: of the frames between.
    """
    values: Mapping[str, Sequence[object]] = {
        "longer": (0, longer),
        "smooth": (1, 2),
        "steady": (False, True),
        "sharp": (False, True),
    }
    step = PLACES[name].step
    assert step is not None
    more = {"smoother_way": way} if name == "smooth" and taken else {}
    return {step: values[name][taken], **more}
