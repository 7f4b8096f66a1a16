"""The programs that measure run to their end on small models, and build the full ones in the size that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines import speed
from studio.requests import TextToVideoRequest
from tests.benchmarks import full_size, gpu, overhead, studio

# Said by diffusers and transformers while such a pipeline is imported, built or run.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


def test_the_gpu_s_benchmark_runs_on_small_models(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "COMPILER", "eager")  # traced as always; the machine code takes a minute
    assert gpu.main(["--tiny", "--steps", "2", "--runs", "1"]) == 0
    said = capsys.readouterr().out
    for name in ("SD 1.5, a step of tuning", "ModelScope, ours", "Wan 1.3B, ours, compiled", "Wan 1.3B + Wan 1.3B composed"):
        assert name in said
    assert "times Wan 1.3B, diffusers alone" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, and full-size models would be measured on it")
def test_without_a_gpu_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 1
    assert "needs a CUDA GPU, and there is none here" in capsys.readouterr().out


@pytest.mark.parametrize(("build", "millions"), [(full_size.wan, 1419.0), (full_size.model_scope, 1411.2)], ids=["Wan 1.3B", "ModelScope"])
def test_full_models_have_the_size_of_their_names(build: Callable[..., full_size.Sized], millions: float) -> None:
    network = build("meta", torch.bfloat16, False).network
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.2)


def test_the_overhead_is_measured_by_turns_and_a_second_run_loads_nothing(tiny_model: Path) -> None:
    request = TextToVideoRequest(prompt="a red ball", steps=2)
    measured = overhead.measure(tiny_model, request, "cpu", threads=torch.get_num_threads(), runs=1)
    ((alone, through),) = measured.pairs
    assert measured.loads == 0
    assert alone.passed > 0
    assert not any(alone.parts.values())
    assert all(through.parts[part] > 0 for part in overhead.PARTS)
    assert measured.lines[-1] == "models loaded after the first run: 0"


def test_a_clip_s_seconds_through_the_studio_and_alone_are_measured(tiny_model: Path) -> None:
    assert min(studio.clip_seconds(tiny_model, 1, studio.CLIP.model_copy(update={"frames": 4, "steps": 2}))) > 0
