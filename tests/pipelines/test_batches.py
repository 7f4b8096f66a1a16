"""Rows of a batch: what belongs to a clip goes with it, and the rest stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipelines.batches import as_network_takes, common_part, one_each, rows_of

ROWS = [3, 2]


def numbered(length: int) -> torch.Tensor:
    return torch.arange(length)[:, None]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("class_labels", numbered(4), [3, 2]),
        ("encoder_hidden_states", numbered(8), [6, 7, 4, 5]),  # two frames a clip
        ("guidance", numbered(8), list(range(8))),
        ("image_rotary_emb", numbered(4), [0, 1, 2, 3]),
        ("attention_mask", numbered(1), [0]),
    ],
)
def test_an_argument_keeps_the_rows_that_are_its_clips(name: str, value: torch.Tensor, kept: list[int]) -> None:
    assert rows_of(value, ROWS, 4, name).flatten().tolist() == kept


def test_nested_arguments_keep_their_form() -> None:
    kept = rows_of({"image_embeds": [numbered(4)], "size": (numbered(4), 5)}, ROWS, 4, "added_cond_kwargs")
    assert kept["image_embeds"][0].flatten().tolist() == ROWS
    assert kept["size"][0].flatten().tolist() == ROWS
    assert kept["size"][1] == 5


@pytest.mark.parametrize("value", [None, 8.0, "sdpa", torch.tensor(500)])
def test_what_has_no_rows_is_passed_on(value: Any) -> None:
    assert rows_of(value, ROWS, 4, "timestep") is value


def test_one_row_stands_for_all() -> None:
    assert one_each(torch.ones(1, 5), 3).shape == (3, 5)
    assert one_each(torch.ones(2, 5), 3).shape == (2, 5)
    assert one_each("text", 3) == "text"


def test_the_common_part_is_a_view() -> None:
    x = torch.zeros(1, 9, 2)
    common_part(x, torch.zeros(1, 4, 5)).fill_(1)
    assert x[:, :4].eq(1).all()
    assert x[:, 4:].eq(0).all()


def test_precision_changes_with_the_network_but_not_that_of_the_timestep() -> None:
    old, new = nn.Linear(1, 1), nn.Linear(1, 1)
    old.dtype, new.dtype = torch.float32, torch.bfloat16  # type: ignore[assignment]
    given = {"sample": torch.ones(2), "timestep": torch.ones(2), "mask": torch.ones(2, dtype=torch.bool), "fps": 8.0}
    taken = as_network_takes(given, old, new)
    assert taken["sample"].dtype == torch.bfloat16
    assert {name: taken[name] for name in ("timestep", "mask", "fps")} == {name: given[name] for name in ("timestep", "mask", "fps")}
    assert as_network_takes(given, old, old) is given
