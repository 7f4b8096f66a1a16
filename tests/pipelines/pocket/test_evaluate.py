"""The measure of prompt following, on stand-ins that render what they are asked for, or something else."""

import json
from collections import Counter
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput
from pipelines.pocket.__main__ import main
from pipelines.pocket.captions import PHRASES, PRIOR_STYLES, Attributes, plain_caption
from pipelines.pocket.evaluate import EvaluationSettings, evaluate, held_out_attributes, write_json
from pipelines.pocket.sheet import write_sheet
from pipelines.pocket.world import render
from tests.tiny import tiny_pipeline

BY_CAPTION = {plain_caption(Attributes(*values)): Attributes(*values) for values in product(*PHRASES.values())}


class StandIn:
    """Called like a pipeline; renders the prompts with some attributes replaced."""

    def __init__(self, **replaced: str) -> None:
        self.replaced, self.calls = replaced, []

    def __call__(self, prompts: list[str], generator: list, **options: object) -> SimpleNamespace:
        self.calls.append((prompts, [g.initial_seed() for g in generator], options))
        shown = [Attributes(**{**vars(BY_CAPTION[prompt]), **self.replaced}) for prompt in prompts]
        clips = [render(known, np.random.default_rng(g.initial_seed())) for known, g in zip(shown, generator, strict=True)]
        return SimpleNamespace(frames=np.stack(clips).astype(np.float32) / 255)


def test_a_model_that_shows_what_it_is_told_scores_like_the_ceiling() -> None:
    report = evaluate(StandIn(), EvaluationSettings(prompts=18))
    assert min(report.accuracy().values()) >= 0.94
    assert min(report.to_dict()["ceiling"].values()) >= 0.94


def test_a_model_that_always_shows_one_thing_is_right_as_often_as_it_is_asked_for() -> None:
    report = evaluate(StandIn(motion="left", color="green"), EvaluationSettings(prompts=18))
    result = report.to_dict()
    asked = Counter(a.color for a in report.asked)
    assert result["accuracy"]["motion"] == pytest.approx(2 / 18, abs=1e-4)
    assert result["accuracy"]["color"] == pytest.approx(asked["green"] / 18, abs=1e-4)
    assert result["by_motion"] == {motion: float(motion == "left") for motion in PHRASES["motion"]}
    assert result["motion_confusion"]["spin"] == {"left": 2}


def test_prompts_are_held_out_in_the_priors_styles_and_balanced_in_motion() -> None:
    asked = held_out_attributes(180, seed=3)
    assert all(a.is_held_out for a in asked)
    assert set(Counter(a.motion for a in asked).values()) == {20}
    assert Counter(a.style for a in asked) == {style: 90 for style in PRIOR_STYLES}
    assert asked == held_out_attributes(180, seed=3)


def test_each_clip_has_its_own_seed_whatever_the_batch() -> None:
    few, many = StandIn(), StandIn()
    evaluate(few, EvaluationSettings(prompts=5, batch=2, seed=40, guidance_scale=3.0))
    evaluate(many, EvaluationSettings(prompts=5, batch=8, seed=40))
    assert [seed for _, seeds, _ in few.calls for seed in seeds] == many.calls[0][1] == [40, 41, 42, 43, 44]
    assert few.calls[0][2] == {"guidance_scale": 3.0}
    assert many.calls[0][2] == {}


def test_an_interrupt_keeps_the_batches_that_are_done() -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    report = evaluate(StandIn(), EvaluationSettings(prompts=9, batch=3), progress=stop)
    assert report.to_dict()["prompts"] == 3
    assert report.interrupted
    assert "3 held-out prompts (interrupted)" in report.table()


def test_numbers_and_sheet_are_written(tmp_path) -> None:
    report = evaluate(StandIn(motion="still"), EvaluationSettings(prompts=3, sheet_rows=2))
    write_json(report, tmp_path / "new" / "numbers.json")
    write_sheet(report, tmp_path / "sheet.png")
    numbers = json.loads((tmp_path / "new" / "numbers.json").read_text())
    assert set(numbers["accuracy"]) == {"color", "background", "motion", "object", "style"}
    assert numbers["settings"]["prompts"] == 3
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 8 * 128
        assert sheet.height > 2 * 128


def test_the_table_shows_each_attribute_and_each_motion() -> None:
    table = evaluate(StandIn(), EvaluationSettings(prompts=9)).table()
    assert all(word in table for word in ("color", "background", "style", *PHRASES["motion"]))


def test_no_prompts_are_refused() -> None:
    with pytest.raises(InvalidInput, match="prompts is 0"):
        EvaluationSettings(prompts=0)


def test_the_command_names_a_model_that_is_not_there(tmp_path, capsys) -> None:
    assert main(["evaluate", "--prompts", "1", "--model", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_command_measures_a_saved_model(tmp_path, capsys) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "model")
    files = ["--json", str(tmp_path / "numbers.json"), "--sheet", str(tmp_path / "sheet.png")]
    assert main(["evaluate", "--prompts", "3", "--batch", "2", "--steps", "1", "--model", str(tmp_path / "model"), *files]) == 0
    assert "3 held-out prompts" in capsys.readouterr().out
    assert json.loads((tmp_path / "numbers.json").read_text())["settings"]["num_inference_steps"] == 1
    assert (tmp_path / "sheet.png").exists()
