"""Magnitudes are measured on one clip, without a trace, and the cache follows them however many steps a call has."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines.errors import InvalidInput
from pipelines.magnitudes import measuring
from pipelines.speed import Speed, put_on
from tests.pipelines.families import FAMILIES

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
STEPS = 6


@pytest.fixture
def wan() -> Any:
    torch.manual_seed(0)
    family = FAMILIES["Wan"]()
    family.pipe.transformer = type(family.denoiser).from_config({**family.denoiser.config, "num_layers": 3})
    return family


def make(family: Any, steps: int = STEPS) -> torch.Tensor:
    return family.make(family.denoiser, num_inference_steps=steps)


def calls(family: Any, steps: int) -> int:
    """How often the last block is computed."""
    counted: list[None] = []
    handle = family.denoiser.blocks[-1].attn1.register_forward_hook(lambda *_: counted.append(None))
    make(family, steps)
    handle.remove()
    return len(counted)


def test_there_is_a_ratio_for_each_step_near_1_and_the_model_makes_what_it_made(wan: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = make(wan)
    with measuring(wan.pipe) as ratios:
        assert torch.equal(make(wan), before)
        assert ratios()[0] == 1.0
    assert len(ratios()) == STEPS
    assert all(0.3 < ratio < 3 for ratio in ratios())
    assert capsys.readouterr().out == ""
    assert torch.equal(make(wan), before)


def test_a_cache_that_was_on_is_on_again_afterwards(wan: Any) -> None:
    with put_on(wan.pipe, Speed(cache="first-block", threshold=0.5)):
        cached = make(wan)
        with measuring(wan.pipe) as ratios:
            make(wan)
        assert len(ratios()) == STEPS
        assert torch.equal(make(wan), cached)


@pytest.mark.parametrize("steps", [3, 6, 12])
def test_the_cache_skips_as_the_ratios_say_however_many_steps_there_are(wan: Any, steps: int) -> None:
    with put_on(wan.pipe, Speed(cache="mag", threshold=0.5, ratios=(1.0,) * STEPS)):
        skipped = 2 * steps - calls(wan, steps)  # guided and unguided
        assert 2 <= skipped <= 2 * steps * 0.8
    with put_on(wan.pipe, Speed(cache="mag", threshold=0.5, ratios=(3.0,) * STEPS)):
        assert calls(wan, steps) == 2 * steps


def test_what_cannot_have_the_cache_is_not_measured() -> None:
    with pytest.raises(InvalidInput, match="not a row of transformer blocks"), measuring(FAMILIES["ModelScope"]().pipe):
        pass
