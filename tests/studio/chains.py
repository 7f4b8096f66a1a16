"""What the tests of reference and finishing jobs share: tiny untrained finishers, clips in files, and jobs watched to their end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from studio import media
from studio.engine import Done, Engine, Event, StageStep
from studio.requests import ReferenceRequest, Request

PROMPT = "a red ball moving left"
SHORT = ReferenceRequest(prompt=PROMPT, frames=4, steps=2, guidance_scale=1)


def save_finishers(model: Path) -> Path:
    """All four finishers of the tiny model, untrained but not silent, in its folder."""
    from pipelines.decoder import build_decoder
    from pipelines.latent_flow import LatentFlow
    from pipelines.upscaling import Upscaler
    from tests.tiny import tiny_pipeline

    torch.manual_seed(1)
    pipe = tiny_pipeline()
    networks = {
        "flow": LatentFlow(12, width=16, blocks=1, fine_width=8),
        "frames": pipe.unet,
        "decoder": build_decoder(pipe.vae),
        "upscaler": Upscaler(width=8),
    }
    for name, network in networks.items():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        network.save_pretrained(model / "finishers" / name)
    return model


def run(engine: Engine, request: Request) -> tuple[str, Event]:
    """A job's id and its last event."""
    job_id = engine.submit(request)
    *_, last = engine.watch(job_id, timeout=60)
    return job_id, last


def finished(engine: Engine, request: Request) -> tuple[str, Done]:
    """The same of a job that must end well."""
    job_id, last = run(engine, request)
    assert isinstance(last, Done), last
    return job_id, last


def cached(engine: Engine, job_id: str) -> dict[str, bool]:
    """Stage -> whether it was there before the job."""
    return {stage.name: stage.cached for stage in engine.stages(job_id)}


def frames_of(engine: Engine, job_id: str, stage: str) -> np.ndarray:
    """What a stage made, exactly."""
    stored = engine.bench.stages.stored_of(job_id, stage)
    assert stored is not None
    return engine.bench.stages.frames(stored)


def until(engine: Engine, job_id: str, stage: str) -> StageStep:
    """Waits until a job has begun a stage, and is at least a step into it."""
    for event in engine.watch(job_id, timeout=60):
        if isinstance(event, StageStep) and event.stage == stage and event.index:
            return event
    raise AssertionError(f"the stage {stage!r} was never seen")


def moving(count: int, side: int = 64, seed: int = 0) -> np.ndarray:
    """A square that moves over a still ground, uint8 (f, side, side, 3)."""
    ground = np.random.default_rng(seed).integers(0, 255, (side // 8, side // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frames = np.repeat(ground[None], count, axis=0)
    for i, frame in enumerate(frames):
        frame[20:36, 4 + i % 40 : 20 + i % 40] = (250, 40, 30)
    return frames


def write_clip(path: Path, frames: np.ndarray, fps: float = 8.0) -> Path:
    """A file that did not come from the studio."""
    source = f"-f rawvideo -pix_fmt rgb24 -s {frames.shape[2]}x{frames.shape[1]} -r {fps:g} -i -".split()
    media.ffmpeg([*source, *("-pix_fmt", "yuv420p" if path.suffix == ".mp4" else "rgb8", str(path))], frames.tobytes())
    return path
