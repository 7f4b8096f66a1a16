"""Comparisons on the tiny real model: cells one by one, found again, resumed, read and ranked."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InvalidInput, JobError, UnsupportedFrames
from studio.cells import MadeCell
from studio.comparison import Reader, best_column, curves
from studio.engine import Done, Engine, Event, Failed, Stopped
from studio.events import CellStep
from studio.jobs import State
from studio.media import read_frames
from studio.requests import Axis, ComparisonRequest, TextToVideoRequest
from studio.settings import ROOT, Settings
from studio.sources import small_frames
from tests.tiny import save_tiny_domain_model

BASE = TextToVideoRequest(prompt="a red ball at night", frames=4, steps=3, seed=7)
SEEDS = ComparisonRequest(base=BASE, columns=Axis(field="seed", values=(1, 2, 3)))
STRENGTHS = ComparisonRequest(
    base=BASE.model_copy(update={"domain_model": "sketch"}), columns=Axis(field="prior_strength", values=(0.0, 0.5, "prior"))
)
MIXED = STRENGTHS.base.model_copy(update={"prior_strength": 0.5, "steps": 8})


def run(engine: Engine, request: ComparisonRequest | TextToVideoRequest) -> Event:
    """A job's last event."""
    *_, last = engine.watch(engine.submit(request), timeout=120)
    return last


