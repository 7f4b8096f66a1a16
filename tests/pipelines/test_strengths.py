"""Prior strengths: numbers that make sense, and schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.strengths import SCHEDULES, each, fading, noise_ratio, noise_share, strength_schedule


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf, -math.inf, "0.5", None, True, [0.5, -1], [math.nan], []])
def test_a_strength_that_makes_no_sense_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput):
        each(bad)


def test_one_strength_several_and_functions_are_taken() -> None:
    assert each(1) == (1.0,)
    assert each([0, 0.5]) == (0.0, 0.5)
    assert each(np.float32(0.5)) == (0.5,)
    assert each([0.5, fading]) == (0.5, fading)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0, 14.6, 518.0, math.inf])
def test_the_share_of_noise_and_its_ratio_are_each_other_s_inverse(ratio: float) -> None:
    assert 0 <= noise_share(ratio) <= 1
    assert noise_ratio(noise_share(ratio)) == pytest.approx(ratio)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_grows_with_the_noise_up_to_its_strength(name: str) -> None:
    strength = strength_schedule(name, 0.7)
    values = [strength(i / 100) if callable(strength) else strength for i in range(101)]
    assert values == sorted(values)
    assert values[0] >= 0
    assert values[-1] == 0.7


def test_fading_spends_the_prior_on_what_is_decided_in_noise() -> None:
    assert fading(noise_share(0.55)) == 0
    assert 0 < fading(noise_share(0.85)) < 1
    assert fading(noise_share(1.3)) == 1


def test_a_constant_schedule_is_a_number_and_zero_is_zero() -> None:
    assert strength_schedule("constant", 0.5) == 0.5
    assert strength_schedule("fading", 0) == 0


def test_an_unknown_schedule_and_a_bad_strength_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'linear'"):
        strength_schedule("linear", 0.5)
    with pytest.raises(InvalidInput, match="-1"):
        strength_schedule("fading", -1)
