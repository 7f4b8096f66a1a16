"""How much memory a job needs, before it is started, and in which cheaper forms it could run. Arithmetic on file headers; no torch.

    weights     = sum of parameters x bytes each
    denoising   = K x rows x tokens x width x bytes      transformers; tokens = latent frames x latent height x latent width / patch
    denoising   = K x rows x frames x latent height x latent width x channels x bytes      UNets; channels of the first level
    decoding    = D x (pixels decoded at once) x bytes / 2 + frames x pixels x 3 x bytes
    need        = what is on the device at once x 1.1 + 0.7 GiB (CUDA's own)

On the device at once are all weights and the larger of denoising and decoding; under model offloading only the largest of the three parts,
each with its own activations; under group offloading two groups of the denoiser instead of all its blocks. Attention is counted without
its matrix, as every fused kernel computes it. K and D of each family are peaks of live tensors, measured by running one step of its
full-size network on the meta device (`tests/pipelines/test_memory.py` repeats some).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from . import families
from .catalog import in_half, tensors_of
from .errors import InvalidInput, OutOfMemory
from .families import Directory, Family, FrameRule

GIB = 2**30
SLACK = 1.1  # fragments, and what the formula leaves out
RUNTIME = int(0.7 * GIB)  # a CUDA context with its libraries
BESIDE = ("connectors", "audio_vae", "vocoder", "prompt_enhancer", "duration_head", "motion_adapter")  # needed before or after a denoiser
Offload = Literal["none", "model", "group"]


@dataclass(frozen=True)
class Costs:
    """What a family's activations cost.

    Args:
        denoising: K of the formula above.
        decoding: D, bytes a decoded pixel in half precision.
        at_once: pixel frames that are decoded together; 0 is all of them.
        tile: side of a tile in pixels, where its autoencoder can decode in tiles.
        halves: whether guidance doubles the rows of a call; else the network is called twice.
        temporal: pixel frames a latent frame.
        singly: whether frames are decoded one by one where they are decoded in tiles.
    """

    denoising: float
    decoding: float
    at_once: int
    tile: int = 512
    halves: bool = True
    temporal: int = 1
    singly: bool = False


# Not measured: SVD (taken as I2VGen-XL, whose UNet is like its own), SkyReels V2 (as Wan) and the denoiser of HunyuanVideo 1.5 (as 1.0).
# Wan VACE holds a hint for each of its layers that listen to them: fifteen at 1.3B, eight at 14B, which is counted as if it had as many.
COSTS: dict[str, Costs] = {
    "studio": Costs(26.5, 1550, 16, singly=True),
    "stable-diffusion": Costs(26.5, 1550, 16, singly=True),
    "animatediff": Costs(26.5, 1550, 16),
    "modelscope": Costs(33.5, 1550, 16),
    "i2vgen-xl": Costs(33.5, 1550, 16),
    "svd": Costs(33.5, 1550, 14),
    "wan": Costs(16, 10700, 1, 256, halves=False, temporal=4),
    "wan-vace": Costs(33, 10700, 1, 256, halves=False, temporal=4),
    "skyreels-v2": Costs(16, 10700, 1, 256, halves=False, temporal=4),
    "sana-video": Costs(14.5, 10700, 1, 256, temporal=4),
    "ltx": Costs(16.5, 101, 0, 512, temporal=8),
    "ltx-2": Costs(22, 118, 0, 512, temporal=8),
    "cogvideox": Costs(12.5, 45800, 1, 256, temporal=4),
    "hunyuan-video": Costs(18.5, 2350, 17, 256, halves=False, temporal=4),
    "hunyuan-video-1.5": Costs(18.5, 1800, 0, 256, halves=False, temporal=4),
    "kandinsky-5": Costs(14, 2350, 17, 256, halves=False, temporal=4),
    "mochi": Costs(17, 1850, 0, 256, temporal=6),
    "easyanimate": Costs(12.5, 20000, 1, 512, temporal=4),
    "latte": Costs(21, 1550, 14),
}


@dataclass(frozen=True)
class Model:
    """What a model brings, read from its directory.

    Args:
        family: its name.
        denoisers: parameters of each denoising network; two experts are two.
        texts: parameters of all encoders of text and pictures together, and of what else is needed before or after the denoiser.
        autoencoder: its parameters.
        precise: whether the autoencoder stays in float32.
        blocks: of one denoiser; what group offloading moves.
        width: of a transformer's tokens; 0 for a UNet.
        channels: of a UNet's first level; 0 for a transformer.
        unit: pixels a token, or a latent, along each side.
        frames: which numbers of frames it makes.
    """

    family: str
    denoisers: tuple[int, ...]
    texts: int
    autoencoder: int
    precise: bool
    blocks: int
    width: int
    channels: int
    unit: int
    frames: FrameRule

    @property
    def costs(self) -> Costs:
        return COSTS[self.family]


@dataclass(frozen=True)
class Job:
    """The size of a job: pixels, frames, videos at once, and whether guidance asks the network twice a step."""

    width: int
    height: int
    frames: int
    videos: int = 1
    guided: bool = True


@dataclass(frozen=True)
class Form:
    """A way of running a job, with what it costs the person who waits.

    Args:
        title: for people.
        price: one sentence on what is lost.
        bytes: of a weight and of an activation.
        weight_bytes: of a denoiser's weight, where it is stored smaller than it is computed in.
        offload: which weights wait in the machine's memory.
        tiled: whether frames are decoded in tiles.
        frames: fewer than asked for; 0 is as asked.
        sliced: whether frames or videos are decoded one by one, as they are in tiles.
        held: of a denoiser's weight, where a switch has made it smaller already; 0 is as it was loaded.
    """

    title: str
    price: str
    bytes: int = 2
    weight_bytes: float = 0
    offload: Offload = "none"
    tiled: bool = False
    frames: int = 0
    sliced: bool = False
    held: float = 0


AS_IT_IS = Form("as it is", "Nothing is lost.")


@dataclass(frozen=True)
class Need:
    """Bytes on the device at the worst moment of a job, and what they consist of."""

    total: int
    weights: int
    denoising: int
    decoding: int
    offloaded: int

    def __str__(self) -> str:
        return f"{self.total / GIB:.1f} GiB"


def model_of(path: str | Path) -> Model:
    """A model directory's sizes, from its configurations and the headers of its files.

    Raises:
        ModelError: as `families.family_of`, and for files that are not whole.
    """
    directory = families.read_directory(path)
    family = families.family_of(directory)
    parts = {part: _parameters(directory.path / part) for part in directory.index if directory.has(part)}
    config = directory.config(family.places[0])
    apart = (directory.index.get("unet") or [""])[-1] == "UNet2DConditionModel"
    return Model(
        family=family.name,
        # A motion module that is still beside its base becomes part of the denoiser, and stays beside it as well.
        denoisers=tuple(parts[place] + (parts.get("motion_adapter", 0) if apart else 0) for place in family.places if parts.get(place)),
        texts=sum(count for part, count in parts.items() if "encoder" in part or part in BESIDE),
        autoencoder=parts.get("vae", 0),
        precise="vae" in family.precise,
        **_shape(directory, family, config),
    )


def need(model: Model, job: Job, form: Form) -> Need:
    """What a job needs in a form, by the formula at the head of this file."""
    job = replace(job, frames=form.frames or job.frames)
    denoiser_bytes = form.held or form.weight_bytes or form.bytes
    vae_bytes = 4 if model.precise else form.bytes
    denoisers = [round(count * denoiser_bytes) for count in model.denoisers]
    texts, vae = model.texts * form.bytes, model.autoencoder * vae_bytes
    denoising, decoding = _denoising(model, job, form), _decoding(model, job, form, vae_bytes)
    everything = sum(denoisers) + texts + vae
    if form.offload == "none":
        at_once = everything + max(denoising, decoding)
        resident = everything
    else:
        # Text encoders and autoencoders are moved whole in both ways.
        held = [round(2 * one / max(model.blocks, 2)) if form.offload == "group" else one for one in denoisers]
        text_held = texts if form.offload == "model" else round(texts / 4)
        at_once = max(text_held, max(held, default=0) + denoising, vae + decoding)
        resident = max(text_held, max(held, default=0), vae)
    return Need(math.ceil(at_once * SLACK) + RUNTIME, resident, denoising, decoding, everything - resident)


def forms(model: Model, job: Job, half: bool = True, chosen: Form = AS_IT_IS) -> list[Form]:
    """Ways of running a job, from the one that gives most to the one that needs least memory.

    Args:
        half: whether the device computes in half precision; else only float32 is offered.
        chosen: what is on whatever the memory; no form takes it off, or puts it on twice.
    """
    plain = replace(chosen, bytes=2 if half else 4)
    found = [replace(plain, title="full precision", price="Twice the memory, half the speed.", bytes=4)] if half and not plain.held else []
    found.append(plain)
    last = replace(plain, title="decoded in tiles", price="Decoding takes a little longer; seams are blended.", tiled=True)
    if not plain.tiled:
        found.append(last)
    if plain.offload == "none":
        found.append(replace(last, title="parts in turn", price="Each job waits some seconds while parts change places.", offload="model"))
    if half and plain.offload != "group" and not plain.held:
        price = "Weights are stored in 8 bits: fine detail may change."
        found.append(replace(last, title="8-bit weights", price=price, offload="model", weight_bytes=1))
    if plain.offload != "group":
        last = replace(last, title="blocks in turn", price="Each step waits for its weights: several times as long.", offload="group")
        found.append(last)
    shorter = model.frames.nearest(max(job.frames // 2, model.frames.least))
    if shorter < job.frames:
        price = f"The video has {shorter} frames instead of {job.frames}."
        found.append(replace(last, title="fewer frames", price=price, frames=shorter))
    return found


def first_that_fits(
    model: Model, job: Job, available: int, half: bool = True, host: int | None = None, offered: Sequence[Form] | None = None
) -> Form:
    """The first of `forms` that a device has room for; full precision is never chosen unasked.

    Args:
        available: bytes that the device has free, or would have with nothing else on it.
        host: bytes of the machine's own memory for what is offloaded; None is enough.
        offered: the forms to choose from; None is all.

    Raises:
        InvalidInput: for a job of no size.
        OutOfMemory: when none fits, with what the smallest needs, and a shorter video that would fit.
    """
    if min(job.width, job.height, job.frames, job.videos) < 1:
        raise InvalidInput(f"The job is {job.width} x {job.height} pixels, {job.frames} frames.", "Give a size of 1 or more.")
    options = offered or [form for form in forms(model, job, half) if not (half and form.bytes == 4)]
    for form in options:
        needed = need(model, job, form)
        if needed.total <= available and (host is None or needed.offloaded <= host):
            return form
    cheapest = min(options, key=lambda form: need(model, job, form).total)
    shorter = most_frames(model, job, available, cheapest)
    raise OutOfMemory(
        f"{job.frames} frames of {job.width} x {job.height} need {need(model, job, cheapest)} at least, "
        f"and the device has {available / GIB:.1f} GiB.",
        f"Choose {shorter} frames or fewer, or a smaller size." if shorter else "Choose a smaller size, fewer frames, or a smaller model.",
    )


def most_frames(model: Model, job: Job, available: int, form: Form) -> int:
    """The longest video that a device has room for in a form, up to the job's length; 0 where even the shortest is too long."""
    rule = model.frames
    lengths = [frames for frames in range(rule.least, job.frames + 1) if rule.nearest(frames) == frames]
    fitting = bisect_right(lengths, available, key=lambda frames: need(model, replace(job, frames=frames), replace(form, frames=0)).total)
    return lengths[fitting - 1] if fitting else 0


