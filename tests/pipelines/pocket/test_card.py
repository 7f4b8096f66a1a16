"""The model card says what was measured, and the curve is a picture."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipelines.pocket.__main__ import main
from pipelines.pocket.card import loss_curve, smooth
from tests.tiny import save_tiny_model

REPORT = {
    "accuracy": {"color": 0.91, "motion": 0.66},
    "ceiling": {"color": 1.0, "motion": 0.99},
    "by_motion": {"left": 0.7, "spin": 0.6},
    "by_object": {"ball": 0.9},
    "prompts": 256,
    "settings": {"num_inference_steps": None, "guidance_scale": 3.0},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for stage, losses in {"image": (0.5, 0.3), "video-4": (0.4, 0.2)}.items():
        (tmp_path / stage).mkdir()
        rows = [f"{50 * (i + 1)},{60.0 * (i + 1)},{loss}" for i, loss in enumerate(losses)]
        (tmp_path / stage / "loss.csv").write_text("\n".join(["step,seconds,loss", *rows]))
    (tmp_path / "evaluation.json").write_text(json.dumps(REPORT))
    return tmp_path


def test_the_card_holds_the_numbers_of_the_evaluation(run: Path) -> None:
    model = save_tiny_model(run / "model")
    assert main(["card", "--run", str(run), "--evaluation", str(run / "evaluation.json"), "--model", str(model)]) == 0
    card = (model / "README.md").read_text()
    assert "| color | 91.0% | 100.0% |" in card
    assert "256 held-out prompts, 4 steps, guidance 3.0" in card
    assert "left 70%, spin 60%" in card
    assert (model / "curve.svg").exists()


def test_the_curve_is_well_formed_and_has_a_line_a_stage(run: Path) -> None:
    picture = ElementTree.fromstring(loss_curve(sorted(run.glob("*/loss.csv"))))
    lines = [e for e in picture if e.tag.endswith("polyline")]
    assert len(lines) == 2
    assert {e.text for e in picture if e.tag.endswith("text")} >= {"image", "video-4", "0 min", "4 min"}


def test_smoothing_is_a_running_mean() -> None:
    assert smooth([(1, 1.0), (2, 3.0), (3, 5.0)], width=2) == [(1, 1.0), (2, 2.0), (3, 4.0)]
