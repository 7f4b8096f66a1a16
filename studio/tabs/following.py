"""What the places that follow a training share: which job is shown, and how it is stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gradio as gr

from pipelines.errors import JobError, StudioError

from ..engine import Engine
from ..events import FINAL, Event
from . import views
from .stage_parts import BUSY_SECONDS, IDLE_SECONDS

Updates = dict[Any, Any]


class Following(ABC):
    """Handlers that follow jobs of one kind. Each returns only what it changes.

    Args:
        ui: its parts: run, stop, note, clock, job, seen, and what shows the job.
        engine: the studio's.
    """

    kind = ""

    def __init__(self, ui: Any, engine: Engine) -> None:
        self.ui = ui
        self.engine = engine

    @abstractmethod
    def look(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """The job as it is now; only what changed since the last look is sent."""

    def stop(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """Ends the training; what it has learned by then is kept."""

        def stop() -> Updates:
            if job_id := self.engine.active_job(self.kind) or job:
                self.engine.stop(job_id)
            return {}

        return self._careful(stop, job, seen)

    def _last(self) -> str | None:
        """The job that runs, or the newest."""
        return self.engine.active_job(self.kind) or next(iter(self.engine.recent_jobs(self.kind)), None)

    def _followed(self, job: str | None) -> tuple[str | None, Event | None]:
        """(the job to show, where it is); one that is over gives way to one that runs."""
        try:
            event = self.engine.status(job) if job else None
        except JobError:
            job, event = None, None
        active = self.engine.active_job(self.kind)
        if active and (event is None or isinstance(event, FINAL)):
            return active, self.engine.status(active)
        return job, event

    def _buttons(self, busy: bool) -> Updates:
        return {
            self.ui.run: gr.Button(visible=not busy),
            self.ui.stop: gr.Button(visible=busy),
            self.ui.clock: gr.Timer(BUSY_SECONDS if busy else IDLE_SECONDS),
        }

    def _careful(self, action: Any, job: str | None, seen: dict[str, Any]) -> Updates:
        """Does it, then looks. A person's error goes above the button."""
        try:
            updates = action()
        except StudioError as error:
            updates = {self.ui.note: views.alert(str(error))}
        return self._and_look(updates, job, seen)

    def _and_look(self, updates: Updates, job: str | None, seen: dict[str, Any]) -> Updates:
        return updates | self.look(updates.get(self.ui.job, job), seen)
