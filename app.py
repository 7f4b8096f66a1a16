"""Starts the studio: settings, engine, page. Also the entry point of a Hugging Face Space.

python app.py [--port 7860] [--data DIR] [--model DIR] [--device auto]     (--help lists all)
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from typing import Any

from pipelines.errors import AddressInUse, StudioError
from studio.engine import Engine
from studio.settings import Settings
from studio.zero import on_zero_gpu

if on_zero_gpu():
    import spaces  # noqa: F401  before torch, whose devices it stands in for until a GPU is lent

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until it is interrupted; returns the exit status."""
    try:
        settings = Settings.load(argv)
        check_address(settings.host, settings.port)
        engine = Engine(settings)
    except StudioError as error:
        print(error, file=sys.stderr)
        return 1
    log_to_file(settings)
    serve(engine)
    return 0


def serve(engine: Engine) -> None:
    """Page first; torch and the model come in the worker, once the page is up."""
    from studio.app import build, launch_arguments

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # before anybody can see that the program runs
    page: Any = build(engine)
    try:
        if engine.lent and engine.settings.warm_up:
            engine.lent.load()
        page.launch(**{"quiet": True, **launch_arguments(engine.settings), "prevent_thread_lock": True})
        print(f"Prior Studio is at {page.local_url.rstrip('/')}", flush=True)
        if page.share_url:
            print(f"and, for everybody, at {page.share_url}", flush=True)
        engine.start()
        page.block_thread()
    except KeyboardInterrupt:
        log.info("stopped while starting")
    finally:
        page.close(verbose=False)
        engine.close()


def check_address(host: str, port: int) -> None:
    """Raises AddressInUse when nobody can listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if sys.platform != "win32":
            # As servers do: connections of the last run that linger are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = f"The studio cannot listen on {host}:{port} ({error.strerror})."
            raise AddressInUse(reason, f"Close what uses it, or choose another port, for example --port {port % 65535 + 1}.") from error


def log_to_file(settings: Settings) -> None:
    """Everything into the data folder's log; warnings also to the terminal."""
    file = RotatingFileHandler(settings.data_dir / "studio.log", maxBytes=2**20, backupCount=2, encoding="utf-8")
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=[file, terminal])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself whether it is up


if __name__ == "__main__":
    sys.exit(main())
