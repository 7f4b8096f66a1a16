"""Downloads under way: each in a thread of its own, watched and cancelled from anywhere. The device is not needed, so the queue goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipelines.catalog import check_hub_id
from pipelines.errors import JobError

from .downloads import ModelStore, Progress

PATIENCE = 3.0  # seconds that closing waits for each; what is here already stays, whenever it ends

Guard = Callable[[str, Callable[[], None]], str]


@dataclass(frozen=True)
class Fetch:
    """A download: under way (`progress` is None until the Hub has said what it consists of), or failed with a sentence.

    Args:
        hub: the repository.
        revision: branch, tag or commit.
        file: one file alone; "" is the model.
    """

    hub: str
    revision: str = "main"
    file: str = ""
    progress: Progress | None = None
    stopping: bool = False
    error: str = ""


class Fetching:
    """All downloads of a studio; those that ended well, or were cancelled, are forgotten.

    Args:
        store: where models go; asked for each time.
        guard: runs something, and returns what went wrong, for people, or nothing.
    """

    def __init__(self, store: Callable[[], ModelStore], guard: Guard) -> None:
        self._store, self._guard = store, guard
        self._lock = threading.Lock()
        self._fetches: dict[str, Fetch] = {}
        self._threads: dict[str, tuple[threading.Thread, threading.Event]] = {}

    def start(self, hub: str, revision: str = "main", file: str = "") -> None:
        """Begins a download, or goes on with one; whatever is wrong with it is told by `fetches`.

        Raises:
            InvalidInput: for a name that is none.
            JobError: when it is under way already.
        """
        hub = check_hub_id(hub)
        with self._lock:
            if hub in self._threads:
                raise JobError(f"{hub!r} is being downloaded already.", "Wait for it.")
            stop = threading.Event()
            thread = threading.Thread(target=self._run, args=(hub, revision, file, stop), name=f"download {hub}", daemon=True)
            self._threads[hub] = thread, stop
            self._fetches[hub] = Fetch(hub, revision, file)
        thread.start()

    def fetches(self) -> list[Fetch]:
        """Those under way, and those that failed and were not dismissed."""
        with self._lock:
            return list(self._fetches.values())

    def under_way(self, hub: str) -> bool:
        with self._lock:
            return hub in self._threads

    def cancel(self, hub: str) -> None:
        """Ends a download, within the next piece of its file; what is here stays. A failed one is forgotten."""
        with self._lock:
            if hub in self._threads:
                self._threads[hub][1].set()
                self._fetches[hub] = replace(self._fetches[hub], stopping=True)
            else:
                self._fetches.pop(hub, None)

    def again(self, hub: str) -> None:
        """Goes on with one that failed; raises JobError when there is none."""
        with self._lock:
            fetch = self._fetches.get(hub)
        if fetch is None:
            raise JobError(f"There is no download of {hub!r}.", "Start it in the catalog.")
        self.start(fetch.hub, fetch.revision, fetch.file)

    def wait(self, hub: str, timeout: float | None = None) -> None:
        """Until a download has ended."""
        with self._lock:
            waited = self._threads.get(hub)
        if waited:
            waited[0].join(timeout)

    def close(self) -> None:
        """Ends all downloads; they go on where they were when they are started again."""
        with self._lock:
            running = dict(self._threads)
        for _, stop in running.values():
            stop.set()
        for hub in running:
            self.wait(hub, PATIENCE)

    def _run(self, hub: str, revision: str, file: str, stop: threading.Event) -> None:
        def tell(progress: Progress) -> None:
            with self._lock:
                self._fetches[hub] = replace(self._fetches[hub], progress=progress)

        error = self._guard(f"downloading {hub}", lambda: self._download(hub, revision, file, tell, stop))
        with self._lock:
            del self._threads[hub]
            if error and not stop.is_set():
                self._fetches[hub] = replace(self._fetches[hub], progress=None, error=error)
            else:
                del self._fetches[hub]

    def _download(self, hub: str, revision: str, file: str, tell: Callable[[Progress], None], stop: threading.Event) -> None:
        self._store().download(hub, revision, file, tell, stop)
