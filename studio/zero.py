"""A GPU that is lent for one call at a time, as on a Space with ZeroGPU.

A function marked with `spaces.GPU` runs in a process forked for it: it alone sees the GPU, what it takes and gives is pickled, and nothing
that it changes in memory comes back. So a job is made there, and everything that it says, asks or keeps goes through `wires` to this
process, which owns the database:

    worker (here)                                       the process with the GPU
    call(job, request, wire)               --->         make(job) on a bench whose history and walls are at the other end of the wire
    history.add, tell, stopped ...         <---             as it goes
    what went wrong, "" if nothing         <---         return

The model is loaded here, before the page is up: the forked process has it without loading anything.
"""

from __future__ import annotations

import contextvars
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.errors import JobError, StudioError

from .gpu_seconds import seconds
from .kinds import KINDS
from .making import Bench, Making
from .requests import Request
from .wires import Home, Wire, far_bench, far_stop

Guarded = Callable[[str, Callable[[], None]], str]
log = logging.getLogger(__name__)


def on_zero_gpu(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is on a Space whose GPU is lent by the call, with the package that borrows it."""
    return environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true") and importlib.util.find_spec("spaces") is not None


class LentGpu:
    """Makes jobs in the process that has the GPU. Built before the page is launched: a Space without a marked function is refused.

    Args:
        bench: what jobs are made with here.
        guarded: (what, action) -> what went wrong, for people, or "": nothing else than words may leave the other process.
    """

    def __init__(self, bench: Bench, guarded: Guarded) -> None:
        import spaces

        self.bench, self._guarded = bench, guarded
        self._visitors: dict[str, contextvars.Context] = {}

        def make(job_id: str, request: Request, wire: Wire) -> str:
            with wire.connected() as ask:
                making = Making(job_id, request, bench.settings, far_stop(ask))
                there = far_bench(bench, ask)
                return guarded(f"job {job_id}", lambda: KINDS[request.kind].make(making, there))

        def duration(job_id: str, request: Request, wire: Wire) -> int:
            return seconds(request, bench)

        self._call: Callable[[str, Request, Wire], str] = spaces.GPU(duration=duration, size=bench.settings.gpu_size)(make)

    def load(self) -> None:
        """Brings the studio's model to the GPU as the lender wants it: in the main thread, before the page is launched."""

        def bring() -> None:
            with self.bench.pool.borrow(self.bench.settings.model_dir):
                log.info("the model is there for every call")

        self._guarded("loading before the page is up", bring)

    def submitted(self, job_id: str) -> None:
        """Remembers who asks for a job: the time on the GPU is taken from that visitor's share, whichever thread asks for it later."""
        self._visitors[job_id] = contextvars.copy_context()

    def make(self, making: Making) -> None:
        """Makes a job where the GPU is; returns when it is done, or stopped.

        Raises:
            JobError: with what went wrong there.
        """
        visitor = self._visitors.pop(making.job_id, None) or contextvars.copy_context()
        answers: dict[str, Callable[..., Any]] = {
            "stopped": making.stop.is_set,
            "tell": self.bench.tell,
            "add": self.bench.history.add,
            "find": self.bench.history.find,
            "get": self.bench.history.get,
            "named": self.bench.history.named,
            "put": self.bench.walls.put,
            "cells": self.bench.walls.cells,
        }
        with Home(answers) as home:
            if said := visitor.run(self._call, making.job_id, making.request, home.wire):
                raise JobError(said)


def refused(error: Exception) -> StudioError | None:
    """What to say where the lender's own error ended a job: no GPU free, the visitor's share used up, the time over; else None."""
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", error)).strip().rstrip(".")
    if not title.startswith("ZeroGPU"):
        return None
    return JobError(f"The GPU was not lent for this job, or not for long enough ({message}).", "Ask for less, or try again later.")
