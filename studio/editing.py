"""An edit of one clip, with the model that was tuned on it: its noise is found once and kept, and every edit starts from there.

Wu et al., "Tune-A-Video", arXiv 2212.11565, section 3.3. A part of a text-to-video job (`text_to_video.py`).
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput

from .making import Bench
from .requests import TextToVideoRequest

if TYPE_CHECKING:
    import torch

    from pipelines.tuned_network import Tuned

    from .choosing import Chosen
    from .residency import Resident
    from .tuned_models import TunedRecord

log = logging.getLogger(__name__)


def check(request: TextToVideoRequest, base: Chosen, bench: Bench) -> None:
    """Refuses an edit that cannot be made, before it is queued.

    Args:
        base: the model that was tuned on the clip.

    Raises:
        InvalidInput: naming what does not fit the tuned model.
        WeightsMissing: when the model that the request names is not here.
    """
    record = bench.tuned_models.get(request.tuned_model)
    record.file(request.tuned_steps)
    if request.domain_model:
        raise InvalidInput(
            f"The tuned model {record.name!r} and the domain model {request.domain_model!r} were both chosen.", "Leave one out."
        )
    if request.frames != record.frames:
        raise InvalidInput(f"{request.frames} frames were asked for.", f"The clip of the tuned model {record.name!r} has {record.frames}.")
    if request.sampler != "ddim":
        raise InvalidInput(f"The sampler is {request.sampler!r}.", "Edits go back the way of their inversion: choose ddim.")
    if request.shows == "edit" and request.prompt.casefold() == record.caption.casefold():
        raise InvalidInput(f"The edit {request.prompt!r} is the caption itself.", "Change some of its words.")
    if request.model and bench.choosing.model(request.model).path != base.path:
        happened = f"The tuned model {record.title!r} belongs to {base.title!r}, and the model {request.model!r} was chosen."
        raise InvalidInput(happened, "Leave the model out: a clip is edited with the one that was tuned on it.")


def weights(request: TextToVideoRequest, resident: Resident, bench: Bench) -> dict[str, str]:
    """Files that decide what the request gives -> their hashes."""
    record = bench.tuned_models.get(request.tuned_model)
    if request.shows == "source":
        return {f"{record.name}/source": hash_of(record.folder / "source.png")}
    file = record.file(request.tuned_steps)
    return {**resident.model.weights, f"{record.name}/{file.name}": hash_of(file)}


def hash_of(file: Path) -> str:
    """The first 16 hex digits of a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def generate(request: TextToVideoRequest, resident: Resident, bench: Bench, progress: Any) -> Any:
    """The edit, the reconstruction or the clip itself, float32 (f, h, w, 3) in [0, 1].

    Args:
        progress: the pipeline's step callback.
    """
    import torch

    from pipelines.noise import NoisePrior
    from pipelines.one_shot import blended_noise, edit

    record = bench.tuned_models.get(request.tuned_model)
    if request.shows == "source":
        return record.source().astype("float32") / 255
    file = record.file(request.tuned_steps)
    tuned = bench.pool.tuned(resident, file)
    noise = inverted(record, file, tuned, request.steps, resident)
    generator = torch.Generator("cpu").manual_seed(request.seed)
    if request.structure < 1:
        noise = blended_noise(noise, request.structure, NoisePrior(request.noise_kind, request.noise_alpha), generator)
    return edit(
        resident.pipe,
        tuned,
        request.prompt,
        noise,
        request.base_strength,
        negative_prompt=request.negative_prompt or None,
        fps=request.fps,
        width=record.width,
        height=record.height,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=generator,
        callback_on_step_end=progress,
        callback_on_step_end_tensor_inputs=["latents", "denoised"],
    )


def inverted(record: TunedRecord, file: Path, tuned: Tuned, steps: int, resident: Resident) -> torch.Tensor:
    """The noise from which the tuned model makes its clip, (1, c, f, h, w); found once for each checkpoint and number of steps."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    from pipelines.one_shot import encode_clip, invert

    pipe = resident.pipe
    kept = record.folder / "inverted" / f"{hash_of(file)}-{steps}.safetensors"
    try:
        return load_file(kept)["noise"].to(pipe._execution_device)
    except (OSError, SafetensorError, KeyError):
        noise = invert(pipe, tuned, encode_clip(pipe, record.source()), steps=steps, fps=record.fps)
    try:
        kept.parent.mkdir(exist_ok=True)
        save_file({"noise": noise.cpu().contiguous()}, kept)
    except (OSError, SafetensorError) as error:  # it can be found again
        log.warning("the inversion cannot be kept in %s: %s", kept, error)
    return noise
