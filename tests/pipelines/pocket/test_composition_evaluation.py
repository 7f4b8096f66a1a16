"""The evaluation of the composition: fair prompts, cells that say everything, readings that are never made twice, and a claim."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.errors import IncompatibleModels, InvalidInput
from pipelines.pocket.__main__ import main
from pipelines.pocket.composition_evaluation import (
    COMPOSED,
    PRIOR_ALONE,
    WRONG_WAY,
    Cell,
    Grid,
    GuidedNetwork,
    Maker,
    Readings,
    find_models,
    run,
    unseen_prompts,
)
from pipelines.pocket.composition_report import claim_of, figure, points_of, table
from pipelines.pocket.domains import DOMAINS
from pipelines.text_to_video import TextToVideoPipeline
from tests.tiny import save_tiny_domain_model, save_tiny_model

GRID = Grid(strengths=(0.5,), modes=("normalised",), schedules=("fading",), langevin=(0,), seeds=1, prompts=4, batch=2, frames=2, steps=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with one domain model, untrained."""
    folder = save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    save_tiny_domain_model(folder, "sketch")
    return folder


@pytest.fixture(scope="module")
def pipe(model: Path) -> TextToVideoPipeline:
    pipe = TextToVideoPipeline.from_pretrained(str(model))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("style", list(DOMAINS))
def test_prompts_ask_only_for_what_the_domain_has_never_seen_all_pairs_equally_often(style: str) -> None:
    asked = unseen_prompts(DOMAINS[style], 120)
    assert len(set(asked)) == 120
    assert not {a.object for a in asked} & set(DOMAINS[style].objects)
    assert not {a.background for a in asked} & set(DOMAINS[style].backgrounds)
    assert {a.style for a in asked} == {style}
    assert set(Counter((a.object, a.background) for a in asked).values()) == {10}
    assert max(Counter(a.motion for a in asked).values()) <= 16


def test_prompts_are_always_the_same_and_a_few_are_the_first_of_many() -> None:
    assert unseen_prompts(DOMAINS["neon"], 20) == unseen_prompts(DOMAINS["neon"], 128)[:20]
    with pytest.raises(InvalidInput, match="different prompts"):
        unseen_prompts(DOMAINS["neon"], 5000)


def test_a_grid_has_both_ends_every_combination_and_no_cell_twice() -> None:
    cells = list(Grid(strengths=(0, 0.5, 1), guidances=(1.5, 2.0), seeds=2).cells("neon"))
    assert len(cells) == len(set(cells)) == 2 * (1 + 2 + 2 * 2 * 2 * 2 * 2 + 2 * 2)
    assert Counter(cell.way for cell in cells if cell.seed == 0) == {PRIOR_ALONE: 1, COMPOSED: 34, WRONG_WAY: 4}


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(InvalidInput, match="prompts is 0"):
        Grid(prompts=0)


def test_every_clip_is_read_once_whatever_happens(pipe: TextToVideoPipeline, model: Path, tmp_path: Path) -> None:
    models, file = find_models(model / "adapters", []), tmp_path / "readings.jsonl"
    first = run(pipe, models, GRID, file)
    lines = file.read_text().splitlines()
    assert len(lines) == 4 * 4
    file.write_text("\n".join(lines[:5]) + '\n{"cell": {"dom')
    again = run(pipe, models, GRID, file)
    assert again.rows == first.rows


