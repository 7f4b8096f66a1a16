"""What the studio adds to a run of 20 steps, printed: python -m tests.benchmarks.overhead [--model DIR] [--side 128] [--device auto]

The same request and model in one process: by the pipeline alone, and through the engine as it ships (queue, live previews, files, history),
in pairs, each way first by turns, so that a busy machine is as busy for one as for the other. What the studio adds is the median of the
pairs' differences; its parts are medians, too, and what runs beside the sampling is no part of it. Of the processor's time, what ffmpeg
takes counts as the studio's. The target is at most 3 %. Also whether a second run of a resident model loads anything.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from studio import media
from studio.engine import Done, Engine
from studio.history import History
from studio.jobs import JobQueue
from studio.previews import Previews
from studio.requests import TextToVideoRequest
from studio.residency import ModelPool
from studio.settings import Settings

TARGET = 0.03
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "the MP4": ((media, "write_mp4"),),
    "its thumbnail": ((media, "write_thumbnail"),),
    "is there memory": ((ModelPool, "room"),),
    "previews, decoded": ((Previews, "offer"),),
    "steps told": ((Previews, "tell"),),
    "queue and history": ((JobQueue, "add"), (JobQueue, "take"), (JobQueue, "change"), (History, "add"), (History, "of_job")),
    "(beside: previews, encoded)": ((media, "write_preview"),),
}


@dataclass(frozen=True)
class Run:
    """Seconds that passed, that processors worked (this process and ffmpeg), and that the parts of the studio took."""

    passed: float
    worked: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Overhead:
    """Runs of the pipeline alone and through the engine, in pairs, and how many models were loaded after the first."""

    pairs: list[tuple[Run, Run]]
    loads: int

    def share(self, of: Callable[[Run], float]) -> float:
        """What the studio adds, as a share of what the pipeline takes alone."""
        return statistics.median(of(through) - of(alone) for alone, through in self.pairs) / self.alone(of)

    def alone(self, of: Callable[[Run], float]) -> float:
        return statistics.median(of(alone) for alone, _ in self.pairs)

    @property
    def lines(self) -> list[str]:
        """For people."""
        said = []
        for what, of in (("seconds", lambda run: run.passed), ("of processors", lambda run: run.worked)):
            share = self.share(of)
            verdict = "within" if share <= TARGET else "over"
            said.append(f"{what:14} {self.alone(of):7.3f}, the studio adds {share:+6.1%}: {verdict} the target of {TARGET:.0%}")
        for part in PARTS:
            seconds = statistics.median(through.parts[part] for _, through in self.pairs)
            said.append(f"  {part:28} {seconds * 1000:5.1f} ms {seconds / self.alone(lambda run: run.passed):6.1%}")
        return [*said, f"models loaded after the first run: {self.loads}"]


def measure(model: Path, request: TextToVideoRequest, device: str = "auto", threads: int = 1, runs: int = 7) -> Overhead:
    """On so many threads of torch; the engine is a new one, for threads that have begun keep their number."""
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(data_dir=Path(data), model_dir=model, device=device, warm_up=False))
        engine.start()
        try:
            ways = [lambda: _alone(engine, model, request), lambda: _through(engine, request)]
            for way in reversed(ways):
                way()
            before = engine.pool.loads
            pairs = []
            for i in range(runs):
                made = [_timed(way) for way in (ways if i % 2 else reversed(ways))]
                pairs.append((made[0], made[1]) if i % 2 else (made[1], made[0]))
            return Overhead(pairs, engine.pool.loads - before)
        finally:
            engine.close()


def _timed(way: Callable[[], None]) -> Run:
    with _parts() as parts:
        started, worked = time.perf_counter(), _worked()
        way()
        return Run(time.perf_counter() - started, _worked() - worked, parts)


def _worked() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


@contextmanager
def _parts() -> Iterator[dict[str, float]]:
    """Seconds in each part, until the end of the `with`."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - started

        return call

    with ExitStack() as stack:
        for part, places in PARTS.items():
            for owner, name in places:
                stack.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        yield seconds


def _through(engine: Engine, request: TextToVideoRequest) -> None:
    *_, last = engine.watch(engine.submit(request))
    assert isinstance(last, Done), last


def _alone(engine: Engine, model: Path, request: TextToVideoRequest) -> None:
    """As anybody would call the pipeline, with everything that the request says."""
    import torch

    from pipelines.noise import NoisePrior

    width, height = engine.bench.choosing.model("").size(request.width, request.height)
    with engine.pool.borrow(model) as resident:
        resident.pipe(
            request.prompt,
            width=width,
            height=height,
            num_frames=request.frames,
            fps=request.fps,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            sampler=request.sampler or None,
            noise_prior=NoisePrior(request.noise_kind, request.noise_alpha),
            generator=torch.Generator("cpu").manual_seed(request.seed),
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Settings().model_dir, help="Folder of the model.")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda.")
    parser.add_argument("--steps", type=int, default=20, help="Denoising steps.")
    parser.add_argument("--side", type=int, default=0, help="Pixels of the video's sides; 0 is the model's own.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="Threads of torch, one measurement each.")
    parser.add_argument("--runs", type=int, default=7, help="Pairs of which the median is taken.")
    options = parser.parse_args(argv)
    request = TextToVideoRequest(prompt="a red ball moving left", steps=options.steps, width=options.side, height=options.side)
    for threads in options.threads:
        print(f"-- threads: {threads}", *measure(options.model, request, options.device, threads, options.runs).lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
