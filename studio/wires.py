"""What a job says and asks from another process on this machine: history, walls and events stay with their owner.

A database must not be used on both sides of a fork, so the forked process asks this one, by name, over a socket.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from pipelines.errors import StudioError

from .cells import MadeCell, Walls
from .history import ClipRecord, History
from .making import Bench
from .requests import ClipRequest

Ask = Callable[..., Any]  # (name, *arguments, **named ones) -> the answer
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wire:
    """Where the owner answers; it may be pickled."""

    address: str
    key: bytes

    @contextmanager
    def connected(self) -> Iterator[Ask]:
        """A function that asks the owner, from any thread; an answer that is a `StudioError` is raised."""
        turn = threading.Lock()
        with Client(self.address, authkey=self.key) as connection:

            def ask(name: str, *args: Any, **named: Any) -> Any:
                with turn:
                    connection.send((name, args, named))
                    answer = connection.recv()
                if isinstance(answer, StudioError):
                    raise answer
                return answer

            yield ask


class Home:
    """Answers on a wire until the end of the `with`.

    Args:
        answers: name -> what is called with the arguments that come with it.
    """

    def __init__(self, answers: Mapping[str, Callable[..., Any]]) -> None:
        self.answers = answers
        self._folder = Path(tempfile.mkdtemp(prefix="prior-studio-"))  # a socket's path must be short
        self.wire = Wire(str(self._folder / "wire"), secrets.token_bytes(32))
        self._listener = Listener(self.wire.address, "AF_UNIX", authkey=self.wire.key)
        self._thread = threading.Thread(target=self._serve, name="studio-wire", daemon=True)
        self._over = threading.Event()

    def __enter__(self) -> Home:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with socket.socket(socket.AF_UNIX) as knock:  # wakes who waits for somebody that never came
            knock.connect(self.wire.address)
        self._thread.join(timeout=10)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection = self._listener.accept()
            except (EOFError, AuthenticationError, ConnectionError):
                continue  # somebody who knocked, but has no key
            with connection:
                self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        """Until the other side hangs up, or is gone."""
        while True:
            try:
                name, args, named = connection.recv()
            except (EOFError, ConnectionResetError):
                return
            try:
                answer = self.answers[name](*args, **named)
            except StudioError as error:
                answer = error
            try:
                connection.send(answer)
            except BrokenPipeError:
                log.warning("a job left before it had its answer to %r", name)
                return


def far_bench(bench: Bench, ask: Ask) -> Bench:
    """The bench for the other process: all as it is here, but what is kept and told goes over the wire."""
    history = FarHistory(ask, bench.history.data_dir)
    return replace(bench, history=history, walls=FarWalls(ask, history), tell=lambda event: ask("tell", event))


def far_stop(ask: Ask) -> threading.Event:
    """A flag that is set when it is set at the other end."""
    return _FarFlag(ask)


class _FarFlag(threading.Event):
    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def is_set(self) -> bool:
        return bool(self._ask("stopped"))


class FarHistory(History):
    """The history as jobs use it, at the other end of a wire."""

    def __init__(self, ask: Ask, data_dir: Path) -> None:
        self._ask, self.data_dir = ask, data_dir

    def add(self, *, id: str, job_id: str, path: Path, request: ClipRequest, width: int, height: int, weights: str = "") -> ClipRecord:
        return self._ask("add", id=id, job_id=job_id, path=path, request=request, width=width, height=height, weights=weights)

    def find(self, request: ClipRequest, weights: str) -> ClipRecord | None:
        return self._ask("find", request, weights)

    def get(self, clip_id: str) -> ClipRecord:
        return self._ask("get", clip_id)

    def named(self, clip_ids: Collection[str]) -> dict[str, ClipRecord]:
        return self._ask("named", list(clip_ids))


class FarWalls(Walls):
    """The walls as jobs use them, at the other end of a wire."""

    def __init__(self, ask: Ask, history: FarHistory) -> None:
        self._ask, self.history = ask, history

    def put(self, job_id: str, cell: int, clip: ClipRecord, readings: Mapping[str, float]) -> MadeCell:
        return self._ask("put", job_id, cell, clip, dict(readings))

    def cells(self, job_id: str) -> tuple[MadeCell, ...]:
        return self._ask("cells", job_id)
