"""A one-shot tuning job: a model learns one clip, and whatever happens, what it has learned is kept.

Wu et al., "Tune-A-Video", arXiv 2212.11565. Checkpoints are kept on the way, and with the last one all that is needed to go on: the same
request goes on where the last one was stopped or killed. No torch is imported before a job runs.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import IncompatibleModels, InvalidInput, StorageError
from pipelines.memory import Job

from . import media, source_clips
from .bases import signature_of
from .events import Learning
from .fields import slug
from .learning import LossCurve, past_losses
from .making import Bench, Making
from .requests import TuningRequest, parse_request
from .source_clips import SourceClip
from .tuned_models import THUMBNAIL, TunedRecord, checkpoint, read_source, write, write_source

if TYPE_CHECKING:
    from pipelines.one_shot import OneShotTuner, TuningSettings, TuningStep
    from pipelines.tuning_memory import Way

    from .choosing import Chosen
    from .residency import Resident

MOST_PIXELS = 64 * 1024 * 1024  # of all frames: more would not even be read
CHECKPOINTS = 4  # kept on the way, the last one included
SAMPLE_STEPS = 12  # of denoising, for a look while it learns
STATE_SECONDS = 30.0  # between two times that a slow tuning keeps what it needs to go on
STATE_SHARE = 20  # times as long as keeping it took, at least: of a large model it is a gigabyte
RETRY_SECONDS, RETRIES = 2.0, 30  # while the disk is full
SECONDS_PER_STEP = 0.6  # of 16 frames of the pocket model on two cores, samples included; where nothing was measured yet
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usual:
    """What suits a model, as `pipelines.one_shot.default_settings` says with torch."""

    steps: int
    learning_rate: float
    known: bool  # how long a step takes


def usual(model_dir: Path) -> Usual:
    """Read from the model's files: a network that predicts x0 is a small one here."""
    try:
        scheduler = json.loads((model_dir / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        scheduler = {}
    small = scheduler.get("prediction_type") == "sample"
    return Usual(30, 1e-3, True) if small else Usual(500, 3e-5, False)


def estimate(request: TuningRequest, bench: Bench) -> float | None:
    """Seconds that a tuning takes: from the last one on this model, else from what the pocket model takes; None where nobody knows."""
    chosen = bench.choosing.model(request.model)
    own, (width, height) = usual(chosen.path), chosen.size(request.width, request.height)
    work = (request.steps or own.steps) * request.frames * width * height
    for record in bench.tuned_models:
        if record.seconds and record.base_name in (chosen.name, chosen.path.name):
            return record.seconds * work / (record.steps * record.frames * record.width * record.height)
    return SECONDS_PER_STEP * work / (16 * 64 * 64) if own.known else None


def check(request: TuningRequest, bench: Bench) -> None:
    """Refuses what cannot be learned, before it is queued; no more than its frames are decoded.

    Raises:
        InvalidInput: for a model that cannot be tuned, or not so, a name that is taken, a clip that cannot be read or is too short, or a
            first edit that changes nothing.
        ModelError: when there is no such model, it cannot be used, or it is not any more what an earlier part was tuned on.
    """
    chosen, record = bench.choosing.model(request.model), bench.tuned_models.find(slug(request.name))
    can = chosen.capabilities
    if not can.can("one_shot"):
        raise InvalidInput(f"The model {chosen.title!r} cannot be tuned on a clip.", can.cannot["one_shot"])
    if record and (record.finished or not is_same(request, record.folder)):
        raise InvalidInput(f"There is a tuned model {record.name!r} already.", "Choose another name.")
    if record and record.signature not in ("", signature_of(chosen.path)):
        raise _begun_on_another(record)
    can.frames.check(request.frames)
    size_of(request, chosen)
    if request.edit.casefold() == request.caption.casefold():
        raise InvalidInput(f"The first edit {request.edit!r} is the caption itself.", "Change some of its words, or leave it empty.")
    if not record:
        read_clip(request, bench)


def read_clip(request: TuningRequest, bench: Bench) -> SourceClip:
    """Exactly the frames that the model sees.

    Raises:
        InvalidInput: when the clip cannot be read or is too short.
    """
    path, chosen = Path(request.clip).expanduser(), bench.choosing.model(request.model)
    if not path.is_file():
        raise InvalidInput(f"There is no clip {request.clip!r}.", source_clips.REMEDY)
    return source_clips.read(path, request, size_of(request, chosen))


def size_of(request: TuningRequest, chosen: Chosen) -> tuple[int, int]:
    """(width, height) of the frames that the model sees.

    Raises:
        InvalidInput: for a size that its latents cannot have, or more pixels than any device could learn.
    """
    width, height = chosen.size(request.width, request.height)
    chosen.capabilities.check_size(width, height)
    if request.frames * width * height > MOST_PIXELS:
        happened = f"{request.frames} frames of {width} x {height} pixels are too many to be learned at once."
        raise InvalidInput(happened, "Choose fewer frames, or a smaller size.")
    return width, height


def is_same(request: TuningRequest, folder: Path) -> bool:
    """Whether the folder's tuning was asked for with exactly these settings, so that it can go on."""
    try:
        return parse_request((folder / "training" / "request.json").read_bytes()) == request
    except (OSError, InvalidInput):
        return False


def _begun_on_another(record: TunedRecord) -> IncompatibleModels:
    happened = f"The tuning of {record.title!r} was begun on {record.base_name or record.base!r}, which has other weights now."
    return IncompatibleModels(happened, "Choose another name, and tune on the clip again.")


def make(making: Making, bench: Bench) -> None:
    """Learns until its steps are used up or `making.stop` is set; either way the tuned model is there afterwards."""
    from pipelines.forms import applied

    assert isinstance(making.request, TuningRequest)
    shutil.rmtree(making.previews, ignore_errors=True)
    request, chosen = making.request, bench.choosing.model(making.request.model)
    with bench.pool.borrow(chosen.path) as resident:
        bench.tell(Learning(making.job_id, 0, 0.0, (), None, None))
        job = Job(*chosen.size(request.width, request.height), request.frames)
        way, form = bench.pool.way_to_tune(resident, chosen.path, job)
        with applied(resident.pipe, form):
            tuning = _Tuning(making, bench, chosen, resident, way)
            try:
                tuning.learn()
            finally:
                tuning.keep_for_sure()


class _Tuning:
    """One tuning while it runs."""

    def __init__(self, making: Making, bench: Bench, chosen: Chosen, resident: Resident, way: Way) -> None:
        from pipelines.one_shot import OneShotTuner
        from pipelines.tuned_model import base_hash

        assert isinstance(making.request, TuningRequest)
        self.making, self.bench, self.resident, self.request = making, bench, resident, making.request
        self.folder = bench.tuned_models.folder / slug(self.request.name)
        self.before = bench.tuned_models.find(self.folder.name)
        self.base, self.base_name = base_hash(resident.pipe.unet), chosen.name or chosen.path.name
        self.signature = signature_of(chosen.path)
        if self.before and self.before.base != self.base:
            raise _begun_on_another(self.before)
        self.source = self._source()
        self.notes = tuple(note for note in (*self.source.notes, way.note) if note)
        self.settings = replace(settings_of(self.request, resident), gradient_checkpointing=way.checkpointing)
        self.tuner: OneShotTuner = OneShotTuner(resident.pipe, self.source.frames, self.request.caption, self.settings, fps=self.source.fps)
        self.curve = LossCurve(past_losses(self.training / "loss.csv"))
        self.past_seconds = self._go_on()
        self.started, self.first = time.monotonic(), self.tuner.done
        self.newest: Path | None = None
        self.left: float | None = None
        self.stated, self.pause = time.monotonic(), STATE_SECONDS
        self.kept = self.tuner.done
        self.warning = ""

    @property
    def training(self) -> Path:
        return self.folder / "training"

    @property
    def seconds(self) -> float:
        """That it has taken so far, with earlier parts."""
        return self.past_seconds + time.monotonic() - self.started

    def _source(self) -> SourceClip:
        """The frames as they were first read, where there are any."""
        if is_same(self.request, self.folder):
            told = json.loads((self.training / "clip.json").read_text(encoding="utf-8"))
            return SourceClip(read_source(self.folder, self.request.frames), told["fps"], tuple(told["notes"]))
        source = read_clip(self.request, self.bench)
        shutil.rmtree(self.training, ignore_errors=True)  # of other settings, from before their first checkpoint
        write_source(self.folder, source.frames)
        write(self.training / "clip.json", json.dumps({"fps": source.fps, "notes": source.notes}).encode())
        write(self.training / "request.json", self.request.model_dump_json().encode())
        return source

    def _go_on(self) -> float:
        """Brings the tuner to where an earlier part ended; returns the seconds that took. A damaged state starts again."""
        import pickle

        import torch

        try:
            state = torch.load(self.training / "state.pt", weights_only=True)
            if state.get("base", self.base) != self.base:
                raise ValueError("it was begun on other weights")
            self.tuner.load_state_dict(state["tuner"])
            return float(state["seconds"])
        except FileNotFoundError:
            return 0.0
        except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            log.warning("the tuning in %s starts again: %s", self.folder, error)
            return 0.0

    # -- Learning -----------------------------------------------------------------------------------------------------

    def learn(self) -> None:
        """Step by step, with a checkpoint and a sample now and then."""
        every = -(-self.settings.steps // CHECKPOINTS)
        for step in self.tuner:
            self._tell_step(step)
            if step.index % every == 0 and step.index < step.total:
                self._try(self.keep)
                self._sample()
            elif time.monotonic() - self.stated > self.pause:
                self._try(self._keep_state)
            if self.making.stop.is_set():
                return

    def _tell_step(self, step: TuningStep) -> None:
        done = step.index - self.first
        self.left = (time.monotonic() - self.started) / done * (step.total - step.index)
        if self.curve.add(self.seconds / 60, step.loss):
            self._tell()

    def _tell(self) -> None:
        notes = (*self.notes, *([self.warning] if self.warning else []))
        share = self.tuner.done / self.settings.steps
        self.bench.tell(Learning(self.making.job_id, self.tuner.done, share, self.curve.thinned, self.newest, self.left, notes))

    def _sample(self) -> None:
        """The clip, what the model makes of its caption, and of the first edit, side by side."""
        import numpy as np

        from pipelines.one_shot import edit, invert

        pipe, tuned = self.resident.pipe, self.tuner.tuned()
        noise = invert(pipe, tuned, self.tuner.latents, steps=SAMPLE_STEPS, fps=self.source.fps)
        prompts = [(self.request.caption, 1.0)] + ([(self.request.edit, pipe.defaults.guidance_scale)] if self.request.edit else [])
        shown, size = [self.source.frames], dict(zip(("height", "width"), self.source.frames.shape[1:3], strict=True))
        for prompt, guidance in prompts:
            call = size | {"fps": self.source.fps, "num_inference_steps": SAMPLE_STEPS, "guidance_scale": guidance}
            shown.append(media.to_uint8(edit(pipe, tuned, prompt, noise, callback_on_step_end=self._interrupting, **call)))
        if not self.making.stop.is_set():
            self.newest = self.making.previews / f"{self.making.job_id}-{uuid.uuid4().hex[:6]}.webp"
            media.write_preview(np.concatenate(shown, axis=2), self.source.fps, self.newest)
            self._tell()

    def _interrupting(self, pipe: Any, *_: Any) -> dict[str, Any]:
        if self.making.stop.is_set():
            pipe._interrupt = True
        return {}

    # -- Keeping ------------------------------------------------------------------------------------------------------

    def keep_for_sure(self) -> None:
        """Keeps what was learned; with a full disk it waits for room, for a while even when it was told to stop.

        Raises:
            StorageError: when there was no room all that time; earlier checkpoints stay.
        """
        tries = 0
        while self.tuner.done > self.kept or self.finished:
            try:
                return self.keep()
            except StorageError as error:
                tries += self.making.stop.is_set()
                if tries > RETRIES:
                    raise
                self.warning = f"What was learned cannot be kept yet: {error} It is tried again until there is room."
                self._tell()
                threading.Event().wait(RETRY_SECONDS)

    @property
    def finished(self) -> bool:
        return self.tuner.done >= self.settings.steps

    def _try(self, keep: Callable[[], None]) -> None:
        """On the way, a disk without room is told and nothing else: the end tries again."""
        try:
            keep()
            self.warning = ""
        except StorageError as error:
            self.warning = f"Step {self.tuner.done} could not be kept: {error}"

    def keep(self) -> None:
        """A checkpoint of now, and what is known of it.

        Raises:
            StorageError: when there is no room.
        """
        from pipelines.tuned_model import TunedModel, save_tuned_model

        done = self.tuner.done
        about = TunedModel(
            name=self.request.name,
            caption=self.request.caption,
            base=self.base,
            base_name=self.base_name,
            signature=self.signature,
            steps=done,
            settings={"request": self.request.model_dump(exclude={"clip"})},
            thumbnail=(self.folder / THUMBNAIL).read_bytes(),
        )
        save_tuned_model(checkpoint(self.folder, done), self.tuner.tuned(), about)
        before = self.before.checkpoints if self.before else ()
        steps = tuple(sorted({*(step for step in before if step <= done), done}))
        self.before = self.bench.tuned_models.keep(self._record(steps))
        self._keep_state()
        self.kept = done
        if self.finished:
            shutil.rmtree(self.training, ignore_errors=True)

    def _record(self, steps: tuple[int, ...]) -> TunedRecord:
        count, height, width = self.source.frames.shape[:3]
        record = TunedRecord(
            name=self.folder.name,
            title=self.request.name,
            caption=self.request.caption,
            base=self.base,
            base_name=self.base_name,
            signature=self.signature,
            checkpoints=steps,
            frames=count,
            fps=self.source.fps,
            width=width,
            height=height,
            edit=self.request.edit,
            seconds=self.seconds,
            finished=self.finished,
            request=self.request.model_dump(),
        )
        kept = self.before
        return replace(record, title=kept.title, created=kept.created) if kept else record

    def _keep_state(self) -> None:
        """What is needed to go on, and the loss so far.

        Raises:
            StorageError: when there is no room.
        """
        import torch

        written, text, began = io.BytesIO(), io.StringIO(), time.monotonic()
        torch.save({"tuner": self.tuner.state_dict(), "seconds": self.seconds, "base": self.base}, written)
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["step", "seconds", "loss"])
        table.writerows([self.tuner.done, f"{60 * minutes:.3f}", f"{loss:.6g}"] for minutes, loss in self.curve.points)
        write(self.training / "state.pt", written.getvalue())
        write(self.training / "loss.csv", text.getvalue().encode())
        self.stated = time.monotonic()
        self.pause = max(STATE_SECONDS, STATE_SHARE * (self.stated - began))


def settings_of(request: TuningRequest, resident: Resident) -> TuningSettings:
    """What suits the model, with what was asked for instead."""
    from pipelines.one_shot import default_settings

    asked: dict[str, Any] = {"sparse_causal": request.sparse_causal, "rank": request.rank or None, "seed": request.seed}
    if request.steps:
        asked["steps"] = request.steps
    if request.learning_rate:
        asked["learning_rate"] = request.learning_rate
    return replace(default_settings(resident.pipe), **asked)
