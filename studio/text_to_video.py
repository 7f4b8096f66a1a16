"""A text-to-video job: what the worker does with a pipeline in hand. Previews, time left, stopping, files.

With a domain model the resident model becomes its prior (Video Adapter), and with a prior of its own its adapter: `composing`.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.memory import Job

from . import ability, editing, media, priors
from .choosing import Chosen
from .composing import Prior, composed, told
from .events import Step
from .history import ClipRecord
from .loras import lora_weights, with_lora_of
from .making import Bench, Making, Tell, fingerprint, versions
from .previews import Previews
from .requests import ClipRequest, TextToVideoRequest
from .speeds import check_mixed

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .residency import Resident, ResidentDomain
    from .room import Room


def check(request: TextToVideoRequest, bench: Bench) -> None:
    """Refuses what the model cannot make, before it is queued.

    Raises:
        UnsupportedFrames: when the model cannot make that many.
        InvalidInput: for what else it cannot do, and when there is no such domain model or tuned model, or it does not fit the rest.
        IncompatibleModels: when the prior has other latents, or the model that was tuned has other weights now.
        ModelError: when there is no such model to ask, or it cannot be used.
    """
    chosen = bench.model_for(request)
    ability.check_text_to_video(request, chosen, bench.choosing)
    if request.prior_model:
        priors.check(request, chosen, bench.choosing)
        _check_mixed(request, bench)
    if request.domain_model:
        bench.domain_model(request.domain_model)
    if request.tuned_model:
        editing.check(request, chosen, bench)


def make(making: Making, bench: Bench) -> None:
    """Makes the variations one after another, each saved as soon as it is there. Returns early once `making.stop` is set.

    One by one, not as a batch: the first video is there soonest, and each is bit for bit what its seed gives alone.
    """
    assert isinstance(making.request, TextToVideoRequest)
    shutil.rmtree(making.previews, ignore_errors=True)
    requests = [making.request.variation(seed) for seed in making.request.seeds]
    with borrowed(making, bench, making.request) as maker:
        for i in range(len(requests)):
            if maker.make(requests, i) is None:
                return


def _check_mixed(request: TextToVideoRequest, bench: Bench) -> None:
    """Raises InvalidInput where the switches of the model or of its prior keep them from being asked together."""
    if request.prior:
        both = [bench.choosing.model(name) for name in (request.model, request.prior)]
        check_mixed([one.title for one in both], [bench.models.speeds.values(one.path) for one in both])


@contextmanager
def borrowed(making: Making, bench: Bench, request: TextToVideoRequest) -> Iterator[ClipMaker]:
    """What makes a request's clips until the end of the `with`: its model is borrowed, and with it the prior, if it has a say."""
    chosen = bench.model_for(request)
    other = bench.choosing.model(request.prior) if request.prior else chosen
    _check_mixed(request, bench)  # once more: its switches may be others by now
    with bench.pool.borrow_all(*dict.fromkeys((chosen.path, other.path))) as residents:
        prior = Prior(other, residents[-1]) if request.prior else None
        yield ClipMaker(making, bench, residents[0], chosen, prior)


class ClipMaker:
    """Makes single videos with the borrowed model; a comparison makes its cells with one, too.

    Args:
        making: the job.
        bench: what it is made with.
        resident: the borrowed model.
        chosen: what is known of it.
        prior: the model that is borrowed as its prior.
    """

    def __init__(self, making: Making, bench: Bench, resident: Resident, chosen: Chosen, prior: Prior | None = None) -> None:
        self.making = making
        self.bench = bench
        self.resident = resident
        self.chosen = chosen
        self.prior = prior

    def weights(self, request: TextToVideoRequest) -> dict[str, str]:
        """Weight files that decide what the request gives -> their hashes."""
        from .residency import domain_weights

        if request.tuned_model:
            return editing.weights(request, self.resident, self.bench)
        own = domain_weights(self.bench.domain_model(request.domain_model)) if request.domain_model else {}
        prior = {f"prior/{file}": told for file, told in self.prior.resident.model.weights.items()} if self.prior else {}
        return {**self.resident.model.weights, **own, **lora_weights(request, self.chosen, self.bench), **prior}

    def make(self, requests: Sequence[TextToVideoRequest], index: int, tell: Tell | None = None) -> ClipRecord | None:
        """Makes and saves one of several videos; None when the job was stopped before it was whole.

        Args:
            requests: all that are to be made, in order: they say how much time is left.
            index: the one to make now.
            tell: takes its events; the bench's by default.
        """
        request, said, beside = requests[index], [""], self.beside(requests[index])

        def frames_of(note: str) -> Any:
            said[0] = note
            with Previews(self.making, tell or self.bench.tell) as previews:
                progress = Progress(self.making, requests, index, previews, note)
                if request.tuned_model:
                    return editing.generate(request, self.resident, self.bench, progress)
                return generate(self.resident.pipe, request, progress, self.chosen, beside)

        # Before the model takes a cheaper form: in eight bits it would take no LoRA.
        with with_lora_of(request, self.resident, self.chosen, self.bench):
            frames = frames_of("") if request.shows == "source" else self.room(request).run(frames_of)
        if self.making.stop.is_set():
            return None
        pixels = media.to_uint8(frames)
        return save(self.making.job_id, request, pixels, self.weights(request), self.bench, self.chosen, note=said[0])

    def room(self, request: TextToVideoRequest) -> Room:
        """How the video can be made with the memory there is; raises OutOfMemory when it cannot."""
        width, height = self.chosen.size(request.width, request.height)
        if request.tuned_model:
            record = self.bench.tuned_models.get(request.tuned_model)
            width, height = record.width, record.height
        job = Job(width, height, request.frames, guided=request.guidance_scale > 1)
        return self.bench.pool.room(self.resident, self.chosen.path, job, self.prior.chosen.path if self.prior else None)

    def beside(self, request: TextToVideoRequest) -> ResidentDomain | Prior | None:
        """The second model of the request, loaded; a prior is told the text, before the first takes a LoRA or a cheaper form."""
        if self.prior:
            return told(self.prior, self.resident.pipe, request, self.chosen)
        if not request.domain_model:
            return None
        model = self.bench.domain_model(request.domain_model)
        return self.bench.pool.domain(self.resident, self.chosen.path, model)


