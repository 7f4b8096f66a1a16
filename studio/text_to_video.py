"""A text-to-video job: what the worker does with a pipeline in hand. Previews, time left, stopping, files."""

from __future__ import annotations

import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, media
from .events import Event, Step
from .history import ClipRecord, History
from .requests import TextToVideoRequest
from .settings import Settings

if TYPE_CHECKING:
    import torch

    from pipelines.text_to_video import TextToVideoPipeline

    from .residency import Resident

Tell = Callable[[Event], None]


@dataclass
class Making:
    """A job while it runs; `stop` may be set from any thread."""

    job_id: str
    request: TextToVideoRequest
    settings: Settings
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def previews(self) -> Path:
        """The folder of live previews; only the running job has any."""
        return self.settings.data_dir / "previews"


def make(making: Making, resident: Resident, history: History, tell: Tell) -> None:
    """Makes the variations one after another, each saved as soon as it is there. Returns early once `making.stop` is set.

    One by one, not as a batch: the first video is there soonest, and each is bit for bit what its seed gives alone.
    """
    shutil.rmtree(making.previews, ignore_errors=True)
    request = making.request
    for done, seed in enumerate(request.seeds):
        progress = Progress(making, seed, done, tell)
        frames = generate(resident.pipe, request.variation(seed), progress)
        if making.stop.is_set():
            return
        save(making.job_id, request.variation(seed), frames, resident, history)


def generate(pipe: TextToVideoPipeline, request: TextToVideoRequest, progress: Progress) -> Any:
    """One video, float32 (f, h, w, 3) in [0, 1]; whatever is there when `progress` is told to stop."""
    import torch

    from pipelines.noise import NoisePrior

    output: Any = pipe(
        request.prompt,
        negative_prompt=request.negative_prompt or None,
        num_frames=request.frames,
        fps=request.fps,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        sampler=request.sampler,
        noise_prior=NoisePrior(request.noise_kind, request.noise_alpha),
        generator=torch.Generator("cpu").manual_seed(request.seed),
        callback_on_step_end=progress,
        callback_on_step_end_tensor_inputs=["latents", "denoised"],
    )
    return output.frames[0]


class Progress:
    """A pipeline's step callback: tells the observers, and stops the pipeline when somebody asked for it.

    Args:
        making: the job.
        seed: of the variation.
        done: variations made before this one.
        tell: takes events.
    """

    def __init__(self, making: Making, seed: int, done: int, tell: Tell) -> None:
        self.making = making
        self.seed = seed
        self.done = done
        self.tell = tell
        self.preview: Path | None = None
        self.started = time.monotonic()

    def __call__(self, pipe: TextToVideoPipeline, index: int, timestep: int, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.making.stop.is_set():
            pipe._interrupt = True
            return {}
        request, step = self.making.request, index + 1
        if step % self.making.settings.preview_every == 0 and step < request.steps:
            self.preview = self._preview(pipe, tensors["denoised"], step)
        step_seconds = (time.monotonic() - self.started) / step
        steps_left = request.steps - step + request.steps * (request.variations - self.done - 1)
        seconds_left = step_seconds * steps_left
        self.tell(Step(self.making.job_id, step, request.steps, self.preview, seconds_left, self.seed, self.done + 1, request.variations))
        return {}

    def _preview(self, pipe: TextToVideoPipeline, denoised: torch.Tensor, step: int) -> Path:
        frames = media.to_uint8(pipe.decode_latents(denoised)[0])
        path = self.making.previews / f"{self.making.job_id}-{self.seed}-{step:03}.webp"
        media.write_preview(frames, self.making.request.fps, path)
        return path


def save(job_id: str, request: TextToVideoRequest, frames: Any, resident: Resident, history: History) -> ClipRecord:
    """Writes a video's files and records it.

    Args:
        frames: float32 (f, h, w, 3) in [0, 1].
    """
    pixels = media.to_uint8(frames)
    clip_id = uuid.uuid4().hex[:12]
    slug = "-".join(re.findall(r"[a-z0-9]+", request.prompt.lower()))[:48].strip("-") or "video"
    path = history.data_dir / "clips" / f"{datetime.now():%Y-%m-%d}" / f"{slug}-{request.seed}-{clip_id[:6]}.mp4"
    provenance = {"versions": versions(), "model": resident.model.name, "weights": resident.model.weights}
    media.write_mp4(pixels, request.fps, path, request.model_dump_json(), provenance)
    media.write_thumbnail(pixels, path.with_suffix(".png"))
    height, width = pixels.shape[1:3]
    return history.add(id=clip_id, job_id=job_id, path=path, request=request, width=width, height=height)


def versions() -> dict[str, str]:
    """Of everything that decides how a video looks."""
    return {"prior-studio": __version__, **{name: version(name) for name in ("torch", "diffusers", "transformers")}}
