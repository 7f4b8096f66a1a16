"""What the tab of walls types, labels and shows, without a page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.domain_models import DomainModel, list_domain_models
from pipelines.errors import InvalidInput
from studio import media
from studio.cells import MadeCell
from studio.comparison import WallState
from studio.events import CellStep, Done, Event, Failed, Learning, Queued, Stopped
from studio.history import ClipRecord
from studio.requests import AXES, Axis, ComparisonRequest, DomainTrainingRequest, TextToVideoRequest, parse_request
from studio.settings import Settings
from studio.tabs import axes, example_walls, prior_strength, training_views, tuning_views, wall_views

BASE = TextToVideoRequest(prompt="a <b>red</b> ball", domain_model="sketch")
CLIP = ClipRecord("c1", "j1", Path("/data/a.mp4"), Path("/data/a.png"), BASE, datetime(2026, 1, 2, tzinfo=UTC), 64, 64)
REQUEST = ComparisonRequest(
    base=BASE,
    columns=Axis(field="prior_strength", values=(0.0, 0.5, "prior")),
    rows=Axis(field="seed", values=(1, 2)),
)
SKETCH = DomainModel(
    "sketch", "Sketch", "Pencil.", caption="pencil sketch", objects=("ball", "star"), backgrounds=("plain",), parameters=1_270_000
)
TRAINING = DomainTrainingRequest(name="Mine", clips="/clips")


def state(event: Event | None = None, request: ComparisonRequest = REQUEST, made: int = 2, picked: int | None = None) -> WallState:
    cells = {i: MadeCell(i, CLIP, {"style": 1.0, "content": 0.5, "consistency": 0.95}) for i in range(made)}
    return WallState("j1", request, event or Done("j1", (CLIP,)), cells, picked)


# -- What is typed ----------------------------------------------------------------------------------------------------


def test_strengths_stand_between_the_chosen_ends() -> None:
    assert axes.parse("prior_strength", " 0.1, 1;2\n3,", [axes.PRIOR, axes.ALONE]) == [0.0, "0.1", "1", "2", "3", "prior"]
    assert axes.parse("prior_strength", "0.1", []) == ["0.1"]


def test_edits_of_the_prompt_are_lines_and_may_contain_commas() -> None:
    assert axes.parse("prompt", "red -> blue\na star, at night\n") == ["red -> blue", "a star, at night"]


@pytest.mark.parametrize("name", [name for name in AXES if name not in ("prompt", "domain_model", "tuned_steps", "model")])
def test_usual_values_are_ones_that_a_request_takes(name: str) -> None:
    request = parse_request(
        {"kind": "comparison", "base": BASE.model_dump(), "columns": {"field": name, "values": axes.parse(name, axes.usual(name, ()))}}
    )
    assert isinstance(request, ComparisonRequest)
    assert len(request.cells()) >= 2


def test_what_was_typed_comes_back_from_a_wall() -> None:
    assert axes.as_text(REQUEST.columns) == ("0.5", [axes.ALONE, axes.PRIOR])
    assert axes.as_text(Axis(field="prompt", values=("a", "red -> blue"))) == ("a\nred -> blue", [])


def test_the_form_becomes_a_request() -> None:
    given = {**BASE.model_dump(), "columns_field": "seed", "columns": "1, 2", "rows_field": "", "rows": "9", "ends": [], "blind": True}
    request = parse_request(prior_strength.request_values(given))
    assert isinstance(request, ComparisonRequest)
    assert (request.columns.values, request.rows, request.blind, request.base) == ((1, 2), None, True, BASE)


# -- The wall ---------------------------------------------------------------------------------------------------------


def test_heads_are_in_words() -> None:
    shown = wall_views.wall_of(state())
    assert (shown.columns, shown.rows) == (("domain model alone", "0.5", "prior alone"), ("1", "2"))
    assert (shown.column_title, shown.row_title) == ("Prior strength", "Seed")
    assert shown.cells[1].label == "prior strength 0.5, seed 1"


def test_the_ends_of_a_model_s_prior_name_the_adapter() -> None:
    assert axes.labels(REQUEST.columns, adapter=True) == ("adapter alone", "0.5", "prior alone")
    assert [end for _, end in axes.ends(adapter=True)] == list(axes.ENDS)


def test_cells_say_how_far_they_are() -> None:
    event = CellStep("j1", 5, 24, Path("/data/p.webp"), 40.0, 1, 3, 6, cell=2)
    shown = wall_views.wall_of(state(event))
    assert [cell.state for cell in shown.cells] == ["ready", "ready", "making", "waiting", "waiting", "waiting"]
    assert (shown.cells[2].detail, shown.note) == ("denoising 5/24", "2 of 6 made, 40 s left")


def test_where_it_failed_is_said_and_the_rest_has_stopped() -> None:
    shown = wall_views.wall_of(state(Failed("j1", "No memory.")))
    assert [cell.state for cell in shown.cells[2:]] == ["failed", "stopped", "stopped", "stopped"]
    assert shown.cells[2].detail == "No memory."


def test_a_waiting_wall_says_its_place() -> None:
    assert wall_views.wall_of(state(Queued("j1", 2), made=0)).note == "number 2 in the queue"


def test_a_blind_wall_is_blind_until_a_pick() -> None:
    blind = REQUEST.model_copy(update={"blind": True})
    assert wall_views.wall_of(state(request=blind)).blind
    after = wall_views.wall_of(state(request=blind, picked=1))
    assert (after.blind, after.picked) == (False, wall_views.key("j1", 1))
    assert "CSV" not in wall_views.under(state(request=blind))


def test_an_earlier_wall_says_what_was_picked() -> None:
    assert "picked prior strength 0.5, seed 1" in wall_views.past([state(picked=1)], None)


def test_a_key_names_its_cell() -> None:
    assert wall_views.index_of(wall_views.key("abc-1", 23)) == 23


def test_readings_are_one_line() -> None:
    assert wall_views.readings(state().cells[0]) == "style yes · content 50 % · frame consistency 0.950"


def test_the_curves_and_the_best_column_come_with_the_wall() -> None:
    whole = wall_views.wall_of(state(made=6))
    assert [curve.name for curve in whole.curves] == ["Style", "Content", "Frame consistency"]
    assert whole.best == 0


def test_missing_clips_can_be_asked_for() -> None:
    assert "Make the missing 4 clips" in wall_views.under(state(Stopped("j1", ())))
    assert "missing" not in wall_views.under(state(made=6))


def test_what_varies_is_no_chip() -> None:
    html = wall_views.under(state())
    assert "domain model sketch" in html
    assert "seed" not in html
    assert "prior strength" not in html


@pytest.mark.parametrize("html", [wall_views.under(state()), wall_views.past([state()], None), wall_views.about(SKETCH)])
def test_what_people_type_is_never_markup(html: str) -> None:
    assert "<b>red" not in html


def test_a_preset_shows_what_the_domain_model_never_saw() -> None:
    assert example_walls.unseen_prompt(SKETCH) == "a big red fish moving right over green hills, pencil sketch"
    assert "strength-sketch" in wall_views.welcome([SKETCH])
    _, settings = example_walls.presets([replace(SKETCH, style="sketch")])["strength-sketch"]
    assert settings["prior_prompt"] == "a big red fish moving right over green hills"
    assert settings["rows_field"] == "strength_schedule"


def test_what_the_presets_show_was_made_with_what_they_put_into_the_form() -> None:
    for name, (_, values) in example_walls.presets(list_domain_models(Settings().model_dir / "adapters")).items():
        video = example_walls.clip_of(name)
        assert video is not None
        assert parse_request(media.read_metadata(video)["request"]) == example_walls.request_of(values)


def test_an_example_that_there_is_not_is_refused_by_name(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no example 'skethc'"):
        example_walls.make(tmp_path, tiny_model, ["skethc"])


def test_a_domain_model_of_ones_own_has_no_clips_yet() -> None:
    assert "<video" not in wall_views.preset_card("strength-mine", "Mine")


def test_the_edits_on_show_are_those_of_the_shipped_clip() -> None:
    video = example_walls.clip_of(example_walls.EDITS)
    assert video is not None
    assert parse_request(media.read_metadata(video)["request"]).columns == example_walls.EDITED
    assert "<span>red → blue</span>" in tuning_views.welcome()


# -- Training ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_drawn_and_said() -> None:
    event = Learning("j1", 1200, 0.4, ((0.0, 1.0), (1.0, 0.25), (2.0, 0.125)), None, 80.0, ("Cut to 64 x 64.",))
    html = training_views.live(TRAINING, event, None)
    for part in ("learning, step 1,200 · loss 0.125 · 1 min 20 s left", "<polyline", 'aria-valuenow="40"', "Cut to 64 x 64."):
        assert part in html


def test_a_stopped_training_can_go_on_and_a_finished_one_not() -> None:
    assert "Go on learning" in training_views.live(TRAINING, Stopped("j1", ()), SKETCH)
    assert "1,270,000 parameters" in training_views.live(TRAINING, Done("j1", ()), SKETCH)
    assert "Go on" not in training_views.live(TRAINING, Done("j1", ()), SKETCH)
    assert "Start again" in training_views.live(TRAINING, Stopped("j1", ()), None)
