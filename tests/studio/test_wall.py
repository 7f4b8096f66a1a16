"""What is sent to the page's wall: JSON, and nothing that a blind one must not tell."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from studio.wall import Curve, Wall, WallCell, component, letters, value

COLUMNS = ("0", "0.5", "1", "2")
CELLS = tuple(
    WallCell(0, i, f"key-{i}", "ready", f"{i}.mp4", f"{i}.png", f"prior strength {name}", "style 90 %") for i, name in enumerate(COLUMNS)
)
WALL = Wall((), COLUMNS, "", "Prior strength", CELLS, 16, 8, (Curve("style", (("0", 0.9),)),), best=1)


def test_a_wall_becomes_json() -> None:
    sent = json.loads(json.dumps(value(WALL)))
    assert sent["columns"] == list(COLUMNS)
    assert sent["cells"][1]["video"] == "1.mp4"
    assert sent["curves"] == [{"name": "style", "points": [["0", 0.9]], "percent": True}]


def test_a_blind_wall_keeps_all_clips_and_their_keys() -> None:
    sent = value(replace(WALL, blind=True))
    assert {(cell["key"], cell["video"]) for cell in sent["cells"]} == {(cell.key, cell.video) for cell in CELLS}


def test_a_blind_wall_tells_nothing() -> None:
    sent = value(replace(WALL, blind=True))
    assert sent["columns"] == ("A", "B", "C", "D")
    assert not sent["curves"]
    assert sent["best"] is None
    assert "strength" not in json.dumps(sent)
    assert "style" not in json.dumps(sent)


def test_a_blind_wall_is_shuffled_and_stays_so() -> None:
    many = replace(WALL, blind=True, cells=tuple(WallCell(0, i, f"wall-7-{i}", "ready") for i in range(12)))
    order = [cell["key"] for cell in value(many)["cells"]]
    assert order != [cell.key for cell in many.cells]
    assert order == [cell["key"] for cell in value(replace(many, cells=many.cells[::-1]))["cells"]]


def test_two_blind_walls_are_shuffled_differently() -> None:
    orders = {
        tuple(cell["key"][-1] for cell in value(Wall(cells=tuple(WallCell(0, i, f"wall-{n}-{i}") for i in range(8)), blind=True))["cells"])
        for n in range(4)
    }
    assert len(orders) > 1


@pytest.mark.parametrize("state", ["waiting", "making"])
def test_the_order_of_making_tells_nothing_in_a_blind_wall(state: str) -> None:
    unfinished = (*CELLS[:3], replace(CELLS[3], state=state, video=None, detail="denoising 5/24"))
    sent = value(replace(WALL, blind=True, cells=unfinished))
    assert {(cell["state"], cell["video"], cell["detail"]) for cell in sent["cells"]} == {("waiting", None, "")}


def test_a_stopped_blind_wall_shows_what_was_made() -> None:
    stopped = (*CELLS[:3], replace(CELLS[3], state="stopped", video=None))
    sent = value(replace(WALL, blind=True, cells=stopped))
    assert sorted(cell["state"] for cell in sent["cells"]) == ["ready", "ready", "ready", "stopped"]


def test_letters_go_on_after_z() -> None:
    assert letters(28)[-3:] == ("Z", "AA", "AB")


def test_the_component_needs_no_other_host() -> None:
    wall = component("wall")
    for text in (wall.html_template, wall.css_template, wall.js_on_load):
        assert "//" not in text.replace("// ", "").replace("http://www.w3.org/2000/svg", "")


def test_the_templates_hold_nothing_that_gradio_would_replace() -> None:
    wall = component("wall")
    assert not any(mark in text for text in (wall.html_template, wall.css_template) for mark in ("{{", "${", "`", "\\"))
