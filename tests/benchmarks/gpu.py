"""What full-size models cost on a GPU, printed: python -m tests.benchmarks.gpu [--only NAME ...] [--tiny]

Random weights, half precision. Of each: seconds (medians of warm runs), peak memory, and the share of what the GPU reaches in one large
matrix product that the run's own products come to. Beside them eager against compiled blocks, our call against diffusers alone, and a
composition against the two networks that it calls. --tiny shrinks the models until a CPU runs everything, for tests of the program itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipelines.composition import ComposedDenoiser
from pipelines.one_shot import OneShotTuner, TuningSettings
from pipelines.speed import Speed, cannot, put_on
from tests.benchmarks import full_size, one_shot
from tests.tiny import tiny_pipeline

NO_GPU = (
    "This measures models of full size, which needs a CUDA GPU, and there is none here. "
    "With --tiny the same program runs on small models, on a CPU; its numbers then mean nothing."
)


@dataclass(frozen=True)
class Row:
    """One line of the table; `share` is of the measured limit, `note` compares it with another line."""

    name: str
    seconds: float
    gigabytes: float
    share: float
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name:34}{self.seconds:10.3f} s{self.gigabytes:9.2f} GB{self.share:8.1%}   {self.note}".rstrip()


@dataclass(frozen=True)
class Bench:
    """Where and how much is measured; `limit` is in operations a second."""

    device: str
    dtype: torch.dtype
    tiny: bool
    steps: int
    runs: int
    limit: float

    def row(self, name: str, action: Callable[[], object], than: Row | None = None, flops: float = 0.0) -> Row:
        """An action, measured: once to warm up, then the median.

        Args:
            name: for people.
            action: a whole run.
            than: a line to compare with.
            flops: operations of the action; 0 counts them in one more run.
        """
        flops = flops or operations(action)
        action()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = statistics.median(one_shot.timed(action, self.device == "cuda") for _ in range(self.runs))
        peak = torch.cuda.max_memory_allocated() / 1e9 if self.device == "cuda" else 0.0
        note = f"{seconds / than.seconds:.2f} times {than.name}" if than else ""
        return Row(name, seconds, peak, flops / seconds / self.limit, note)


def operations(action: Callable[[], object]) -> float:
    """Of all matrix products, convolutions and attentions of a run."""
    with FlopCounterMode(display=False) as counter:
        action()
    return float(counter.get_total_flops())


def matmul_limit(device: str, dtype: torch.dtype, side: int) -> float:
    """Operations a second in one large matrix product: the best of ten."""
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = min(one_shot.timed(lambda: one @ other, device == "cuda") for _ in range(10))
    return 2 * side**3 / best


# -- what is measured -----------------------------------------------------------------------------------------------------


def tuning(bench: Bench) -> Iterator[Row]:
    """Steps of one-shot tuning on SD 1.5: 24 frames of 512 x 512 with checkpointing."""
    pipe = tiny_pipeline() if bench.tiny else one_shot.build(bench.device, bench.dtype)
    frames, side = (4, 64) if bench.tiny else (24, 512)
    clip = np.random.default_rng(0).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)
    settings = TuningSettings(steps=10_000, gradient_checkpointing=not bench.tiny)
    steps = iter(OneShotTuner(pipe, clip, one_shot.CAPTION, settings))
    yield bench.row("SD 1.5, a step of tuning", lambda: next(steps))


def model_scope(bench: Bench) -> Iterator[Row]:
    """Videos of ModelScope's size: diffusers alone, ours, ours compiled."""
    yield from _generation("ModelScope", full_size.model_scope(bench.device, bench.dtype, bench.tiny), bench)


def wan(bench: Bench) -> Iterator[Row]:
    """Videos of Wan 1.3B's size: diffusers alone, ours, ours compiled."""
    yield from _generation("Wan 1.3B", full_size.wan(bench.device, bench.dtype, bench.tiny), bench)


def composition(bench: Bench) -> Iterator[Row]:
    """Two networks of Wan 1.3B's size as one, against a video with each: their sum is what a composition should cost, less one half."""
    sized = full_size.wan(bench.device, bench.dtype, bench.tiny)
    alone = bench.row("Wan 1.3B alone", lambda: sized.make(bench.steps))
    yield alone
    adapter = full_size.another(sized.network)
    with sized.ours.replaced(ComposedDenoiser(sized.network, adapter, 0.5)):
        yield bench.row("Wan 1.3B + Wan 1.3B composed", lambda: sized.make(bench.steps), alone)


def _generation(name: str, sized: full_size.Sized, bench: Bench) -> Iterator[Row]:
    plain = bench.row(f"{name}, diffusers alone", lambda: sized.make_plain(bench.steps))
    yield plain
    flops = operations(lambda: sized.make(bench.steps))
    ours = bench.row(f"{name}, ours", lambda: sized.make(bench.steps), plain, flops)
    yield ours
    speed = Speed(compiled=True)
    if cannot(sized.ours, speed):
        return
    with put_on(sized.ours, speed):
        yield bench.row(f"{name}, ours, compiled", lambda: sized.make(bench.steps), ours, flops)


MEASURED: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "tuning": tuning,
    "modelscope": model_scope,
    "wan": wan,
    "composition": composition,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASURED, default=list(MEASURED), help="What to measure.")
    parser.add_argument("--tiny", action="store_true", help="Small models, on whatever device there is.")
    parser.add_argument("--steps", type=int, default=8, help="Denoising steps of a video.")
    parser.add_argument("--runs", type=int, default=3, help="Warm runs of which the median is taken.")
    options = parser.parse_args(argv)
    cuda = torch.cuda.is_available()
    if not cuda and not options.tiny:
        print(NO_GPU)
        return 1
    device, dtype = ("cuda", torch.bfloat16) if cuda else ("cpu", torch.float32)
    limit = matmul_limit(device, dtype, 256 if options.tiny else 8192)
    where = torch.cuda.get_device_name() if cuda else "CPU"
    print(f"{where}, {str(dtype).removeprefix('torch.')}: {limit / 1e12:.1f} tera-operations a second in one matrix product", flush=True)
    bench = Bench(device, dtype, options.tiny, options.steps, options.runs, limit)
    for name in options.only:
        began = time.perf_counter()
        for row in MEASURED[name](bench):
            print(row, flush=True)
        print(f"{'':34}{time.perf_counter() - began:10.0f} s in all for {name}", flush=True)
        if cuda:
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
