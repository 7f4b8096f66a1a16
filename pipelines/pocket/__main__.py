"""The pocket model's command line: `python -m pipelines.pocket COMMAND --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidInput, StudioError
from .captions import DOMAIN_STYLES
from .finishing_command import add_finisher, add_finishing
from .one_shot_command import add_one_shot


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status. Commands import what they need when they run."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pocket", description="The model that ships with Prior Studio.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_card(commands)
    _add_domain(commands)
    add_finishing(commands)
    add_finisher(commands)
    add_one_shot(commands)
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


def _add_domain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("domain", help="train a small model of one style, to be composed with the prior; resumes after a kill")
    parser.add_argument("--style", required=True, choices=DOMAIN_STYLES, help="what it will draw")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the domain model; its name is the model's")
    parser.add_argument("--share", type=float, default=0.1, help="most parameters, as a share of the prior's (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=8, help="training time (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the prior (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=3000, help="rendered training clips (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=6000, help="rendered training pictures (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak of AdamW (default: %(default)s)")
    parser.add_argument("--init", type=Path, metavar="DIR", help="go on from this domain model")
    parser.add_argument("--device", default="cpu", help="of the frozen encoders, cpu or cuda (default: %(default)s)")
    parser.set_defaults(run=_domain)


def _domain(chosen: argparse.Namespace) -> int:
    from ..checkpoints import load_text_to_video
    from ..training.domain_recipe import DomainRecipe
    from .domains import train_pocket_domain

    recipe = DomainRecipe(minutes=chosen.minutes, share=chosen.share, learning_rate=chosen.learning_rate)
    pipe = load_text_to_video(chosen.model, chosen.device)
    model = train_pocket_domain(pipe, chosen.style, chosen.out, recipe, chosen.clips, chosen.pictures, chosen.init)
    print(f"{model.title}, {model.parameters:,} parameters, is in {model.folder}.")
    return 0


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("evaluate", help="measure prompt following on held-out prompts")
    parser.add_argument("--prompts", type=int, help="number of prompts, one clip each (default: 256; 128 for --composition)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet there, PNG")
    parser.add_argument("--model", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the model (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="of prompts and noise (default: %(default)s)")
    parser.add_argument("--batch", type=int, help="clips generated at once (default: 8; 16 for --composition)")
    parser.add_argument("--rows", type=int, default=18, help="rows of the contact sheet (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="sampler steps (default: the model's)")
    parser.add_argument("--guidance", type=float, help="guidance scale (default: the model's)")
    parser.add_argument("--sampler", help="sampler (default: the model's)")
    parser.add_argument(
        "--composition", action="store_true", help="measure prior and domain models together instead; see the options below"
    )
    _add_composition_options(
        parser.add_argument_group("composition", "which part of the grid is made; what is there already is not made again")
    )
    parser.set_defaults(run=_evaluate)


def _add_composition_options(parser: argparse._ArgumentGroup) -> None:
    parser.add_argument(
        "--adapters", type=Path, default=Path("assets/pocket/adapters"), metavar="DIR", help="of the domain models (%(default)s)"
    )
    parser.add_argument("--domains", nargs="*", default=[], metavar="NAME", help="which of them (default: all)")
    parser.add_argument(
        "--strengths", type=float, default=[0.1, 0.2, 0.5, 1, 2, 5], help="gammas (default: %(default)s)", nargs="+", metavar="X"
    )
    parser.add_argument("--modes", default=["normalised", "paper"], help="default: %(default)s", nargs="+", metavar="X")
    parser.add_argument("--schedules", default=["constant", "fading"], help="default: %(default)s", nargs="+", metavar="X")
    parser.add_argument("--langevin", type=int, default=[0, 2], help="correction steps (default: %(default)s)", nargs="+", metavar="X")
    parser.add_argument("--guidances", type=float, default=[2.0], help="guidance scales (default: %(default)s)", nargs="+", metavar="X")
    parser.add_argument("--no-wrong-way", action="store_true", help="leave out the prior's guided output")
    parser.add_argument("--seeds", type=int, default=3, help="of the noise (default: %(default)s)")
    parser.add_argument("--frames", type=int, help="of a clip (default: the model's)")
    parser.add_argument("--prior-words", choices=("same", "known"), default="same", help="whether the prior reads the style too")


def _evaluate_composition(chosen: argparse.Namespace) -> int:
    from ..checkpoints import load_text_to_video
    from .composition_evaluation import Grid, find_models, run
    from .composition_report import points_of, table, write_report
    from .evaluate import print_progress

    if chosen.json is None:
        raise InvalidInput("The composition's readings need a place.", "Give one with --json FILE.")
    grid = Grid(
        strengths=tuple(chosen.strengths),
        modes=tuple(chosen.modes),
        schedules=tuple(chosen.schedules),
        langevin=tuple(chosen.langevin),
        guidances=tuple(chosen.guidances),
        wrong_way=not chosen.no_wrong_way,
        seeds=chosen.seeds,
        prompts=128 if chosen.prompts is None else chosen.prompts,
        batch=16 if chosen.batch is None else chosen.batch,
        frames=chosen.frames,
        steps=chosen.steps,
        prior_guidance=chosen.guidance,
        prior_words=chosen.prior_words,
    )
    pipe = load_text_to_video(chosen.model, chosen.device)
    pipe.set_progress_bar_config(disable=True)
    models = find_models(chosen.adapters, chosen.domains)
    points = points_of(run(pipe, models, grid, chosen.json.with_suffix(".jsonl"), progress=print_progress))
    print(table(points))
    write_report(points, grid, chosen.json)
    return 0


def _evaluate(chosen: argparse.Namespace) -> int:
    if chosen.composition:
        return _evaluate_composition(chosen)
    from ..checkpoints import load_text_to_video
    from .evaluate import EvaluationSettings, evaluate, print_progress, write_json
    from .sheet import write_sheet

    settings = EvaluationSettings(
        prompts=256 if chosen.prompts is None else chosen.prompts,
        seed=chosen.seed,
        batch=8 if chosen.batch is None else chosen.batch,
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