# -----------------------------------------------------------------------------------------------------------------------


def _denoising(model: Model, job: Job, form: Form) -> int:
    costs = model.costs
    rows = job.videos * (2 if job.guided and costs.halves else 1)
    frames = -(-(job.frames - 1) // costs.temporal) + 1 if costs.temporal > 1 else job.frames
    places = frames * math.ceil(job.height / model.unit) * math.ceil(job.width / model.unit)
    return round(costs.denoising * rows * places * (model.width or model.channels) * form.bytes)


def _decoding(model: Model, job: Job, form: Form, size: int) -> int:
    costs = model.costs
    pixels = job.width * job.height
    if form.tiled:
        pixels = min(job.width, costs.tile) * min(job.height, costs.tile)
    singly = costs.singly and (form.tiled or form.sliced)
    at_once = 1 if singly else min(costs.at_once or job.frames, job.frames * job.videos)
    finished = job.videos * job.frames * job.width * job.height * 3 * size
    return round(costs.decoding * pixels * at_once * size / 2) + finished


def _shape(directory: Directory, family: Family, config: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks, width or channels, and the unit of a denoiser."""
    can = family.capabilities(directory)
    levels = config.get("block_out_channels")
    if levels:
        vae = directory.config("vae")
        unit = int(vae.get("patch_size") or 2 ** (len(vae.get("block_out_channels") or (0,) * 4) - 1))
        return {"blocks": 2 * len(levels) + 1, "width": 0, "channels": int(levels[0]), "unit": unit, "frames": can.frames}
    heads, each = config.get("num_attention_heads") or 24, config.get("attention_head_dim") or 128
    width = int(config.get("model_dim") or heads * each)
    blocks = sum(int(config.get(name) or 0) for name in ("num_layers", "num_single_layers", "num_visual_blocks"))
    return {"blocks": blocks or 30, "width": width, "channels": 0, "unit": family.token(directory), "frames": can.frames}


def _parameters(folder: Path) -> int:
    """Of the part in a folder; a second copy in half precision counts once."""
    files = sorted(folder.glob("*.safetensors"))
    files = [file for file in files if not in_half(file)] or files
    return sum(_numbers(file, (status := file.stat()).st_mtime_ns, status.st_size) for file in files)


@lru_cache(maxsize=1024)
def _numbers(file: Path, changed_ns: int, size: int) -> int:
    """In a file as it was at that time: every job asks."""
    return sum(math.prod(shape) for shape, _ in tensors_of(file).values())
