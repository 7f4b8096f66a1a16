"""A studio that is being served, for tests that talk to it from outside."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio.app import build, launch_arguments
from studio.engine import Engine
from studio.settings import Settings


@contextmanager
def serving(settings: Settings, seconds_per_step: float = 0.0) -> Iterator[tuple[str, Engine]]:
    """The address and the engine of a studio on a free port, its model slowed down so that there is something to see."""
    settings = settings.model_copy(update={"port": free_port()})
    engine = Engine(settings, slowed(seconds_per_step))
    page = build(engine)
    page.launch(**launch_arguments(settings), prevent_thread_lock=True)
    engine.start()
    try:
        yield page.local_url, engine
    finally:
        page.close(verbose=False)
        engine.close()


def slowed(seconds_per_step: float) -> Callable[[Path, str], Any]:
    """Loads models as always; each call of their networks then takes a little longer."""

    def load(path: Path, device: str) -> Any:
        from pipelines import families

        pipe = families.load(path, device)
        network = pipe.denoiser if hasattr(pipe, "denoiser") else pipe.unet
        network.register_forward_pre_hook(lambda *_: time.sleep(seconds_per_step))
        return pipe

    return load


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
