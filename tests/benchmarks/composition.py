"""What composing costs, printed: python -m tests.benchmarks.composition [--model DIR] [--domain NAME] [--strengths 4]

A composed clip against its three network evaluations a step (the domain model's two at once, then the prior's); and a wall of K
strengths against K composed clips, both through the engine, warm. Without a domain model beside the model an untrained one is made:
it costs the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pipelines.domain_models import DomainModel, list_domain_models, save_domain_model
from pipelines.domain_unet import small_unet
from pipelines.latent_space import LatentSpace, weights_hash
from pipelines.text_to_video import TextToVideoPipeline
from studio.engine import Done, Engine
from studio.requests import Axis, ComparisonRequest, Request, TextToVideoRequest
from studio.residency import Resident, ResidentDomain
from studio.settings import Settings
from studio.text_to_video import generate

BASE = TextToVideoRequest(prompt="a big red star moving right over green hills")


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def untrained(resident: Resident, folder: Path) -> DomainModel:
    """A domain model of a tenth of the prior's parameters."""
    pipe, channels = resident.pipe, resident.pipe.unet.config.in_channels
    unet = small_unet(pipe.unet, 0.1, pipe.scheduler, torch.zeros(channels), torch.ones(channels))
    space, text = LatentSpace.of(pipe.vae).to_dict(), weights_hash(pipe.text_encoder)
    return save_domain_model(folder / "untrained", unet, DomainModel("untrained", "Untrained", latent_space=space, text_encoder=text))


def evaluations(resident: Resident, domain: ResidentDomain, request: TextToVideoRequest) -> float:
    """Seconds of the networks alone: at each step the domain model on a batch of two and the prior on one."""
    pipe: TextToVideoPipeline = resident.pipe
    shape = pipe._latent_shape(1, request.frames, pipe.defaults.height, pipe.defaults.width)
    sample, t = torch.randn(shape), torch.tensor(500)
    with torch.no_grad(), pipe._precision(sample.device):
        text = pipe._encode([request.prompt], None, guided=True, device=sample.device)
        extra = {"fps": request.fps} if pipe.unet.config.frame_rate else {}

        def step() -> None:
            domain.unet(torch.cat([sample] * 2), t, **text, **extra, return_dict=False)
            pipe.unet(sample, t, **{name: value[1:] for name, value in text.items()}, **extra, return_dict=False)

        step()
        return seconds(lambda: [step() for _ in range(request.steps)])


def run(engine: Engine, request: Request) -> None:
    *_, last = engine.watch(engine.submit(request))
    assert isinstance(last, Done), last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Settings().model_dir, help="Folder of the prior.")
    parser.add_argument("--domain", default="", help="Name of a domain model beside it; the first by default.")
    parser.add_argument("--strengths", type=int, default=4, help="Columns of the wall.")
    parser.add_argument("--runs", type=int, default=3, help="Warm runs of which the median is taken.")
    parser.add_argument("--steps", type=int, default=BASE.steps, help="Denoising steps of a clip.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(data_dir=Path(data), model_dir=options.model, warm_up=False))
        engine.start()
        try:
            measure(engine, options)
        finally:
            engine.close()


def measure(engine: Engine, options: argparse.Namespace) -> None:
    base, model_dir = BASE.model_copy(update={"steps": options.steps}), engine.settings.model_dir
    with engine.pool.borrow(model_dir) as resident:
        models = list_domain_models(model_dir / "adapters")
        model = next((each for each in models if options.domain in ("", each.name)), None)
        model = model or untrained(resident, engine.settings.data_dir / "domain_models")
        domain = engine.pool.domain(resident, model_dir, model)
        base = base.model_copy(update={"domain_model": model.name, "prior_strength": 0.5})
        networks = statistics.median(evaluations(resident, domain, base) for _ in range(options.runs))
        clip = lambda: generate(resident.pipe, base, lambda *_: {}, engine.bench.choosing.model(""), domain)  # noqa: E731
        clip()
        composed = statistics.median(seconds(clip) for _ in range(options.runs))
    singles = [base.model_copy(update={"prior_strength": 0.31 + i / 100}) for i in range(options.strengths)]
    alone = sum(seconds(lambda one=request: run(engine, one)) for request in singles)  # type: ignore[misc]
    values = tuple(0.71 + i / 100 for i in range(options.strengths))
    wall = seconds(lambda: run(engine, ComparisonRequest(base=base, columns=Axis(field="prior_strength", values=values))))
    print(f"three evaluations a step, {base.steps} steps   {networks:6.2f} s")
    print(f"a composed clip                      {composed:6.2f} s   {composed / networks:.2f} times its evaluations (at most 1.15)")
    print(f"{options.strengths} composed clips, one by one         {alone:6.2f} s")
    print(f"a wall of {options.strengths} strengths                {wall:6.2f} s   {wall / alone:.2f} times the clips (at most 1.10)")


if __name__ == "__main__":
    main()
