"""What the tabs with a wall share: it is looked at, stopped, opened again, exported. Handlers submit to the engine and look at it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from pipelines.errors import JobError, StudioError

from .. import exports, wall
from ..comparison import WallState
from ..engine import Engine
from ..events import FINAL
from ..requests import Request
from . import finishing, views, wall_views
from .errands import acted, elsewhere
from .stage_parts import run_buttons

PAST = 8  # walls that are offered again
Updates = dict[Any, Any]


class WallDesk(ABC):
    """Handlers of a tab with a wall. Each returns only what it changes.

    Args:
        ui: the tab's parts: wall, under, shelf, run, stop, another, clock, job, seen, note, tabs, download, errand, and its form.
        engine: the studio's.
    """

    kind = ""  # of the jobs whose walls are shown

    def __init__(self, ui: Any, engine: Engine) -> None:
        self.ui = ui
        self.engine = engine
        self.shown = [ui.wall, ui.under, ui.shelf, ui.run, ui.stop, ui.another, ui.clock, ui.job, ui.seen]
        self.outputs = [*self.shown, ui.note, ui.tabs, ui.download, ui.errand, *ui.form.values()]
        self._actions: dict[str, Callable[[dict[str, str]], Updates]] = {
            "rerun": lambda a: self._elsewhere_or_here(self.engine.rerun(a["job"])),
            "show": lambda a: {self.ui.job: a["job"]},
            "follow": lambda a: self._elsewhere_or_here(a["job"]),
            "skip": lambda a: self._told(self.engine.stop, a["job"]),
            "up": lambda a: self._told(self.engine.move_by, a["job"], -1),
            "down": lambda a: self._told(self.engine.move_by, a["job"], +1),
        } | {f"export-{kind}": self._exporting(kind) for kind in wall_views.EXPORTS}

    @abstractmethod
    def welcome(self) -> str:
        """Under the wall before there is one."""

    # -- What a person does -----------------------------------------------------------------------------------------------

    def submit(self, request: Callable[[], Request], job: str | None, seen: dict[str, Any]) -> Updates:
        """Submits what the form asks for. An error is a sentence above the button, and nothing else changes."""
        try:
            job_id = self.engine.submit(request())
        except StudioError as error:
            return {self.ui.note: views.alert(str(error))}
        active = self.engine.active_job(self.kind)
        waits = active is not None and job == active
        return self._and_look({self.ui.note: ""} | ({} if waits else {self.ui.job: job_id}), job, seen)

    def stop(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """Stops the wall on the device; when it has none, the one that is shown and still waits."""
        job_id = self.engine.active_job(self.kind) or job
        return self._careful(lambda: self._told(self.engine.stop, job_id) if job_id else {}, job, seen)

    def act(self, job: str | None, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button under the wall."""
        data = dict(event._data or {})
        action = self._actions.get(str(data.get("do")))
        return self._careful(lambda: action(data) if action else {}, job, seen)

    def in_wall(self, job: str | None, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button of the wall itself: open or finish a clip elsewhere, pick a favourite, make what is missing."""
        data = dict(event._data or {})

        def done() -> Updates:
            if job is None:
                return {}
            if data.get("do") == "retry":
                return {self.ui.job: self.engine.rerun(job)}
            index = wall_views.index_of(str(data.get("cell")))
            if data.get("do") == "pick":
                return self._told(self.engine.walls.pick, job, index)
            made = self.engine.wall(job).cells.get(index)
            return (made and acted(self.ui, self.engine, str(data.get("do")), made.clip.id)) or {}

        return self._careful(done, job, seen)

    # -- Looking ------------------------------------------------------------------------------------------------------------

    def look(self, job: str | None, seen: dict[str, Any]) -> Updates:
        """The wall, queue and buttons as they are now; only what changed since the last look is sent."""
        try:
            state = self._state(job)
            past = [self.engine.wall(each) for each in self.engine.recent_jobs(self.kind, PAST)]
            shelf = views.queue(self.engine.queue()) + wall_views.past(past, state.job_id if state else None)
            under = wall_views.under(state) if state else self.welcome()
        except StudioError as error:
            return {self.ui.shelf: views.alert(str(error))}
        value = wall.value(self._with_tools(state) if state else wall.Wall())
        busy = bool(self.engine.active_job(self.kind)) or (state is not None and not isinstance(state.event, FINAL))
        now: dict[str, Any] = {"wall": value, "under": under, "shelf": shelf, "busy": busy}
        updates: Updates = {self.ui.seen: now}
        if state and state.job_id != job:
            updates[self.ui.job] = state.job_id
        for name in ("wall", "under", "shelf"):
            if now[name] != seen.get(name):
                updates[getattr(self.ui, name)] = now[name]
        return updates | (run_buttons(self.ui, busy) if busy != seen.get("busy") else {})

    def _with_tools(self, state: WallState) -> wall.Wall:
        """A wall, and what can be done with its clips, which all have one size."""
        sizes = {(made.clip.width, made.clip.height) for made in state.cells.values()}
        tools = finishing.offers(self.engine).tools(sizes.pop()) if sizes else ()
        return replace(wall_views.wall_of(state), tools=tools)

    def _state(self, job: str | None) -> WallState | None:
        """The wall to show; one that is over gives way to one that is being made."""
        try:
            state = self.engine.wall(job) if job else None
        except JobError:
            state = None
        active = self.engine.active_job(self.kind)
        if active and (state is None or isinstance(state.event, FINAL)):
            return self.engine.wall(active)
        return state

    # -- Shared by the handlers ---------------------------------------------------------------------------------------------

    def _careful(self, action: Any, job: str | None, seen: dict[str, Any]) -> Updates:
        """Does it, then looks. A person's error goes above the Run button."""
        try:
            updates = action()
        except StudioError as error:
            updates = {self.ui.note: views.alert(str(error))}
        return self._and_look(updates, job, seen)

    def _and_look(self, updates: Updates, job: str | None, seen: dict[str, Any]) -> Updates:
        return updates | self.look(updates.get(self.ui.job, job), seen)

    def _exporting(self, kind: exports.Kind) -> Any:
        def export(action: dict[str, str]) -> Updates:
            state = self.engine.wall(action["job"])
            shown = wall_views.wall_of(state)
            folder = self.engine.settings.data_dir / "walls"
            return {self.ui.download: views.file_url(exports.export(state, kind, folder, shown.rows, shown.columns))}

        return export

    def _elsewhere_or_here(self, job_id: str) -> Updates:
        """A wall of this tab is shown here, any other job where it is at home."""
        kind = self.engine.request_of(job_id).kind
        if kind == self.kind:
            return {self.ui.job: job_id}
        return elsewhere(self.ui, kind, job_id)

    def _told(self, action: Any, *values: Any) -> Updates:
        action(*values)
        return {}
