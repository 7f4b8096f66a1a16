"""What an observer of a job sees, in order: Queued, Loading, Step ... (or Learning ...), then one of Done, Stopped and Failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cells import MadeCell
from .history import ClipRecord
from .stages import MadeStage


@dataclass(frozen=True)
class Queued:
    """Waiting; `position` 1 is next."""

    job_id: str
    position: int


@dataclass(frozen=True)
class Loading:
    """A model is being brought to the device; `what` names it."""

    job_id: str
    what: str


@dataclass(frozen=True)
class Step:
    """Denoising step `index` of `total` is done, for variation `variation` of `variations` (both from 1).

    `preview` is a small looping WebP of the video as it is guessed now, None until there is one; its name changes with its content.
    `seconds_left` is for the whole job; None until it can be said. `note` says what was done for want of memory.
    """

    job_id: str
    index: int
    total: int
    preview: Path | None
    seconds_left: float | None
    seed: int
    variation: int = 1
    variations: int = 1
    note: str = ""


@dataclass(frozen=True)
class CellStep(Step):
    """A step of a comparison: `cell` is the place of the video that is made now, `cells` are those that are there."""

    cell: int = 0
    cells: tuple[MadeCell, ...] = ()


@dataclass(frozen=True)
class StageStep(Step):
    """A step of a chain: `stage` names the one that is made now, whose steps are counted; `stages` are those that are there."""

    stage: str = ""
    stages: tuple[MadeStage, ...] = ()


@dataclass(frozen=True)
class Learning:
    """Training step `index` is done; `progress` is the share of the whole from 0 to 1.

    `losses` are (minutes, loss), thinned for a plot; `sample` is a looping WebP of what the model draws now; `notes` are sentences on
    what was done to the clips. Step 0 is the reading of the clips.
    """

    job_id: str
    index: int
    progress: float
    losses: tuple[tuple[float, float], ...]
    sample: Path | None
    seconds_left: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """All is there; of a training, no clips."""

    job_id: str
    clips: tuple[ClipRecord, ...]


@dataclass(frozen=True)
class Stopped:
    """Somebody stopped it; `clips` are the videos that were finished before."""

    job_id: str
    clips: tuple[ClipRecord, ...]


@dataclass(frozen=True)
class Failed:
    """It could not be finished; `error` is for people: what happened and what to do."""

    job_id: str
    error: str


Event = Queued | Loading | Step | Learning | Done | Stopped | Failed
FINAL = (Done, Stopped, Failed)
