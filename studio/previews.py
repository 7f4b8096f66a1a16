"""Live previews beside the sampling: decoded between two steps, for one thread at a time calls a model; encoded while the next steps run.

with Previews(making, tell) as previews:
    previews.offer(pipe, denoised, fps, "0-41", step)       # after each step: makes one if it is time for one
    previews.tell(Step(...))                                # passes the step on, with the newest preview
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import media
from .events import Step
from .making import Making, Tell

SHARE = 0.025  # of the time, at most, that decoding may take from the sampling: a slow decoder makes fewer previews


class Previews:
    """Those of one video, until the end of the `with`; after it none is written or told.

    Args:
        making: the job.
        tell: takes its steps, also from another thread, one at a time.

    Raises:
        StorageError: at the next step, or at the end, when one could not be written.
    """

    def __init__(self, making: Making, tell: Tell) -> None:
        self.job_id, self.folder, self.every = making.job_id, making.previews, making.settings.preview_every
        self._tell = tell
        self._turn = threading.Lock()  # guards the next two, and the order in which steps are told
        self._told: Step | None = None
        self._newest: Path | None = None
        self._beside = ThreadPoolExecutor(1, "studio-previews")
        self._writing: Future[None] | None = None
        self._next = 0.0

    def __enter__(self) -> Previews:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._beside.shutdown()
        if self._writing and kind is None:
            self._writing.result()

    def offer(self, pipe: Any, denoised: Any, fps: float, name: str, step: int) -> None:
        """Makes a preview of latents (1, c, f, h, w) unless the last one was just now, or is being written still."""
        if self._writing and self._writing.done():
            self._writing.result()
            self._writing = None
        if self._writing or time.monotonic() < self._next:
            return
        denoised[(0,) * denoised.ndim].item()  # a GPU may be steps behind: they are not the preview's time
        started = time.monotonic()
        frames = media.glimpse(pipe, denoised)
        now = time.monotonic()
        self._next = now + max(self.every, (now - started) / SHARE) if self.every else now
        path = self.folder / f"{self.job_id}-{name}-{step:04}.webp"
        self._writing = self._beside.submit(self._write, frames, fps, path, step)
        if not self.every:
            self._writing.result()

    def tell(self, step: Step) -> None:
        """Passes a step on, with the newest preview."""
        with self._turn:
            self._told = replace(step, preview=self._newest)
            self._tell(self._told)

    def _write(self, frames: Any, fps: float, path: Path, step: int) -> None:
        """In the other thread. Slow steps are not waited for: the one it shows is told again, with it."""
        media.write_preview(media.thinned(frames), fps, path)
        with self._turn:
            self._newest = path
            if self._told and self._told.index >= step:
                self._told = replace(self._told, preview=path)
                self._tell(self._told)
