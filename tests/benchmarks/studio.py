"""What the studio costs on top of the model, printed: python -m tests.benchmarks.studio [--model DIR]

Page up: from the start of the program to the first answered request. A clip: median of warm runs, through the engine and by the
pipeline alone; the difference is the studio's (previews, files, database).
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from studio.engine import Done, Engine
from studio.requests import TextToVideoRequest
from studio.settings import ROOT, Settings

CLIP = TextToVideoRequest(prompt="a red ball moving left")


def page_up_seconds(model: Path) -> float:
    """From starting the program to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        started = time.monotonic()
        command = [sys.executable, "app.py", "--port", str(port), "--data", data, "--model", str(model)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
            try:
                while not answers(port):
                    time.sleep(0.05)
                return time.monotonic() - started
            finally:
                program.terminate()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as page:
            return page.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def clip_seconds(model: Path, runs: int, request: TextToVideoRequest = CLIP) -> tuple[float, float]:
    """Medians of a clip, warm: through the engine, and by the pipeline alone."""
    from studio.text_to_video import generate

    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(data_dir=Path(data), model_dir=model, warm_up=False))
        engine.start()
        through, alone = [], []
        for _ in range(runs + 1):
            started = time.monotonic()
            *_, last = engine.watch(engine.submit(request))
            through.append(time.monotonic() - started)
            assert isinstance(last, Done), last
            with engine.pool.borrow(model) as resident:
                started = time.monotonic()
                generate(resident.pipe, request, lambda *_: {}, engine.bench.choosing.model(""))
                alone.append(time.monotonic() - started)
        engine.close()
    return statistics.median(through[1:]), statistics.median(alone[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Settings().model_dir, help="Folder of the model.")
    parser.add_argument("--runs", type=int, default=5, help="Warm runs of which the median is taken.")
    options = parser.parse_args()
    print(f"page up                        {statistics.median(page_up_seconds(options.model) for _ in range(3)):6.2f} s")
    through, alone = clip_seconds(options.model, options.runs)
    print(f"16-frame clip, in the studio   {through:6.2f} s")
    print(f"16-frame clip, pipeline alone  {alone:6.2f} s")
    print(f"the studio's share             {through - alone:6.2f} s")


if __name__ == "__main__":
    main()