def generate(pipe: Any, request: TextToVideoRequest, progress: Any, chosen: Chosen, beside: ResidentDomain | Prior | None = None) -> Any:
    """One video, float32 (f, h, w, 3) in [0, 1]; whatever is there when `progress` is told to stop.

    Args:
        pipe: the resident model's: a `TextToVideoPipeline` or a `VideoModel`.
        request: of one variation.
        progress: the pipeline's step callback.
        chosen: what is known of the model.
        beside: the second model of the request: a domain model, whose prior is the resident one, or the resident one's prior.
    """
    import torch

    from pipelines.noise import NoisePrior

    noise_prior = NoisePrior(request.noise_kind, request.noise_alpha)
    generator = torch.Generator("cpu").manual_seed(request.seed)
    width, height = chosen.size(request.width, request.height)
    with composed(pipe, request, progress, beside, generator) as (model, told_of):
        output: Any = model(
            request.prompt,
            negative_prompt=request.negative_prompt or None,
            height=height,
            width=width,
            num_frames=request.frames,
            fps=request.fps,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            sampler=request.sampler or None,
            noise_prior=noise_prior,
            generator=generator,
            callback_on_step_end=told_of,
            callback_on_step_end_tensor_inputs=["latents", "denoised"],
        )
    return output.frames[0]


class Progress:
    """A pipeline's step callback: tells the observers, and stops the pipeline when somebody asked for it.

    Args:
        making: the job.
        requests: all videos that are to be made.
        index: the one that is made now.
        previews: takes the steps, and shows some.
        note: of what was done for want of memory.
    """

    def __init__(self, making: Making, requests: Sequence[TextToVideoRequest], index: int, previews: Previews, note: str = "") -> None:
        self.making = making
        self.note = note
        self.request = requests[index]
        self.index = index
        self.count = len(requests)
        self.later = sum(work(request) for request in requests[index + 1 :]) / work(self.request) * self.request.steps
        self.previews = previews
        self.started = time.monotonic()

    def __call__(self, pipe: Any, index: int, timestep: int, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.making.stop.is_set():
            pipe._interrupt = True
            return {}
        request, step = self.request, index + 1
        if step < request.steps:
            self.previews.offer(pipe, tensors["denoised"], request.fps, f"{self.index}-{request.seed}", step)
        step_seconds = (time.monotonic() - self.started) / step
        seconds_left = step_seconds * (request.steps - step + self.later)
        which = (request.seed, self.index + 1, self.count)
        self.previews.tell(Step(self.making.job_id, step, request.steps, None, seconds_left, *which, note=self.note))
        return {}


def work(request: TextToVideoRequest) -> float:
    """What a video costs, in evaluations of the resident network: the others are small."""
    guided = request.guidance_scale > 1
    if request.shows == "source":
        return 0.1
    if not request.domain_model:
        asked = (2 if guided else 1) * (2 if request.base_strength else 1) + (1 if request.prior else 0)
        return request.steps * (1 + request.langevin_steps) * asked
    prior = 1.0 if request.prior_strength else 0.0
    return request.steps * (1 + request.langevin_steps) * (prior + (0.4 if guided else 0.2))


def save(
    job_id: str,
    request: ClipRequest,
    pixels: np.ndarray,
    weights: dict[str, str],
    bench: Bench,
    model: Chosen,
    made_from: dict[str, str] | None = None,
    note: str = "",
) -> ClipRecord:
    """Writes a video's files and records it.

    Args:
        pixels: uint8 (f, h, w, 3).
        weights: hashes of all weight files that made it.
        model: that drew it.
        made_from: sources that it was made from -> hashes of their pixels.
        note: what was done for want of memory, which may show in the pixels.
    """
    clip_id = uuid.uuid4().hex[:12]
    slug = "-".join(re.findall(r"[a-z0-9]+", request.prompt.lower()))[:48].strip("-") or "video"
    path = bench.history.data_dir / "clips" / f"{datetime.now():%Y-%m-%d}" / f"{slug}-{request.seed}-{clip_id[:6]}.mp4"
    provenance = {"versions": versions(), "model": model.name or model.title, "family": model.family, "weights": weights}
    if isinstance(request, TextToVideoRequest) and request.prior:
        provenance["prior"] = bench.choosing.model(request.prior).title
    provenance |= ({"sources": made_from} if made_from else {}) | ({"note": note} if note else {})
    media.write_mp4(pixels, request.made_fps, path, request.model_dump_json(), provenance)
    media.write_thumbnail(pixels, path.with_suffix(".png"))
    height, width = pixels.shape[1:3]
    return bench.history.add(
        id=clip_id, job_id=job_id, path=path, request=request, width=width, height=height, weights=fingerprint(weights)
    )
