"""Stands in for the package of a Space with ZeroGPU: a marked function runs in a forked process, and only pickles come back.

As the real one (0.51): the process is forked at the call; of what is raised there only the name of its class arrives; a duration over the
visitor's share is refused at once; and whose share it is, a context variable of the calling thread says.
"""

from __future__ import annotations

import contextvars
import multiprocessing
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

MOST_SECONDS = 120
DIE = "PRIOR_STUDIO_TEST_DIE"  # in the environment: the process ends in the middle of the call, as when its time is over
visitor: contextvars.ContextVar[str] = contextvars.ContextVar("visitor", default="nobody")
fork: Any = multiprocessing.get_context("fork")


class Error(Exception):
    """As gradio's: a message and a title."""

    def __init__(self, message: str, title: str) -> None:
        self.message, self.title = message, title
        super().__init__(message)


@dataclass(frozen=True)
class Call:
    """What was asked of the GPU."""

    seconds: int
    visitor: str
    size: str | None


calls: list[Call] = []


def GPU(task: Any = None, *, duration: Any = 60, size: str | None = None) -> Any:
    if task is None:
        return partial(GPU, duration=duration, size=size)

    @wraps(task)
    def call(*args: Any, **named: Any) -> Any:
        seconds = duration(*args, **named) if callable(duration) else duration
        calls.append(Call(seconds, visitor.get(), size))
        if seconds > MOST_SECONDS:
            raise Error(f"The requested GPU duration ({seconds}s) is larger than the maximum allowed", "ZeroGPU illegal duration")
        return _in_another_process(task, pickle.dumps((args, named)))

    return call


def gradio_auto_wrap(task: Any) -> Any:
    """Gradio offers every handler; only a Space that asks for it has them all wrapped."""
    return task


def _in_another_process(task: Callable[..., Any], given: bytes) -> Any:
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=_run, args=(task, given, there), daemon=True)
    process.start()
    there.close()
    try:
        value, failure = pickle.loads(here.recv_bytes())
    except EOFError as error:
        raise Error("GPU task aborted", "ZeroGPU worker error") from error
    finally:
        process.join()
    if failure:
        raise Error(failure, "ZeroGPU worker error")
    return value


def _run(task: Callable[..., Any], given: bytes, there: Any) -> None:
    import torch

    torch.set_num_threads(1)  # OpenMP's threads do not outlive a fork
    os.environ["STAND_IN_GPU"] = str(os.getpid())
    args, named = pickle.loads(given)
    if DIE in os.environ:
        os._exit(1)
    try:
        answer = pickle.dumps((task(*args, **named), ""))
    except Exception as error:
        answer = pickle.dumps((None, type(error).__name__))
    there.send_bytes(answer)
    os._exit(0)
