"""The subcommands `finishing`, which measures what finishes clips, and `finisher`, which trains it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput

if TYPE_CHECKING:
    from ..finishers import Finishers


def add_finishing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand that measures; what it needs is imported when it runs."""
    parser = commands.add_parser("finishing", help="measure pictures brought to life, smoother, sharper and longer clips")
    parser.add_argument("what", choices=tuple(MEASURES), help="which of them")
    parser.add_argument("--clips", type=int, help="how many (default: 128; 64 for continuation)")
    parser.add_argument("--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the model (default: %(default)s)")
    parser.add_argument("--finishers", type=Path, metavar="DIR", help="folder with what `finisher` left (default: the model's own)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="sampler steps (default: the model's)")
    parser.add_argument("--seed", type=int, default=2000, help="of the clips (default: %(default)s)")
    parser.add_argument("--factor", type=int, default=2, help="of interpolation: every how many frames one is kept (default: %(default)s)")
    parser.add_argument("--video", type=Path, nargs="+", default=[], metavar="FILE", help="of interpolation: these clips instead")
    parser.add_argument("--frames", type=int, default=64, help="of a continued clip (default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.0, help="on the latents that decoders get, relative (default: %(default)s)")
    parser.add_argument("--strength", type=float, default=1.0, help="of a reference image (default: %(default)s)")
    parser.add_argument("--overlap", type=int, help="frames that a continuation sees (default: half of the model's longest clip)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.set_defaults(run=_finishing)


def _finishing(chosen: argparse.Namespace) -> int:
    from ..checkpoints import load_text_to_video
    from ..finishers import Finishers

    pipe = load_text_to_video(chosen.model, chosen.device)
    pipe.set_progress_bar_config(disable=True)
    MEASURES[chosen.what](chosen, Finishers(chosen.model, pipe, chosen.finishers))
    return 0


def _interpolation(chosen: argparse.Namespace, finishers: Finishers) -> None:
    from . import finishing
    from .evaluate import print_progress

    if chosen.video:
        clips = finishing.real_clips(chosen.video, finishers.pipe)
    else:
        clips = [clip for _, clip in finishing.rendered_clips(chosen.clips or 128, chosen.seed)]
    methods = finishing.interpolation_methods(finishers, chosen.steps)
    scores = finishing.compare_interpolation(clips, methods, chosen.factor, print_progress)
    finishing.report(finishing.scores_table(scores), scores, chosen.json)


def _continuation(chosen: argparse.Namespace, finishers: Finishers) -> None:
    from . import finishing
    from .evaluate import print_progress

    clips = finishing.rendered_clips(chosen.clips or 64, chosen.seed)
    longer = finishing.measure_continuation(
        finishers.frames, clips, chosen.frames, chosen.overlap, steps=chosen.steps, progress=print_progress
    )
    finishing.report(finishing.continuation_table(longer), longer, chosen.json)


def _reference(chosen: argparse.Namespace, finishers: Finishers) -> None:
    from . import finishing
    from .evaluate import print_progress

    clips = finishing.rendered_clips(chosen.clips or 128, chosen.seed)
    moved = finishing.measure_animation(finishers.frames, clips, chosen.strength, chosen.steps, print_progress)
    finishing.report(finishing.animation_table(moved), moved, chosen.json)


def _decoder(chosen: argparse.Namespace, finishers: Finishers) -> None:
    from . import finishing

    clips = (clip for _, clip in finishing.rendered_clips(chosen.clips or 128, chosen.seed))
    decoded = finishing.compare_decoders(finishers.pipe, finishers.decoder, clips, chosen.noise)
    finishing.report(finishing.decoder_table(decoded), decoded, chosen.json)


def _upscaler(chosen: argparse.Namespace, finishers: Finishers) -> None:
    from . import finishing
    from .evaluate import print_progress

    ways = finishing.upscaling_methods(finishers.upscaler, chosen.steps or 4)
    rows = finishing.upscaling_rows(finishing.large_clips(chosen.clips or 128, chosen.seed), ways, print_progress)
    scores = finishing.mean_scores(rows)
    finishing.report(finishing.scores_table(scores), scores, chosen.json)
    for sampler in ("ddim", "ddpm"):
        saved = finishing.saved_by_sharing(rows, sampler)
        print(f"In the median clip, {sampler}'s warping error is {saved:.0%} lower with shared noise than with each frame's own.")


def _chain(chosen: argparse.Namespace, finishers: Finishers) -> None:
    import time

    from ..finishing import Double, Sharpen, Steady
    from ..reference import Animate, DrawPicture, ReferenceChain, Sampling, Stage

    prompt, sampling = "a big red star moving right over green hills, flat cartoon", Sampling(steps=chosen.steps)
    stages: list[Stage] = [DrawPicture(prompt, sampling), Animate(prompt, sampling=sampling)]
    stages += [Double(finishers.flow), Steady(finishers.decoder), Sharpen(finishers.upscaler)]
    began = before = time.perf_counter()
    for name, clip in ReferenceChain(finishers.frames, stages).run():
        now = time.perf_counter()
        print(f"{name:8}{len(clip):4} frames of {clip.shape[2]} x {clip.shape[1]}  {now - before:6.1f} s")
        before = now
    print(f"{'all':8}{before - began:41.1f} s")


MEASURES: dict[str, Callable[[argparse.Namespace, Finishers], None]] = {
    "interpolation": _interpolation,
    "continuation": _continuation,
    "reference": _reference,
    "decoder": _decoder,
    "upscaler": _upscaler,
    "chain": _chain,
}


def add_finisher(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand that trains."""
    parser = commands.add_parser("finisher", help="train what finishes clips (finishing measures it); resumes after a kill")
    what = "the frame between two; the video decoder; twice the size; the model itself, with given frames"
    parser.add_argument("what", choices=("flow", "decoder", "upscaler", "frames"), help=what)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run; weights and card are in RUN/model")
    parser.add_argument("--minutes", type=float, default=30, help="training time (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the model (default: %(default)s)")
    parser.add_argument("--init", type=Path, metavar="DIR", help="go on from the weights of an earlier run")
    parser.set_defaults(run=_finisher)


def _finisher(chosen: argparse.Namespace) -> int:
    from . import finishers
    from .finisher_card import write_card

    if not 0 < chosen.minutes < float("inf"):
        raise InvalidInput(f"The training time is {chosen.minutes!r} minutes.", "Give a number above 0.")
    recipes: dict[str, Callable[[Path, Path, float, Path | None], object]] = {
        "flow": finishers.train_flow,
        "decoder": finishers.train_decoder,
        "upscaler": finishers.train_upscaler,
        "frames": finishers.train_given_frames,
    }
    recipes[chosen.what](chosen.model, chosen.out, chosen.minutes, chosen.init)
    write_card(chosen.what, chosen.out, chosen.minutes)
    print(f"The weights are in {chosen.out / 'model'}.")
    return 0
