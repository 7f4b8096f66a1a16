"""The training loop: learns, keeps to its budget, and goes on after a kill."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from pipelines.training.loop import Batch, LoopConfig, train


class Line(nn.Module):
    """Learns y = 3 x."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.new_part = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, batch: Batch, step: int) -> torch.Tensor:
        return (self.known(batch["x"]) + self.new_part(batch["x"]) - 3 * batch["x"]).square().mean()


def batch_at(step: int) -> Batch:
    return {"x": torch.randn(16, 1, generator=torch.Generator().manual_seed(step))}


def config(seconds: float, **changes: float) -> LoopConfig:
    return LoopConfig(seconds=seconds, learning_rate=0.05, checkpoint_every_s=0.1, warmup_steps=1, **changes)  # type: ignore[arg-type]


def test_it_learns_within_its_budget(tmp_path: Path) -> None:
    model = Line()
    progress = train(model, batch_at, tmp_path, config(1.0))
    assert progress.seconds >= 1.0
    assert progress.step > 20
    assert model(batch_at(0), 0).item() < 0.1


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    first = train(Line(), batch_at, tmp_path, config(0.5))
    fresh = Line()
    second = train(fresh, batch_at, tmp_path, config(1.0))
    assert second.step > first.step
    assert second.seconds >= 1.0
    assert fresh(batch_at(0), 0).item() < 0.5
    steps = [int(row["step"]) for row in csv.DictReader((tmp_path / "loss.csv").open())]
    assert steps == sorted(set(steps))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    done = train(Line(), batch_at, tmp_path, config(0.3))
    again = Line()
    assert train(again, batch_at, tmp_path, config(0.3)).step == done.step
    assert again(batch_at(0), 0).item() < 9.0 * 0.8


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    done = train(Line(), batch_at, tmp_path, config(0.3))
    whole = next(tmp_path.glob("checkpoint-*"))
    broken = tmp_path / "checkpoint-99999999"
    shutil.copytree(whole, broken)
    (broken / "progress.json").unlink()
    assert train(Line(), batch_at, tmp_path, config(0.3)).step == done.step


def test_only_the_newest_checkpoint_is_kept_and_it_says_where_it_is(tmp_path: Path) -> None:
    progress = train(Line(), batch_at, tmp_path, config(0.5))
    kept = list(tmp_path.glob("checkpoint-*"))
    assert len(kept) == 1
    assert json.loads((kept[0] / "progress.json").read_text())["step"] == progress.step


def test_samples_are_drawn_with_the_averaged_weights(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    model = Line()
    train(
        model, batch_at, tmp_path, config(0.6, sample_every_s=0.2), sample=lambda m, tag: seen.append((tag, float(m.known.weight.detach())))
    )
    assert seen
    assert all(tag.endswith("s") for tag, _ in seen)


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path: Path) -> None:
    class Broken(Line):
        def forward(self, batch: Batch, step: int) -> torch.Tensor:
            return super().forward(batch, step) * float("nan")

    with pytest.raises(FloatingPointError, match="step 1"):
        train(Broken(), batch_at, tmp_path, config(1.0))


def test_each_step_is_told_with_its_loss(tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    done = train(Line(), batch_at, tmp_path, config(0.3), on_step=lambda progress, loss: told.append((progress.step, loss)))
    assert [step for step, _ in told] == list(range(1, done.step + 1))
    assert told[-1][1] < told[0][1]


def test_a_run_that_is_stopped_early_goes_on_from_there(tmp_path: Path) -> None:
    steps: list[int] = []
    stopped = train(Line(), batch_at, tmp_path, config(60), on_step=lambda p, _: steps.append(p.step), should_stop=lambda: len(steps) >= 7)
    assert stopped.step == 7
    assert train(Line(), batch_at, tmp_path, config(stopped.seconds + 0.2)).step > 7
