"""What the buttons do. No Gradio: handlers, the API and tests submit and observe; one worker thread owns the device.

    engine = Engine(settings)
    engine.start()
    job_id = engine.submit(TextToVideoRequest(prompt="a red ball moving left"))
    for event in engine.watch(job_id):
        ...                                         # Queued, Loading, Step, ..., Done

An observer that goes away changes nothing, and one that comes back sees where the job is now.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.errors import JobError, OutOfMemory, StorageError, StudioError

from . import media
from .cells import Walls
from .comparison import WallState, clips_of
from .events import FINAL, Done, Event, Failed, Learning, Loading, Queued, StageStep, Step, Stopped
from .fields import slug
from .history import ClipRecord, History, Store
from .jobs import Job, JobQueue, QueuedJob, State
from .kinds import KINDS
from .making import Bench, Making
from .models import Models
from .requests import ComparisonRequest, Request, TuningRequest, model_of
from .residency import Load, ModelPool
from .room import ran_out
from .settings import Settings
from .shelf import Shelf
from .sources import frame_of
from .speeds import Speeds
from .stages import MadeStage
from .zero import LentGpu, on_zero_gpu, refused

__all__ = ["Done", "Engine", "Event", "Failed", "Loading", "Queued", "QueuedJob", "StageStep", "Step", "Stopped"]

log = logging.getLogger(__name__)
INTERRUPTED = "The studio was closed while this job ran. Run it again to go on."


class Engine(Shelf):
    """Queue, worker, history and resident models of one data folder.

    Args:
        settings: where everything is.
        load: how a model folder becomes a pipeline; tests put theirs here.

    Raises:
        StorageError: when the data folder cannot be used, or another studio uses it.
    """

    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        self.settings = settings
        media.check_folder(settings.data_dir)
        self._owner = FileLock(settings.data_dir / "studio.lock")
        try:
            self._owner.acquire(timeout=0)
        except Timeout as error:
            happened = f"Another studio is using the folder {str(settings.data_dir)!r}."
            raise StorageError(happened, "Close it, or choose another folder with --data.") from error
        except OSError as error:
            raise StorageError(f"The folder {str(settings.data_dir)!r} cannot be written ({error.strerror}).", media.REMEDY) from error
        self.pool = ModelPool(settings.device, load, speeds=Speeds(settings.data_dir))
        self._store = Store(settings.database)
        self.history = History(self._store, settings.data_dir)
        self.walls = Walls(self.history)
        self.models = Models(settings, self._guarded)
        self.bench = Bench(settings, self.pool, self.history, self.walls, self.models, self._tell)
        self.tuned_models = self.bench.tuned_models
        self.lent = LentGpu(self.bench, self._guarded) if on_zero_gpu() else None
        self._jobs = JobQueue(self._store, settings.max_queue)
        self._jobs.recover()

        self._changed = threading.Condition()  # guards what follows; notified at every change that an observer could see
        self._version = 0
        self._active: Making | None = None
        self._live: dict[str, Event] = {}
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="studio-worker", daemon=True)

    def start(self) -> None:
        """Starts the worker: first the model is loaded (if the settings say so), then waiting jobs run."""
        self._worker.start()

    def close(self) -> None:
        """Stops within a step; the running job is marked as interrupted, waiting ones stay."""
        with self._changed:
            self._closing = True
            if self._active:
                self._active.stop.set()
        self._tell()
        self.models.close()
        if self._worker.is_alive():
            self._worker.join()
        self.pool.clear()
        self._store.close()
        self._owner.release()

    # -- Jobs ---------------------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> str:
        """Puts a job at the end of the queue; returns its id at once.

        Raises:
            InvalidInput: when the model cannot make it.
            ModelError: when there is no model to ask.
            StorageError: when there is no room for the result.
            JobError: when too many jobs wait.
        """
        KINDS[request.kind].check(request, self.bench)
        media.check_folder(self.settings.data_dir)
        with self._changed:  # nobody takes it before it is known whose it is
            job_id = self._jobs.add(request)
            if self.lent:
                self.lent.submitted(job_id)
        self._tell()
        return job_id

    def status(self, job_id: str) -> Event:
        """Where the job is now.

        Raises:
            JobError: when there is no such job.
        """
        with self._changed:
            if job_id in self._live:
                return self._live[job_id]
        job = self._jobs.get(job_id)
        match job.state:
            case State.QUEUED:
                return Queued(job_id, self._jobs.position(job_id))
            case State.RUNNING:
                return Loading(job_id, self._model_of(job.request))
            case State.DONE:
                return Done(job_id, self._clips(job))
            case State.STOPPED:
                return Stopped(job_id, self._clips(job))
        return Failed(job_id, job.error or INTERRUPTED)

    def watch(self, job_id: str, timeout: float | None = None) -> Iterator[Event]:
        """What happens to the job, from now to its end; a slow observer misses steps, never the end.

        Args:
            timeout: seconds after which to stop watching, whatever the job does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        last = None
        while True:
            with self._changed:
                seen = self._version
            event = self.status(job_id)
            if event != last:
                yield event
                last = event
            if isinstance(event, FINAL):
                return
            with self._changed:
                remaining = None if deadline is None else deadline - time.monotonic()
                if not self._wait(seen, remaining) or self._closing:
                    return

    def stop(self, job_id: str) -> None:
        """Stops a running job within a step, skips a waiting one, dismisses an interrupted one; of a finished one, nothing.

        Raises:
            JobError: when there is no such job.
        """
        self._jobs.get(job_id)
        if not any(self._jobs.change(job_id, before, State.STOPPED) for before in (State.QUEUED, State.INTERRUPTED)):
            with self._changed:
                if self._active and self._active.job_id == job_id:
                    self._active.stop.set()
        self._tell()

    def rerun(self, job_id: str) -> str:
        """The same request as a new job, at the end of the queue; an interrupted job is dismissed by it. Returns the new id."""
        new_id = self.submit(self._jobs.get(job_id).request)
        self._jobs.change(job_id, State.INTERRUPTED, State.STOPPED)
        self._tell()
        return new_id

    def move(self, job_id: str, position: int) -> None:
        """Puts a waiting job at a place, 1 is next."""
        self._jobs.move(job_id, position)
        self._tell()

    def move_by(self, job_id: str, places: int) -> None:
        """Moves a waiting job by some places; of one that does not wait, nothing."""
        if place := self._jobs.position(job_id):
            self.move(job_id, place + places)

    def queue(self) -> list[QueuedJob]:
        """The running job, the waiting ones in order, and those that a restart interrupted."""
        listed = [(job, 0) for job in self._jobs.listed(State.RUNNING)]
        listed += [(job, place) for place, job in enumerate(self._jobs.listed(State.QUEUED), start=1)]
        listed += [(job, 0) for job in self._jobs.listed(State.INTERRUPTED)]
        return [
            QueuedJob(job.id, place, job.state, job.request.headline, None if place else self._picture(job), job.request.kind)
            for job, place in listed
        ]

    def active_job(self, kind: str | None = None) -> str | None:
        """The job that has the device; of one kind, or any."""
        with self._changed:
            return self._active.job_id if self._active and kind in (None, self._active.request.kind) else None

    def recent_jobs(self, kind: str, limit: int = 1) -> list[str]:
        """The newest jobs of a kind, whatever became of them, the newest first."""
        return self._jobs.recent(kind, limit)

    def request_of(self, job_id: str) -> Request:
        """What a job was asked to make."""
        return self._jobs.get(job_id).request

    def wall(self, job_id: str) -> WallState:
        """A comparison and the cells it has.

        Raises:
            JobError: when there is no such comparison.
        """
        request = self.request_of(job_id)
        if not isinstance(request, ComparisonRequest):
            raise JobError(f"The job {job_id!r} is no comparison.", "Open it where it was made.")
        picks = self.walls.picks(job_id)
        cells = {made.index: made for made in self.walls.cells(job_id)}
        return WallState(job_id, request, self.status(job_id), cells, picks[0].cell if picks else None)

    # -- What jobs left ---------------------------------------------------------------------------------------------

    def delete_tuned_model(self, name: str) -> None:
        """Removes a tuned model for good; raises JobError while it is being tuned."""
        with self._changed:
            request = self._active.request if self._active else None
        if isinstance(request, TuningRequest) and slug(request.name) == name:
            raise JobError(f"The tuned model {name!r} is learning now.", "Stop it first.")
        self.tuned_models.delete(name)

    def stages(self, job_id: str) -> tuple[MadeStage, ...]:
        """The stages of a reference or finishing job that are there, while it runs, afterwards and after a restart."""
        return self.bench.stages.of_job(job_id)

    def stage_frame(self, job_id: str, stage: str, frame: int) -> str:
        """Keeps a frame (from 0, or from the end: -1) of what a stage has made; returns its name as a source for requests.

        Raises:
            JobError: when the job has no such stage any more.
            InvalidInput: when it has no such frame.
        """
        stored = self.bench.stages.stored_of(job_id, stage)
        if stored is None:
            raise JobError(f"What the stage {stage!r} of this job made is not kept any more.", "Run the job again.")
        return self.bench.sources.keep_pixels(frame_of(self.bench.stages.frames(stored), frame, stage))

    # -- The worker ---------------------------------------------------------------------------------------------------

    def _model_of(self, request: Request) -> str:
        """What is loaded for it, for people."""
        first = request.base if isinstance(request, ComparisonRequest) else request
        record = self.tuned_models.find(getattr(first, "tuned_model", ""))
        return model_of(request) or (record.base_name if record else self.settings.model_dir.name)

    def _picture(self, job: Job) -> Path | None:
        event = self._live.get(job.id)
        if isinstance(event, Step) and event.preview:
            return event.preview
        if isinstance(event, StageStep) and event.stages:
            return event.stages[-1].preview
        if isinstance(event, Learning) and event.sample:
            return event.sample
        if isinstance(job.request, TuningRequest):
            record = self.tuned_models.find(slug(job.request.name))
            return record.thumbnail if record else None
        clips = self._clips(job)
        return clips[-1].thumbnail if clips else None

    def _clips(self, job: Job) -> tuple[ClipRecord, ...]:
        """What a job has given."""
        if isinstance(job.request, ComparisonRequest):
            return clips_of({made.index: made for made in self.walls.cells(job.id)})
        return self.history.of_job(job.id)

    def _tell(self, event: Event | None = None) -> None:
        """Wakes every observer, with a new state of a running job if there is one."""
        with self._changed:
            if event:
                self._live[event.job_id] = event
            self._version += 1
            self._changed.notify_all()

    def _wait(self, seen: int, timeout: float | None) -> bool:
        """Until something changes after version `seen`, or the studio closes; False when it took too long. Needs the condition held."""
        return self._changed.wait_for(lambda: self._version != seen or self._closing, timeout)

    def _work(self) -> None:
        if self.settings.warm_up and not self.lent:
            self._guarded("warming up", self._warm_up)
        while not self._closing:
            with self._changed:
                seen = self._version
            try:
                making = self._take()
            except StorageError as error:
                log.error("the queue cannot be read: %s", error)
                making = None
            if making:
                self._run(making)
                continue
            with self._changed:
                self._wait(seen, timeout=5.0)

    def _take(self) -> Making | None:
        """The next job, made active in the same moment, so that whoever stops it finds it either waiting or active."""
        with self._changed:
            if self._closing or (job := self._jobs.take()) is None:
                return None
            self._active = Making(job.id, job.request, self.settings)
            self._live[job.id] = Loading(job.id, self._model_of(job.request))
            return self._active

    def _run(self, making: Making) -> None:
        self._tell()
        error = self._guarded(f"job {making.job_id}", lambda: self._make(making))
        state = State.DONE
        if error:
            state = State.FAILED
        elif making.stop.is_set():
            state = State.INTERRUPTED if self._closing else State.STOPPED
        lost: Event | None = None
        try:
            self._jobs.change(making.job_id, State.RUNNING, state, error)
        except StorageError as failure:
            # The database cannot say how it ended, so memory does; after a restart the job counts as interrupted.
            lost = Failed(making.job_id, error or str(failure))
        with self._changed:
            self._active = None
            del self._live[making.job_id]
        self._tell(lost)

    def _make(self, making: Making) -> None:
        if self.lent:
            self.lent.make(making)
        else:
            KINDS[making.request.kind].make(making, self.bench)

    def _warm_up(self) -> None:
        with self.pool.borrow(self.settings.model_dir):
            self._tell()

    def _guarded(self, what: str, action: Callable[[], None]) -> str:
        """Runs it; returns what went wrong, for people, or nothing.

        This is the one edge where any error is caught: a job may fail, the worker may not.
        """
        try:
            action()
        except StudioError as error:
            log.warning("%s failed: %s", what, error)
            return str(error)
        except Exception as error:
            log.exception("%s failed", what)
            return str(self._explained(error))
        return ""

    def _explained(self, error: Exception) -> StudioError:
        """An error that is not ours, for people."""
        if ran_out(error):
            self.pool.free_cache()
            return OutOfMemory("The device has too little memory for this video.", "Ask for fewer frames, or close other programs.")
        if not_lent := refused(error):
            return not_lent
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return JobError(f"Something unexpected happened ({said}).", "Try again; the log in the data folder has the details.")
