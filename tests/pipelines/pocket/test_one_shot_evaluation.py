"""The evaluation of one-shot tuning: fair edits, rows that are never made twice, and numbers that mean what they say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.one_shot import TuningSettings
from pipelines.pocket.__main__ import main
from pipelines.pocket.one_shot_evaluation import WAYS, Case, Plan, Rows, Subject, cases, making_of, measure, path_correlation, run
from pipelines.pocket.one_shot_report import means, table
from pipelines.pocket.one_shot_video import Return, bring_back, first_frames
from pipelines.pocket.oracle import READS, Oracle, Reading
from pipelines.text_to_video import TextToVideoPipeline
from tests.tiny import save_tiny_model

PLAN = Plan(clips=1, seed=5, tuning=TuningSettings(steps=1, learning_rate=1e-3), steps=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pipe(model: Path) -> TextToVideoPipeline:
    pipe = TextToVideoPipeline.from_pretrained(str(model))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds of a square that moves."""
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 8.0, (96, 64))
    for i in range(16):
        frame = np.full((64, 96, 3), 80, np.uint8)
        frame[20:40, 2 * i + 20 : 2 * i + 40] = (40, 60, 230)
        writer.write(frame)
    writer.release()
    return tmp_path / "clip.mp4"


def reading(case: Case, **read: str | None) -> Reading:
    """Of the target, but for what is said."""
    return Reading(**{**{name: getattr(case.target, name) for name in READS}, **read}, confidence={}, path=np.zeros((16, 2)))


# ---------------------------------------------------------------------------------------------------------------------
# The edits


def test_each_edit_changes_one_attribute_each_attribute_as_often_and_both_ends_are_held_out() -> None:
    made = cases(48, 1)
    assert Counter(case.edited for case in made) == dict.fromkeys(("color", "object", "background", "style"), 12)
    assert set(Counter(case.source.motion for case in made).values()) <= {4, 5, 6, 7}
    for case in made:
        assert case.source.is_held_out
        assert case.target.is_held_out
        assert [name for name, value in asdict(case.source).items() if value != getattr(case.target, name)] == [case.edited]


def test_a_few_edits_are_the_first_of_many() -> None:
    assert cases(8, 1) == cases(48, 1)[:8]
    assert cases(8, 1) != cases(8, 2)


# ---------------------------------------------------------------------------------------------------------------------
# What is read


def test_a_path_is_compared_by_how_it_moves_not_by_where() -> None:
    case = next(case for case in cases(40, 1) if case.source.motion == "circle")
    path = case.render()[1]
    found = np.stack([path.x, path.y], axis=1)
    assert path_correlation(path, 0.5 * found + 0.1) == pytest.approx(1)
    assert path_correlation(path, -found) == pytest.approx(-1)
    assert path_correlation(path, np.full_like(found, np.nan)) == 0.0


def test_what_rests_has_no_path_to_compare() -> None:
    path = replace(cases(1, 1)[0].render()[1], x=np.full(16, 0.5), y=np.full(16, 0.4))
    assert path_correlation(path, np.random.default_rng(0).random((16, 2))) is None


def test_the_edited_attribute_the_motion_and_the_others_are_counted_apart() -> None:
    case = cases(1, 1)[0]  # its colour is edited
    clip, path = case.render()
    right = measure(case, path, reading(case), clip)
    assert (right["edited"], right["motion"], right["kept"]) == (True, True, 1.0)
    wrong = measure(case, path, reading(case, color=case.source.color, motion=None, style=None), clip)
    assert (wrong["edited"], wrong["motion"], wrong["kept"]) == (False, False, pytest.approx(2 / 3))


# ---------------------------------------------------------------------------------------------------------------------
# Making and reporting


def test_every_way_is_made_once_whatever_happens(pipe: TextToVideoPipeline, tmp_path: Path) -> None:
    file, oracle = tmp_path / "rows.jsonl", Oracle.from_pretrained()
    first = run(pipe, PLAN, file, oracle)
    assert [way for way, _ in first.rows] == list(WAYS)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:3]) + '\n{"making": "')
    again = run(pipe, PLAN, file, oracle)
    assert {key: row["read"] for key, row in again.rows.items()} == {key: row["read"] for key, row in first.rows.items()}
    assert not Rows(file, making_of(pipe, replace(PLAN, steps=3))).rows


def test_only_tuned_ways_tune_and_only_inverted_ways_invert(pipe: TextToVideoPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(pipe, cases(1, 5)[0], PLAN)
    monkeypatch.setattr(subject, "invert", lambda tuned: pytest.fail("inverted"))
    clip, seconds = subject.make(replace(WAYS["fresh-noise"], tuned=False))
    assert seconds["tuning"] == 0
    assert clip.shape == (16, 64, 64, 3)


def test_means_pass_over_what_a_row_does_not_have() -> None:
    rows = [
        {**dict.fromkeys(("edited", "motion", "kept", "consistency"), 1.0), "path": path, "alignment": None, "seconds": seconds}
        for path, seconds in ((None, {"tuning": 1, "inversion": 2, "edit": 3}), (0.5, {"tuning": 3, "inversion": 2, "edit": 3}))
    ]
    assert means(rows) | {"path": 0.5, "alignment": None, "tuning seconds": 2.0} == means(rows)
    assert means([])["edited"] is None


def test_a_table_of_nothing_says_so(tmp_path: Path) -> None:
    assert "full method" in table(Rows(tmp_path / "none.jsonl", ""), PLAN)


def test_one_command_prints_the_table_and_writes_json_and_sheet(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"one-shot --model {model} --clips 1 --tuning-steps 1 --steps 1 --ways full --sheet {tmp_path / 'sheet.png'}"
    assert main(f"{command} --json {tmp_path / 'table.json'}".split()) == 0
    assert "full method" in capsys.readouterr().out
    report = json.loads((tmp_path / "table.json").read_text())
    assert report["ways"]["full"]["clips"] == 1
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert main(command.split()) == 1
    assert "--json FILE" in capsys.readouterr().err


@pytest.mark.parametrize(("wrong", "said"), [({"clips": 0}, "clips is 0"), ({"ways": ("half",)}, "no way 'half'")])
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Plan(**wrong)


# ---------------------------------------------------------------------------------------------------------------------
# Somebody's own clip


def test_a_clip_of_somebodys_own_comes_back_and_is_compared_with_the_limit(pipe: TextToVideoPipeline, video: Path) -> None:
    made = bring_back(pipe, first_frames(pipe, video, "a square"), "a square", TuningSettings(steps=1), steps=2)
    assert made.back.shape == made.limit.shape == made.source.shape == (16, 64, 64, 3)
    assert "dB below the limit" in str(made)


def test_a_clip_within_three_decibels_of_the_limit_has_come_back() -> None:
    source = np.random.default_rng(0).integers(60, 190, (4, 32, 32, 3), dtype=np.uint8)
    assert "not reached" not in str(Return(source, source + 4, source + 5, (1.0, 1.0, 1.0)))
    assert "not reached" in str(Return(source, source + 4, source + 8, (1.0, 1.0, 1.0)))


def test_a_clip_without_a_caption_and_a_broken_one_are_refused(pipe: TextToVideoPipeline, video: Path) -> None:
    with pytest.raises(InvalidInput, match="no caption"):
        first_frames(pipe, video, " ")
    video.write_bytes(b"no video")
    with pytest.raises(InvalidInput, match=r"clip\.mp4"):
        first_frames(pipe, video, "a square")
