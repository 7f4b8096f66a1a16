"""What the studio adds to a run of 20 steps, printed: python -m tests.benchmarks.overhead [--model DIR] [--device auto]

The same request and model, in one process, by turns: through the engine (queue, previews, files, history), through it without
live previews, and by the pipeline alone. Medians; the target is at most 3 %. Also whether a second run of a resident model loads anything.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.engine import Done, Engine
from studio.requests import TextToVideoRequest
from studio.settings import Settings

TARGET = 0.03
NEVER = 10_000  # steps between two previews


@dataclass(frozen=True)
class Overhead:
    """Medians in seconds, and how many models were loaded for all runs after the first.

    Args:
        alone: the pipeline's.
        through: the engine's, with live previews.
        quiet: the engine's, without.
        loads: models that were loaded after the first run.
    """

    alone: float
    through: float
    quiet: float
    loads: int

    @property
    def lines(self) -> list[str]:
        """For people."""
        said = [f"pipeline alone                  {self.alone:7.3f} s"]
        for what, seconds in (("in the studio                 ", self.through), ("in the studio, without previews", self.quiet)):
            share = seconds / self.alone - 1
            verdict = "within" if share <= TARGET else "over"
            said.append(f"{what:31} {seconds:7.3f} s  {share:+6.1%}, {verdict} the target of {TARGET:.0%}")
        return [*said, f"models loaded after the first run     {self.loads}"]


def measure(model: Path, device: str = "auto", steps: int = 20, runs: int = 5) -> Overhead:
    """By turns, so that a busy machine is as busy for one as for the other."""
    request = TextToVideoRequest(prompt="a red ball moving left", steps=steps)
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data_dir=Path(data), model_dir=model, device=device, warm_up=False)
        engine = Engine(settings)
        engine.start()
        try:
            ways: dict[str, Callable[[], None]] = {
                "alone": lambda: _alone(engine, model, request),
                "through": lambda: _through(engine, settings, request),
                "quiet": lambda: _through(engine, settings.model_copy(update={"preview_every": NEVER}), request),
            }
            for way in reversed(ways.values()):
                way()
            before = engine.pool.loads
            seconds = {name: [] for name in ways}  # type: dict[str, list[float]]
            for _ in range(runs):
                for name, way in ways.items():
                    started = time.perf_counter()
                    way()
                    seconds[name].append(time.perf_counter() - started)
            return Overhead(**{name: statistics.median(all) for name, all in seconds.items()}, loads=engine.pool.loads - before)
        finally:
            engine.close()


def _through(engine: Engine, settings: Settings, request: TextToVideoRequest) -> None:
    engine.settings = settings  # the engine gives its own to each job
    *_, last = engine.watch(engine.submit(request))
    assert isinstance(last, Done), last


def _alone(engine: Engine, model: Path, request: TextToVideoRequest) -> None:
    """As anybody would call the pipeline, with everything that the request says."""
    import torch

    from pipelines.noise import NoisePrior

    with engine.pool.borrow(model) as resident:
        resident.pipe(
            request.prompt,
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
    parser.add_argument("--runs", type=int, default=5, help="Turns of which the median is taken.")
    options = parser.parse_args(argv)
    print("\n".join(measure(options.model, options.device, options.steps, options.runs).lines))


if __name__ == "__main__":
    main()
