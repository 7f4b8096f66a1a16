"""What interpolation, continuation, reference images, the video decoder and the upscaler reach on rendered clips, whose frames are known.

python -m pipelines.pocket finishing interpolation --clips 128     # every second frame dropped and filled in again
python -m pipelines.pocket finishing interpolation --video FILE    # the same with clips of somebody's own
python -m pipelines.pocket finishing continuation --clips 64       # clips continued to 64 frames, the last one read by the oracle
python -m pipelines.pocket finishing reference --clips 128         # first frames brought to life, the clips read by the oracle
python -m pipelines.pocket finishing decoder                       # PSNR and flicker of clips, encoded and decoded
python -m pipelines.pocket finishing upscaler                      # PSNR and warping error, noise shared and not
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..decoder import VideoDecoder, decode_clip
from ..errors import InvalidInput
from ..finishers import Finishers
from ..flow import flow_between, linear_between
from ..interpolation import FROM_FLOW, extend, fill, interpolate, to_pixels
from ..inversion import encode_clip
from ..latent_flow import doubled
from ..noise import NoisePrior
from ..reference import given_pictures
from ..text_to_video import TextToVideoPipeline
from ..training.clips import ClipFolder
from ..upscaling import SHARED, Upscaler, enlarged, upscale
from ..video_metrics import psnr, still_flicker, warping_error
from .captions import Attributes, plain_caption
from .evaluate import held_out_attributes
from .evaluate import to_pixels as as_bytes
from .large import render_large, shrunk
from .oracle import READS, Oracle, Reading
from .world import render

KEPT = ("object", "color", "background")  # what a continuation must not lose
TRUTH = "(the true clip)"
Fill = Callable[[np.ndarray, int], np.ndarray]  # uint8 (f, h, w, 3) and a factor -> uint8 ((f - 1) factor + 1, h, w, 3)
NOISE = {"shared": SHARED, "each frame's own": NoisePrior("independent")}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Scores:
    """Means over clips of one method: PSNR of the filled frames in dB, warping error of the whole clips, seconds a clip."""

    psnr: float
    warping_error: float
    seconds: float


def rendered_clips(count: int, seed: int) -> list[tuple[Attributes, np.ndarray]]:
    """Clips uint8 (16, 64, 64, 3) of triples that were never trained on."""
    if count < 1:
        raise InvalidInput(f"{count} clips were asked for.", "Give 1 or more.")
    return [(known, render(known, np.random.default_rng((3, seed, i)))) for i, known in enumerate(held_out_attributes(count, seed))]


def real_clips(files: Sequence[Path], pipe: TextToVideoPipeline) -> list[np.ndarray]:
    """Files as clips of the model's size, length and frame rate, the middle cut out; a long file gives several, one after another.

    Raises:
        InvalidInput: for files that cannot be read.
    """
    own = pipe.defaults
    return list(ClipFolder.read(files, "a clip", width=own.width, height=own.height, frames=own.num_frames, fps=own.fps).pixels)


# ---------------------------------------------------------------------------------------------------------------------
# Interpolation


def interpolation_methods(finishers: Finishers, steps: int | None = None, seed: int = 0) -> dict[str, Fill]:
    """The ways to fill frames in, by name. The masked-frame network is told no words; the flow network, if there is one, only doubles."""
    pipe = finishers.pipe

    def network(start_strength: float) -> Fill:
        def filled(frames: np.ndarray, factor: int) -> np.ndarray:
            options: dict[str, Any] = {"num_inference_steps": steps, "generator": torch.Generator().manual_seed(seed)}
            return interpolate(finishers.frames, frames, factor, pipe.defaults.fps / factor, start_strength=start_strength, **options)

        return filled

    learned: dict[str, Fill] = {}
    if finishers.has("flow"):
        learned["flow network"] = lambda frames, factor: doubled(finishers.flow, pipe, frames, factor)
    return {
        "linear blending": linear_between,
        "optical flow (DIS)": flow_between,
        "masked-frame network, from noise": network(1.0),
        "masked-frame network, from flow": network(FROM_FLOW),
    } | learned


def compare_interpolation(
    clips: Iterable[np.ndarray], methods: Mapping[str, Fill], factor: int = 2, progress: Say | None = None
) -> dict[str, Scores]:
    """Drops all but every `factor`-th frame of each clip, has each method fill them in, and compares with the truth.

    A clip is cut behind its last kept frame. PSNR is of the filled frames alone.
    """
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    for number, clip in enumerate(clips, 1):
        true = clip[: (len(clip) - 1) // factor * factor + 1]
        missing = np.arange(len(true)) % factor > 0
        for name, method in methods.items():
            began = time.perf_counter()
            made = method(true[::factor], factor)
            seconds = time.perf_counter() - began
            rows[name].append((psnr(made[missing], true[missing]), warping_error(made, true), seconds))
        if progress:
            progress(f"{number}  " + "  ".join(f"{name} {np.mean([row[0] for row in done]):.2f} dB" for name, done in rows.items()))
    return {name: Scores(*(float(mean) for mean in np.mean(done, axis=0))) for name, done in rows.items()}


def scores_table(scores: Mapping[str, Scores]) -> str:
    """The scores for a terminal or a README."""
    lines = ["| method | PSNR, dB | warping error | s a clip |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {s.psnr:.2f} | {s.warping_error:.3f} | {s.seconds:.2f} |" for name, s in scores.items()])


# ---------------------------------------------------------------------------------------------------------------------
# Continuation


@dataclass(frozen=True)
class Continuation:
    """What is left of rendered clips in the last frame of their continuations.

    Args:
        kept: attribute -> share of the clips whose last frame shows it as the oracle reads it.
        all_kept: share of the clips that keep all of them.
        rendered: the same as `all_kept` of the rendered clips' own last frames: what the oracle can read at best.
        frames: of a continued clip.
        clips: how many there were.
    """

    kept: dict[str, float]
    all_kept: float
    rendered: float
    frames: int
    clips: int


def measure_continuation(
    pipe: TextToVideoPipeline,
    clips: list[tuple[Attributes, np.ndarray]],
    frames: int = 64,
    overlap: int | None = None,
    told: bool = True,
    steps: int | None = None,
    progress: Say | None = None,
) -> Continuation:
    """Continues each clip and reads its last frame.

    Args:
        clips: as `rendered_clips` gives them.
        frames: of the whole clip in the end.
        overlap: see `interpolation.extend`.
        told: whether the network reads the clip's caption.
        steps: of the sampler; None is the model's own.
    """
    oracle, ends = Oracle.from_pretrained(), []
    for number, (known, clip) in enumerate(clips):
        options: dict[str, Any] = {"generator": torch.Generator().manual_seed(number), "num_inference_steps": steps}
        prompt = plain_caption(known) if told else ""
        longer = extend(pipe, clip, frames - len(clip), overlap, prompt, **options)
        ends.append(oracle.read(longer[-1:]))
        if progress:
            progress(f"{number + 1}/{len(clips)}  all kept {np.mean(_kept([k for k, _ in clips], ends)):.0%}")
    asked = [known for known, _ in clips]
    own = oracle.read_batch([clip[-1:] for _, clip in clips])
    shares = {name: float(np.mean([getattr(a, name) == getattr(r, name) for a, r in zip(asked, ends, strict=True)])) for name in KEPT}
    return Continuation(shares, float(np.mean(_kept(asked, ends))), float(np.mean(_kept(asked, own))), frames, len(clips))


def _kept(asked: list[Attributes], read: list[Reading]) -> list[bool]:
    return [all(getattr(a, name) == getattr(r, name) for name in KEPT) for a, r in zip(asked, read, strict=False)]


def continuation_table(result: Continuation) -> str:
    """The shares for a terminal or a README."""
    lines = [f"| frame {result.frames} of {result.clips} clips | kept |", "|---|---|"]
    lines += [f"| {name} | {share:.1%} |" for name, share in result.kept.items()]
    return "\n".join([*lines, f"| all of them | {result.all_kept:.1%} |", f"| (rendered, before) | {result.rendered:.1%} |"])


# ---------------------------------------------------------------------------------------------------------------------
# Reference images


@dataclass(frozen=True)
class Animation:
    """What clips made from rendered first frames and captions show.

    Args:
        right: attribute -> share of the clips that show it as the oracle reads it; all but the motion are the picture's.
        first_frame_psnr: of the first frame as the network made it, before the picture itself is put in its place, in dB.
        strength: of the reference.
        clips: how many there were.
    """

    right: dict[str, float]
    first_frame_psnr: float
    strength: float
    clips: int


def measure_animation(
    pipe: TextToVideoPipeline,
    clips: list[tuple[Attributes, np.ndarray]],
    strength: float = 1.0,
    steps: int | None = None,
    progress: Say | None = None,
) -> Animation:
    """Gives the network each clip's first frame and caption, and reads what it makes of them.

    Args:
        clips: as `rendered_clips` gives them.
        strength: of the reference, see `interpolation.GivenFrames`.
        steps: of the sampler; None is the model's own.
    """
    oracle, nearness, read = Oracle.from_pretrained(), [], []
    for number, (known, clip) in enumerate(clips):
        given, mask = given_pictures(pipe, clip[:1], len(clip))
        options: dict[str, Any] = {"generator": torch.Generator().manual_seed(number), "num_inference_steps": steps}
        made = to_pixels(pipe, fill(pipe, given, mask, plain_caption(known), strength, keep=False, **options))[0]
        nearness.append(psnr(made[:1], clip[:1]))
        read.append(oracle.read(made if strength < 1 else np.concatenate([clip[:1], made[1:]])))
        if progress:
            right = np.mean([a.motion == r.motion for (a, _), r in zip(clips, read, strict=False)])
            progress(f"{number + 1}/{len(clips)}  motion {right:.0%}  first frame {np.mean(nearness):.1f} dB")
    shares = {name: float(np.mean([getattr(a, name) == getattr(r, name) for (a, _), r in zip(clips, read, strict=True)])) for name in READS}
    return Animation(shares, float(np.mean(nearness)), strength, len(clips))


def animation_table(result: Animation) -> str:
    """The shares for a terminal or a README."""
    lines = [f"| {result.clips} first frames brought to life, strength {result.strength:g} | right |", "|---|---|"]
    lines += [f"| {name} | {share:.1%} |" for name, share in result.right.items()]
    return "\n".join([*lines, f"| first frame, PSNR | {result.first_frame_psnr:.1f} dB |"])


# ---------------------------------------------------------------------------------------------------------------------
# The video decoder


@dataclass(frozen=True)
class Decoded:
    """Means over clips of one decoder: PSNR in dB, change from frame to frame of what stands still in grey levels."""

    psnr: float
    still_flicker: float


def compare_decoders(
    pipe: TextToVideoPipeline, decoder: VideoDecoder, clips: Iterable[np.ndarray], noise: float = 0.0
) -> dict[str, Decoded]:
    """Encodes each clip, adds noise to its latents, and decodes it frame by frame and as a video.

    Args:
        noise: standard deviation in units of the latents' own, another in each frame, as a model's latents are not quite steady.
    """
    rows: dict[str, list[tuple[float, float]]] = {"frame decoder": [], "video decoder": []}
    for number, clip in enumerate(clips):
        latents = encode_clip(pipe, clip)
        fresh = torch.randn(latents.shape, generator=torch.Generator().manual_seed(number)).to(latents)
        latents = latents + noise * latents.std() * fresh
        for name, frames in (("frame decoder", pipe.decode_latents(latents)), ("video decoder", decode_clip(decoder, pipe, latents))):
            made = as_bytes(frames[0])
            rows[name].append((psnr(made, clip), still_flicker(made, clip)))
    return {name: Decoded(*(float(mean) for mean in np.mean(done, axis=0))) for name, done in rows.items()}


def decoder_table(scores: Mapping[str, Decoded]) -> str:
    """The scores for a terminal or a README."""
    lines = ["| decoder | PSNR, dB | flicker of what stands still |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {s.psnr:.2f} | {s.still_flicker:.3f} |" for name, s in scores.items()])


# ---------------------------------------------------------------------------------------------------------------------
# The upscaler


def upscaling_methods(upscaler: Upscaler, steps: int = 4) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The ways to enlarge a clip, by name: without a model, and with noise shared by all frames or not, injected at each step or not."""

    def network(sampler: str, prior: NoisePrior) -> Callable[[np.ndarray], np.ndarray]:
        return lambda clip: upscale(upscaler, clip, steps, sampler, noise_prior=prior, generator=torch.Generator().manual_seed(0))

    ways = {f"{sampler}, {name} noise": network(sampler, prior) for sampler in ("ddim", "ddpm") for name, prior in NOISE.items()}
    return {"cubic upsampling": enlarged} | ways


