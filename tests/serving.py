"""A studio that is being served, for tests that talk to it from outside."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app import build, launch_arguments
from studio.engine import Engine
from studio.settings import Settings


@dataclass
class Pace:
    """How much longer each step of a served studio's models takes; may be changed while they run."""

    seconds_per_step: float = 0.0


@contextmanager
def serving(settings: Settings, pace: Pace | None = None) -> Iterator[tuple[str, Engine]]:
    """The address and the engine of a studio on a free port, whose models can be slowed down so that there is something to see."""
    settings = settings.model_copy(update={"port": free_port()})
    engine = Engine(settings, paced(pace or Pace()))
    page = build(engine)
    page.launch(**launch_arguments(settings), prevent_thread_lock=True)
    engine.start()
    try:
        yield page.local_url, engine
    finally:
        page.close(verbose=False)
        engine.close()


def paced(pace: Pace) -> Callable[[Path, str], Any]:
    """Loads models as always; each call of their networks then takes as much longer as the pace says."""

    def load(path: Path, device: str) -> Any:
        from pipelines import families

        pipe = families.load(path, device)
        network = pipe.denoiser if hasattr(pipe, "denoiser") else pipe.unet
        network.register_forward_pre_hook(lambda *_: time.sleep(pace.seconds_per_step))
        return pipe

    return load


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
