"""The subcommand `one-shot`: one-shot tuning measured on rendered clips, or on a clip of somebody's own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput

if TYPE_CHECKING:
    from ..one_shot import TuningSettings
    from ..text_to_video import TextToVideoPipeline


def add_one_shot(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand; what it needs is imported when it runs."""
    parser = commands.add_parser("one-shot", help="measure one-shot tuning on rendered clips, or how well it brings a clip of yours back")
    parser.add_argument("--clips", type=int, default=48, help="rendered clips, one edited attribute each (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there; what is there already is not made again")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write source, reconstruction and edit of 8 clips there, PNG")
    parser.add_argument("--ways", nargs="+", metavar="NAME", help="full, own-attention, fresh-noise, untuned (default: all)")
    parser.add_argument("--seed", type=int, default=4000, help="of the clips (default: %(default)s)")
    parser.add_argument("--video", type=Path, metavar="FILE", help="bring this clip back instead, and print PSNR and flicker")
    parser.add_argument("--caption", default="", help="of the clip of --video")
    parser.add_argument("--tuning-steps", type=int, metavar="N", help="default: what suits the model")
    parser.add_argument("--learning-rate", type=float, help="of tuning (default: what suits the model)")
    parser.add_argument("--everything", action="store_true", help="tune all parameters, not the paper's alone")
    parser.add_argument("--most-weight", type=float, metavar="X", help="of a quiet level's loss (default: what suits the model)")
    parser.add_argument("--steps", type=int, help="of inversion and edit (default: the model's)")
    parser.add_argument("--guidance", type=float, help="guidance scale of the edits (default: the model's)")
    parser.add_argument("--clip", type=Path, metavar="DIR", help="a CLIP checkpoint, for the text alignment")
    parser.add_argument("--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the model (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.set_defaults(run=_one_shot)


def _one_shot(chosen: argparse.Namespace) -> int:
    from ..checkpoints import load_text_to_video

    if chosen.video is None and chosen.json is None:
        raise InvalidInput("The readings need a place.", "Give one with --json FILE, or a clip of yours with --video FILE.")
    pipe = load_text_to_video(chosen.model, chosen.device)
    pipe.set_progress_bar_config(disable=True)
    tuning = _tuning_settings(chosen, pipe)
    return (_measure if chosen.video is None else _bring_back)(chosen, pipe, tuning)


def _tuning_settings(chosen: argparse.Namespace, pipe: TextToVideoPipeline) -> TuningSettings:
    """The model's own, with what was told."""
    from ..one_shot import default_settings

    told = {"steps": chosen.tuning_steps, "learning_rate": chosen.learning_rate, "most_weight": chosen.most_weight}
    told |= {"everything": chosen.everything or None}
    return replace(default_settings(pipe), **{name: value for name, value in told.items() if value is not None})


def _measure(chosen: argparse.Namespace, pipe: TextToVideoPipeline, tuning: TuningSettings) -> int:
    from ..clip_reader import ClipReader
    from .evaluate import print_progress
    from .one_shot_evaluation import WAYS, Plan, run
    from .one_shot_report import table, write_report, write_sheet

    plan = Plan(chosen.clips, chosen.seed, tuple(chosen.ways or WAYS), tuning, chosen.guidance, chosen.steps)
    by_clip = ClipReader.from_folder(chosen.clip) if chosen.clip else None
    rows = run(pipe, plan, chosen.json.with_suffix(".jsonl"), by_clip=by_clip, progress=print_progress)
    print(table(rows, plan))
    write_report(pipe, rows, plan, chosen.json)
    if chosen.sheet:
        write_sheet(pipe, plan, chosen.sheet)
    return 0


def _bring_back(chosen: argparse.Namespace, pipe: TextToVideoPipeline, tuning: TuningSettings) -> int:
    from .one_shot_video import bring_back, first_frames, write_sheet

    made = bring_back(pipe, first_frames(pipe, chosen.video, chosen.caption), chosen.caption, tuning, chosen.steps)
    print(made)
    if chosen.sheet:
        write_sheet(made, chosen.sheet)
    return 0