def test_readings_of_another_making_do_not_count(pipe: TextToVideoPipeline, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "readings.jsonl"
    run(pipe, find_models(model / "adapters", ["sketch"]), GRID, file)
    assert Readings(file, {"sketch": "another number of frames"}).rows == {}


def test_a_clip_starts_from_the_same_noise_in_every_cell_and_batch(pipe: TextToVideoPipeline, model: Path) -> None:
    asked = unseen_prompts(DOMAINS["sketch"], 3)
    maker = Maker(pipe, GRID, {"sketch": pipe.unet})
    alone, composed = (maker.make(Cell("sketch", strength=g), asked, 0) for g in (0.0, 0.7))
    assert np.abs(alone.astype(int) - composed).mean() < 1  # a network composed with itself, guided alike, is itself
    assert np.abs(alone[2:].astype(int) - maker.make(Cell("sketch"), asked[2:], 2)).mean() < 1


@pytest.mark.parametrize("cell", [Cell("sketch", langevin=1, strength=0.5), Cell("sketch", WRONG_WAY, 0.5), Cell("sketch", PRIOR_ALONE)])
def test_every_way_makes_clips(pipe: TextToVideoPipeline, cell: Cell) -> None:
    clips = Maker(pipe, GRID, {"sketch": pipe.unet}).make(cell, unseen_prompts(DOMAINS["sketch"], 2), 0)
    assert clips.shape == (2, 2, 64, 64, 3)
    assert clips.dtype == np.uint8


def test_the_prior_can_read_the_prompt_without_its_style(pipe: TextToVideoPipeline) -> None:
    asked, maker = unseen_prompts(DOMAINS["sketch"], 1), Maker(pipe, Grid(prior_words="known", frames=2, steps=1), {"sketch": pipe.unet})
    composed = maker._compose(Cell("sketch", strength=1.0), asked)
    assert composed.prior_inputs["class_labels"].shape == (1, 32)


@torch.no_grad()
def test_the_wrong_way_guides_the_prior() -> None:
    class Reads(nn.Module):
        def forward(self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
            return (sample + text,)

    guided = GuidedNetwork(Reads(), {"text": torch.tensor([[1.0]])}, 3.0)
    assert guided(torch.zeros(2, 1), torch.tensor(5), text=torch.tensor([[2.0], [4.0]]))[0].tolist() == [[4.0], [10.0]]


def test_models_of_another_base_are_refused(pipe: TextToVideoPipeline, model: Path, tmp_path: Path) -> None:
    copy = save_tiny_domain_model(save_tiny_model(tmp_path / "other"), "sketch").folder
    described = json.loads((copy / "domain_model.json").read_text())
    (copy / "domain_model.json").write_text(json.dumps({**described, "text_encoder": "another"}))
    with pytest.raises(IncompatibleModels):
        run(pipe, find_models(copy.parent, []), GRID, tmp_path / "readings.jsonl")
    with pytest.raises(InvalidInput, match="no domain model 'neon'"):
        find_models(model / "adapters", ["neon"])
    with pytest.raises(InvalidInput, match="no domain models"):
        find_models(tmp_path, [])


# ---------------------------------------------------------------------------------------------------------------------
# The report


def readings(tmp_path: Path, shares: dict[Cell, tuple[float, float]]) -> Readings:
    """Readings of 20 prompts a cell, with these shares of right styles and right contents."""
    made = Readings(tmp_path / "none.jsonl", {})
    for cell, (style, content) in shares.items():
        for i in range(20):
            row = dict.fromkeys(("color", "motion"), True) | {"style": i < 20 * style}
            made.rows.setdefault(cell, {})[i] = row | dict.fromkeys(("object", "background"), i < 20 * content)
    return made


ENDS = {Cell("neon", PRIOR_ALONE, guidance=0.0): (0.05, 0.9), Cell("neon"): (1.0, 0.1)}


def test_the_claim_is_made_at_the_most_content_that_keeps_the_style(tmp_path: Path) -> None:
    composed = {Cell("neon", strength=0.2): (0.95, 0.4), Cell("neon", strength=0.5): (0.9, 0.6), Cell("neon", strength=1.0): (0.5, 0.8)}
    claim = claim_of(points_of(readings(tmp_path, {**ENDS, **composed})), "neon")
    assert (claim["holds"], claim["gain"], claim["best"]["strength"]) == (True, 0.5, 0.5)


@pytest.mark.parametrize(("style", "content"), [(0.8, 0.9), (1.0, 0.3)])
def test_a_claim_that_does_not_hold_is_said(tmp_path: Path, style: float, content: float) -> None:
    points = points_of(readings(tmp_path, {**ENDS, Cell("neon", strength=0.5): (style, content)}))
    assert claim_of(points, "neon")["holds"] is False
    assert "does not hold" in table(points)


def test_without_the_ends_nothing_is_claimed(tmp_path: Path) -> None:
    points = points_of(readings(tmp_path, {Cell("neon", strength=0.5): (1.0, 1.0)}))
    assert claim_of(points, "neon")["holds"] is None
    assert "no claim" in table(points)


def test_the_wrong_way_is_no_composition(tmp_path: Path) -> None:
    points = points_of(readings(tmp_path, {**ENDS, Cell("neon", WRONG_WAY, 0.5): (1.0, 1.0)}))
    assert claim_of(points, "neon")["holds"] is None


def test_seeds_are_one_point_and_each_is_told(tmp_path: Path) -> None:
    points = points_of(readings(tmp_path, {Cell("neon", strength=1, seed=s): (1.0, content) for s, content in enumerate((0.4, 0.6))}))
    assert len(points) == 1
    assert points[0].shares["content"] == pytest.approx(0.5)
    assert (points[0].clips, sorted(points[0].seeds)) == (40, [0.4, 0.6])


def test_the_figure_has_a_panel_a_domain_and_two_lines_a_curve(tmp_path: Path) -> None:
    cells = {Cell(name, strength=g): (1.0, 0.5) for name in ("neon", "sketch") for g in (0.0, 0.5, 1.0)}
    svg = figure(points_of(readings(tmp_path, {**cells, **ENDS})))
    assert svg.count("<polyline") == 4
    assert svg.count("<line ") == 2
    assert "sketch: content" in svg


def test_one_command_prints_the_curve_and_writes_json_and_figure(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"evaluate --composition --model {model} --adapters {model / 'adapters'} --prompts 2 --seeds 1 --strengths 0.5 --frames 2"
    sub_grid = "--steps 1 --modes normalised --schedules constant --langevin 0 --no-wrong-way"
    assert main(f"{command} {sub_grid} --json {tmp_path / 'composition.json'}".split()) == 0
    assert "prior alone" in capsys.readouterr().out
    report = json.loads((tmp_path / "composition.json").read_text())
    assert [(p["way"], p["strength"]) for p in report["points"]] == [(COMPOSED, 0.0), (COMPOSED, 0.5), (PRIOR_ALONE, 0.0)]
    assert (tmp_path / "composition.svg").exists()
    assert main(f"{command} {sub_grid}".split()) == 1
    assert "--json FILE" in capsys.readouterr().err