@pytest.fixture(scope="module")
def adapted_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an untrained domain model beside it."""
    folder = tmp_path_factory.mktemp("adapted") / "tiny"
    shutil.copytree(tiny_model, folder)
    save_tiny_domain_model(folder, "sketch")
    return folder


@pytest.fixture
def adapted(settings: Settings, adapted_model: Path) -> Iterator[Engine]:
    """A running engine on it."""
    engine = Engine(settings.model_copy(update={"model_dir": adapted_model}))
    engine.start()
    yield engine
    engine.close()


# -- Making -----------------------------------------------------------------------------------------------------------


def test_every_cell_is_an_ordinary_clip_that_its_own_settings_give_again(engine: Engine) -> None:
    done = run(engine, SEEDS)
    assert isinstance(done, Done)
    assert [clip.request for clip in done.clips] == [cell.request for cell in SEEDS.cells()]
    again = run(engine, done.clips[1].request)
    assert isinstance(again, Done)
    assert (read_frames(again.clips[0].path) == read_frames(done.clips[1].path)).all()


def test_cells_appear_one_by_one_while_the_wall_is_made(engine: Engine) -> None:
    request = SEEDS.model_copy(update={"base": BASE.model_copy(update={"steps": 8})})
    steps = [event for event in engine.watch(engine.submit(request), timeout=60) if isinstance(event, CellStep)]
    assert [len(step.cells) for step in steps] == sorted(len(step.cells) for step in steps)
    assert {step.cell for step in steps} == {0, 1, 2}
    assert {(step.variation, step.variations) for step in steps} == {(1, 3), (2, 3), (3, 3)}


def test_the_same_wall_again_makes_nothing(engine: Engine) -> None:
    first, second = run(engine, SEEDS), run(engine, SEEDS)
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert first.clips == second.clips
    assert engine.history.count() == 3


def test_a_changed_value_makes_one_clip(engine: Engine) -> None:
    run(engine, SEEDS)
    run(engine, SEEDS.model_copy(update={"columns": Axis(field="seed", values=(1, 2, 9))}))
    assert engine.history.count() == 4


def test_cells_that_ask_for_the_same_share_one_clip(adapted: Engine) -> None:
    rows = Axis(field="composition", values=("normalised", "paper"))
    run(adapted, STRENGTHS.model_copy(update={"rows": rows, "columns": Axis(field="prior_strength", values=(0.5, "prior"))}))
    assert adapted.history.count() == 3
    assert len(adapted.walls.cells(adapted.recent_jobs("comparison")[0])) == 4


def test_stopping_keeps_the_cells_and_running_again_makes_only_the_rest(engine: Engine) -> None:
    long = SEEDS.model_copy(update={"base": BASE.model_copy(update={"steps": 60})})
    job_id = engine.submit(long)
    next(event for event in engine.watch(job_id, timeout=60) if isinstance(event, CellStep) and event.cells)
    engine.stop(job_id)
    *_, stopped = engine.watch(job_id, timeout=60)
    assert isinstance(stopped, Stopped)
    assert 1 <= len(stopped.clips) < 3
    *_, done = engine.watch(engine.rerun(job_id), timeout=60)
    assert isinstance(done, Done)
    assert done.clips[: len(stopped.clips)] == stopped.clips
    assert engine.history.count() == 3


KILLED = """
import os, signal, sys
from studio.engine import Engine
from studio.events import CellStep
from studio.requests import Axis, ComparisonRequest, TextToVideoRequest
from studio.settings import Settings
engine = Engine(Settings(data_dir=sys.argv[1], model_dir=sys.argv[2], device="cpu", warm_up=False))
engine.start()
base = TextToVideoRequest(prompt="long", frames=4, steps=60)
job_id = engine.submit(ComparisonRequest(base=base, columns=Axis(field="seed", values=(1, 2, 3))))
engine.submit(TextToVideoRequest(prompt="waiting", frames=4, steps=2))
next(event for event in engine.watch(job_id) if isinstance(event, CellStep) and event.cells)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_job_and_keeps_the_cells_of_its_wall(settings: Settings) -> None:
    command = [sys.executable, "-c", KILLED, str(settings.data_dir), str(settings.model_dir)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    after = Engine(settings)
    waiting, interrupted = after.queue()
    kept = len(after.wall(interrupted.id).cells)
    after.start()
    ends = [[*after.watch(job_id, timeout=60)][-1] for job_id in (waiting.id, after.rerun(interrupted.id))]
    count = after.history.count()
    after.close()
    assert (waiting.prompt, waiting.state) == ("waiting", State.QUEUED)
    assert (interrupted.state, interrupted.kind) == (State.INTERRUPTED, "comparison")
    assert kept >= 1
    assert [type(end) for end in ends] == [Done, Done]
    assert count == 1 + 3


def test_a_deleted_clip_is_missing_in_its_wall(engine: Engine) -> None:
    done = run(engine, SEEDS)
    assert isinstance(done, Done)
    engine.history.delete(done.clips[0].id)
    assert sorted(engine.wall(done.job_id).cells) == [1, 2]


def test_an_error_in_a_cell_fails_the_wall_and_keeps_what_there_is(engine: Engine) -> None:
    run(engine, BASE.variation(1))
    clips = engine.settings.data_dir / "clips"
    aside = clips.rename(clips.with_name("aside"))
    clips.write_text("in the way")
    failed = run(engine, SEEDS)
    clips.unlink()
    aside.rename(clips)
    assert isinstance(failed, Failed)
    assert "cannot be written" in failed.error


# -- With a domain model ----------------------------------------------------------------------------------------------


def test_strength_zero_is_the_domain_model_alone_and_the_other_end_the_prior_alone(adapted: Engine) -> None:
    done = run(adapted, STRENGTHS)
    prior = run(adapted, BASE.model_copy(update={"seed": 7}))
    assert isinstance(done, Done)
    assert isinstance(prior, Done)
    frames = [read_frames(clip.path) for clip in done.clips]
    assert (frames[2] == read_frames(prior.clips[0].path)).all()
    assert not (frames[0] == frames[1]).all()
    assert not (frames[1] == frames[2]).all()


def test_a_domain_model_is_loaded_once(adapted: Engine) -> None:
    run(adapted, STRENGTHS)
    run(adapted, STRENGTHS.model_copy(update={"base": STRENGTHS.base.model_copy(update={"seed": 8})}))
    assert adapted.pool.loads == 2  # the prior and the domain model


def test_a_clip_names_the_weights_of_both_models(adapted: Engine) -> None:
    from studio.media import read_metadata

    done = run(adapted, STRENGTHS)
    assert isinstance(done, Done)
    weights = read_metadata(done.clips[0].path)["weights"]
    assert [name for name in weights if name.startswith("sketch/")]
    assert not [name for name in read_metadata(done.clips[2].path)["weights"] if name.startswith("sketch/")]


def test_a_domain_model_that_was_trained_again_gives_new_clips(adapted: Engine) -> None:
    run(adapted, STRENGTHS)
    save_tiny_domain_model(adapted.settings.model_dir, "sketch", seed=5)
    run(adapted, STRENGTHS)
    save_tiny_domain_model(adapted.settings.model_dir, "sketch")
    assert adapted.history.count() == 3 + 2


def frames_of(engine: Engine, request: TextToVideoRequest) -> np.ndarray:
    done = run(engine, request)
    assert isinstance(done, Done), done
    return read_frames(done.clips[0].path)


@pytest.fixture(scope="module")
def mixing(adapted_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for tests that look at nothing but their own clips."""
    engine = Engine(Settings(data_dir=tmp_path_factory.mktemp("mixing"), model_dir=adapted_model, device="cpu", warm_up=False))
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def mixed(mixing: Engine) -> np.ndarray:
    """As it is mixed unless told otherwise."""
    return frames_of(mixing, MIXED)


@pytest.mark.parametrize(
    "changes",
    [{"composition": "paper"}, {"strength_schedule": "fading"}, {"langevin_steps": 1}, {"guidance_scale": 1}, {"prior_prompt": "a star"}],
)
def test_every_way_of_mixing_gives_another_clip_and_the_same_one_twice(
    mixing: Engine, mixed: np.ndarray, changes: dict[str, object]
) -> None:
    first, second = (frames_of(mixing, MIXED.model_copy(update=changes)) for _ in range(2))
    assert (first == second).all()
    assert not (first == mixed).all()


# -- Refused ----------------------------------------------------------------------------------------------------------


def test_a_domain_model_that_is_not_there_is_named_before_anything_runs(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match=r"There is no domain model 'sketch'\. Train one first\."):
        engine.submit(STRENGTHS)


def test_frames_that_the_model_cannot_make_are_refused_for_a_wall_too(engine: Engine) -> None:
    with pytest.raises(UnsupportedFrames):
        engine.submit(SEEDS.model_copy(update={"base": BASE.model_copy(update={"frames": 32})}))


def test_a_job_of_another_kind_is_no_wall(engine: Engine) -> None:
    done = run(engine, BASE)
    assert isinstance(done, Done)
    with pytest.raises(JobError, match="is no comparison"):
        engine.wall(done.job_id)


# -- Picks and readings -----------------------------------------------------------------------------------------------


def test_the_newest_pick_of_a_wall_counts_and_all_are_kept(engine: Engine) -> None:
    done = run(engine, SEEDS)
    assert isinstance(done, Done)
    engine.walls.pick(done.job_id, 2)
    engine.walls.pick(done.job_id, 0)
    assert engine.wall(done.job_id).picked == 0
    assert [pick.cell for pick in engine.walls.picks()] == [0, 2]


def test_a_clip_that_is_not_there_cannot_be_picked(engine: Engine) -> None:
    done = run(engine, SEEDS)
    with pytest.raises(JobError, match="no clip number 8"):
        engine.walls.pick(done.job_id, 7)


def test_a_clip_is_read_at_the_size_the_model_made_it(engine: Engine) -> None:
    done = run(engine, BASE)
    assert isinstance(done, Done)
    assert small_frames(done.clips[0]).shape == (4, 64, 64, 3)


def test_with_an_oracle_beside_the_model_style_and_content_are_read(adapted: Engine) -> None:
    shutil.copytree(ROOT / "assets" / "pocket" / "oracle", adapted.settings.model_dir / "oracle", dirs_exist_ok=True)
    done = run(adapted, STRENGTHS)
    cells = adapted.wall(done.job_id).cells
    assert {"style", "content", "color", "consistency"} <= set(cells[0].readings)
    assert all(0 <= made.readings[name] <= 1 for made in cells.values() for name in ("style", "content", "color"))
    smaller = small_frames(cells[0].clip)[:, ::2, ::2]
    assert set(Reader.of(adapted.bench).read(smaller, STRENGTHS.cells()[0])) == {"consistency"}  # of other sizes it knows nothing


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random CLIP."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    from pipelines.pocket.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("clip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 8}
    tokenizer = build_tokenizer()
    text = {**small, "vocab_size": len(tokenizer), "max_position_embeddings": 24, "eos_token_id": tokenizer.eos_token_id}
    vision = {**small, "image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_with_a_clip_at_hand_its_text_similarity_is_read(settings: Settings, clip_folder: Path) -> None:
    engine = Engine(settings.model_copy(update={"clip_dir": clip_folder}))
    engine.start()
    done = run(engine, SEEDS)
    readings = engine.wall(done.job_id).cells[0].readings
    engine.close()
    assert set(readings) == {"text", "consistency"}
    assert all(-1 <= value <= 1.0001 for value in readings.values())


def test_a_clip_checkpoint_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    engine = Engine(settings.model_copy(update={"clip_dir": tmp_path / "nope"}))
    engine.start()
    failed = run(engine, SEEDS)
    engine.close()
    assert isinstance(failed, Failed)
    assert "There is no CLIP checkpoint in" in failed.error


def test_without_an_oracle_frame_consistency_is_still_read(engine: Engine) -> None:
    done = run(engine, SEEDS)
    assert set(engine.wall(done.job_id).cells[0].readings) == {"consistency"}


def made(*readings: dict[str, float]) -> dict[int, MadeCell]:
    return {i: MadeCell(i, None, reading) for i, reading in enumerate(readings)}  # type: ignore[arg-type]


def test_curves_are_means_over_the_rows() -> None:
    request = SEEDS.model_copy(update={"rows": Axis(field="steps", values=(2, 3))})
    lines = curves(request, made({"style": 1.0}, {"style": 0.0}, {}, {"style": 0.0}, {"style": 0.0}))
    assert lines == {"style": [0.5, 0.0, None]}


def test_the_best_column_keeps_both_style_and_content() -> None:
    assert best_column({"style": [1, 1, 0.9, 0], "content": [0.1, 0.5, 0.9, 1]}) == 2
    assert best_column({"style": [1, 1], "content": [1, 1], "consistency": [0.8, 0.9]}) == 1
    assert best_column({"style": [1, None], "content": [1, 1]}) is None
    assert best_column({"consistency": [1.0]}) is None