Row = tuple[float, float, float]  # of one clip: PSNR in dB, warping error, seconds


def upscaling_rows(
    clips: Iterable[np.ndarray], methods: Mapping[str, Callable[[np.ndarray], np.ndarray]], progress: Say | None = None
) -> dict[str, list[Row]]:
    """Shrinks each large clip, has each method enlarge it, and compares with the truth, which has a warping error of its own."""
    rows: dict[str, list[Row]] = {name: [] for name in (*methods, TRUTH)}
    for number, large in enumerate(clips, 1):
        small = shrunk(large)
        rows[TRUTH].append((psnr(large, large), warping_error(large, large), 0.0))
        for name, method in methods.items():
            began = time.perf_counter()
            made = method(small)
            seconds = time.perf_counter() - began
            rows[name].append((psnr(made, large), warping_error(made, large), seconds))
        if progress:
            progress(f"{number}  " + "  ".join(f"{name} {np.mean([row[0] for row in done]):.2f} dB" for name, done in rows.items()))
    return rows


def mean_scores(rows: Mapping[str, list[Row]]) -> dict[str, Scores]:
    """Each method's means over the clips."""
    return {name: Scores(*(float(mean) for mean in np.mean(done, axis=0))) for name, done in rows.items()}


def saved_by_sharing(rows: Mapping[str, list[Row]], sampler: str) -> float:
    """By what share the warping error is lower with shared noise, in the median clip.

    Not of the means: in a few clips the true motion is hard to follow, and their errors, with any noise, would decide.
    """
    own, shared = (np.array([row[1] for row in rows[f"{sampler}, {name} noise"]]) for name in ("each frame's own", "shared"))
    return float(np.median(1 - shared / np.maximum(own, 1e-12)))


def large_clips(count: int, seed: int) -> list[np.ndarray]:
    """The clips of `rendered_clips` at twice their size, uint8 (16, 128, 128, 3)."""
    return [render_large(known, np.random.default_rng((3, seed, i))) for i, (known, _) in enumerate(rendered_clips(count, seed))]


def report(table: str, numbers: Mapping[str, Scores] | Mapping[str, Decoded] | Continuation | Animation, path: Path | None) -> None:
    """Prints the table, and writes the numbers where a file is wanted."""
    print(table)
    if path is not None:
        plain = {name: asdict(each) for name, each in numbers.items()} if isinstance(numbers, Mapping) else asdict(numbers)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(plain, indent=2) + "\n")
