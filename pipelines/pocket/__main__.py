"""The pocket model's command line: `python -m pipelines.pocket COMMAND --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import StudioError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status. Commands import what they need when they run."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pocket", description="The model that ships with Prior Studio.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_card(commands)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen) or 0)
    except StudioError as error:
        print(error, file=sys.stderr)
        return 1


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("train", help="train the model; resumes after a kill at any moment")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run: clips, stages, checkpoints, sheets, model"
    )
    parser.add_argument("--minutes", type=float, default=240, help="time budget of all stages together (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=24_000, help="rendered training clips (default: %(default)s, 5 GB)")
    parser.add_argument("--batch-factor", type=int, metavar="N", help="multiplies every batch size (default: 1 on a CPU, 8 on a GPU)")
    parser.add_argument("--init", type=Path, metavar="DIR", help="go on from this model: an image stage's, or a finished one")
    parser.set_defaults(run=_train)


def _train(chosen: argparse.Namespace) -> int:
    from .train import assemble, train_all

    assemble(train_all(chosen.out, chosen.minutes, chosen.clips, chosen.init, chosen.batch_factor), chosen.out / "model")
    print(f"The model is in {chosen.out / 'model'}.")
    return 0


def _add_card(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("card", help="write the model card from a run and its evaluation")
    parser.add_argument("--run", dest="folder", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--evaluation", type=Path, required=True, metavar="FILE", help="what `evaluate --json` wrote")
    parser.add_argument(
        "--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="where the card goes (default: %(default)s)"
    )
    parser.add_argument("--history", type=Path, metavar="FILE", help="how these weights came about, Markdown")
    parser.set_defaults(run=_card)


def _card(chosen: argparse.Namespace) -> int:
    from .card import write_card

    history = chosen.history.read_text() if chosen.history else "One run of the commands above."
    write_card(chosen.folder, chosen.model, chosen.evaluation, history)
    return 0


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("evaluate", help="measure prompt following on held-out prompts")
    parser.add_argument("--prompts", type=int, default=256, help="number of prompts, one clip each (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet there, PNG")
    parser.add_argument("--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the model (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="of prompts and noise (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="clips generated at once (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=18, help="rows of the contact sheet (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="sampler steps (default: the model's)")
    parser.add_argument("--guidance", type=float, help="guidance scale (default: the model's)")
    parser.add_argument("--sampler", help="sampler (default: the model's)")
    parser.set_defaults(run=_evaluate)


def _evaluate(chosen: argparse.Namespace) -> int:
    from ..checkpoints import load_text_to_video
    from .evaluate import EvaluationSettings, evaluate, print_progress, write_json
    from .sheet import write_sheet

    settings = EvaluationSettings(
        prompts=chosen.prompts,
        seed=chosen.seed,
        batch=chosen.batch,
        sheet_rows=chosen.rows if chosen.sheet else 0,
        num_inference_steps=chosen.steps,
        guidance_scale=chosen.guidance,
        sampler=chosen.sampler,
    )
    pipe = load_text_to_video(chosen.model, chosen.device)
    pipe.set_progress_bar_config(disable=True)
    report = evaluate(pipe, settings, progress=print_progress)
    print(report.table())
    if chosen.json:
        write_json(report, chosen.json)
    if chosen.sheet:
        write_sheet(report, chosen.sheet)
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
