"""Requests: what is accepted, what is refused in one sentence, and that they survive as JSON."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from pipelines.defaults import GenerationDefaults
from pipelines.errors import InvalidInput
from studio.requests import (
    Axis,
    ComparisonRequest,
    Composition,
    DomainTrainingRequest,
    NoiseKind,
    StrengthSchedule,
    TextToVideoRequest,
    parse_request,
    parse_text_to_video,
)
from studio.settings import ROOT


def test_a_request_survives_json_exactly() -> None:
    request = TextToVideoRequest(prompt="a red ball 🎈 “moving”", seed=2**32 - 1, fps=7.3, noise_alpha=0.1, variations=3)
    assert parse_request(request.model_dump_json()) == request


def test_variations_count_seeds_up_and_around() -> None:
    assert TextToVideoRequest(prompt="a", seed=2**32 - 1, variations=3).seeds == (2**32 - 1, 0, 1)


def test_one_variation_of_a_request_asks_for_itself_alone() -> None:
    one = TextToVideoRequest(prompt="a", seed=5, variations=4).variation(7)
    assert (one.seed, one.variations, one.prompt) == (7, 1, "a")


def test_line_breaks_and_tabs_in_a_prompt_become_spaces() -> None:
    assert TextToVideoRequest(prompt=" a red\r\nball\tmoving \n").prompt == "a red ball moving"


@pytest.mark.parametrize("prompt", ["🐙", "ein roter Ball", "a red ball 👨‍👩‍👧", "赤いボール", "x" * 2000])
def test_any_visible_text_is_a_prompt(prompt: str) -> None:
    assert TextToVideoRequest(prompt=prompt).prompt == prompt


KINDS = "Choose one of text_to_video, comparison, edits, domain_training, one_shot_tuning, reference, finishing, measuring."
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "The prompt is empty. Say in a few words what the video should show."),
    ({"prompt": " \n "}, "The prompt is empty. Say in a few words what the video should show."),
    ({"prompt": "\u200b\ufeff"}, "The prompt is empty. Say in a few words what the video should show."),
    ({"prompt": "x" * 10_000}, "The prompt has 10,000 characters. Use at most 2,000."),
    ({"negative_prompt": "x" * 10_000}, "The negative prompt has 10,000 characters. Use at most 2,000."),
    ({"prompt": "a\x07ball"}, "The prompt cannot be used: it contains the control character U+0007 (BEL). Remove that character."),
    ({"prompt": "a\x00"}, "The prompt cannot be used: it contains the control character U+0000 (NUL). Remove that character."),
    ({"prompt": "a\ud800"}, "The prompt cannot be used: it contains the unpaired surrogate U+D800. Remove that character."),
    ({"prompt": 3}, "The value of prompt is 3. It should be a valid string."),
    ({"seed": -1}, "The value of seed is -1. It should be greater than or equal to 0."),
    ({"seed": 2**32}, "The value of seed is 4294967296. It should be less than or equal to 4294967295."),
    ({"seed": "abc"}, "The value of seed is 'abc'. It should be a valid integer, unable to parse string as an integer."),
    ({"frames": 513}, "The value of frames is 513. It should be less than or equal to 512."),
    ({"width": -8}, "The value of width is -8. It should be greater than or equal to 0."),
    ({"lora_strength": 3}, "The value of lora strength is 3. It should be less than or equal to 2."),
    ({"steps": 1.5}, "The value of steps is 1.5. It should be a valid integer, got a number with a fractional part."),
    ({"fps": float("nan")}, "The value of fps is nan. It should be a finite number."),
    ({"guidance_scale": float("inf")}, "The value of guidance scale is inf. It should be a finite number."),
    ({"noise_kind": "pink"}, "The value of noise kind is 'pink'. Choose 'independent', 'mixed' or 'progressive'."),
    ({"sampler": "magic"}, "The value of sampler is 'magic'. Choose one of ddim, dpm++, unipc, ddpm, dpm++ sde, lcm, ddim trailing."),
    ({"variations": 5}, "The value of variations is 5. It should be less than or equal to 4."),
    ({"colour": "red"}, "There is no setting 'colour' (its value was 'red'). Leave it out."),
    ({"kind": "upscale"}, f"There is no kind of job 'upscale'. {KINDS}"),
    ({"kind": ["a"]}, f"There is no kind of job ['a']. {KINDS}"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_bad_value_is_named_with_what_to_do(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_request({"prompt": "a red ball", **values})
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("text", ["", "{", "[]", "3", b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="The settings are"):
        parse_request(text)


def test_a_missing_prompt_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"The prompt is missing\."):
        parse_request({})


def test_every_field_has_a_title_and_one_sentence_of_help() -> None:
    for name, field in TextToVideoRequest.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert field.description.endswith("."), name


def test_noise_kinds_are_those_of_the_pipelines() -> None:
    from pipelines.noise import KINDS

    assert get_args(NoiseKind) == KINDS


def test_ways_of_composing_are_those_of_the_pipelines() -> None:
    from pipelines.composition import Mode
    from pipelines.strengths import SCHEDULES

    assert (get_args(Composition), get_args(StrengthSchedule)) == (get_args(Mode), tuple(SCHEDULES))


def test_defaults_are_the_pocket_models() -> None:
    index = ROOT / "assets" / "pocket" / "model_index.json"
    assert index.exists(), "the repository ships the pocket model"
    pocket = GenerationDefaults.from_dict(json.loads(index.read_text())["generation"])
    request = TextToVideoRequest(prompt="a")
    assert (request.frames, request.fps, request.steps) == (pocket.num_frames, pocket.fps, pocket.num_inference_steps)
    assert (request.guidance_scale, request.sampler) == (pocket.guidance_scale, pocket.sampler)
    assert (request.noise_kind, request.noise_alpha) == (pocket.noise_kind, pocket.noise_alpha)


# -- Walls --------------------------------------------------------------------------------------------------------------

BASE = {"prompt": "a red ball", "domain_model": "sketch"}
STRENGTHS = {"field": "prior_strength", "values": [0, 0.5, "prior"]}


def wall(**changes: Any) -> ComparisonRequest:
    request = parse_request({"kind": "comparison", "base": BASE, "columns": STRENGTHS, **changes})
    assert isinstance(request, ComparisonRequest)
    return request


def test_a_wall_survives_json_exactly() -> None:
    request = wall(rows={"field": "prompt", "values": ["red -> blue", "a star"]}, blind=True)
    assert parse_request(request.model_dump_json()) == request


def test_a_clip_of_an_earlier_version_still_has_its_settings() -> None:
    assert parse_text_to_video('{"kind": "text_to_video", "prompt": "a", "seed": 3}') == TextToVideoRequest(prompt="a", seed=3)


def test_cells_go_row_by_row_and_each_is_an_ordinary_request() -> None:
    cells = wall(rows={"field": "seed", "values": [4, 5]}).cells()
    assert [(cell.row, cell.column) for cell in cells] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert cells[4].request == TextToVideoRequest(prompt="a red ball", seed=5, domain_model="sketch", prior_strength=0.5)


def test_the_prior_alone_is_a_request_without_a_domain_model() -> None:
    last = wall(base={**BASE, "langevin_steps": 3}).cells()[-1]
    assert last.request == TextToVideoRequest(prompt="a red ball")
    assert last.domain_model == "sketch"


def test_an_edit_replaces_words_of_the_prompt_and_anything_else_is_a_prompt() -> None:
    cells = wall(columns={"field": "prompt", "values": ["Red -> blue", "a green star"]}).cells()
    assert [cell.request.prompt for cell in cells] == ["a blue ball", "a green star"]


def test_a_cell_is_one_video_whatever_the_base_asks_for() -> None:
    assert {cell.request.variations for cell in wall(base={**BASE, "variations": 3}).cells()} == {1}


def strengths(*values: Any) -> dict[str, Any]:
    return {"columns": {"field": "prior_strength", "values": list(values)}}


REFUSED_WALLS: list[tuple[dict[str, Any], str]] = [
    (strengths(-1), "The value of prior strength is -1. It should be greater than or equal to 0."),
    (strengths(11), "The value of prior strength is 11. It should be less than or equal to 10."),
    (strengths(float("nan")), "The value of prior strength is nan. It should be a finite number."),
    (strengths("much"), "The value of prior strength is 'much'. It should be a valid number, unable to parse string as a number."),
    (strengths(0.5, "0.50"), "The prior strength 0.5 is given twice. Leave one of them out."),
    (strengths("prior", "prior"), "The prior strength 'prior' is given twice. Leave one of them out."),
    (strengths(*range(100)), "100 values of prior strength were given. Give at most 24."),
    (strengths(), "The values of prior strength are []. Give a list of one or more."),
    ({"base": {"prompt": " "}}, "The prompt is empty. Say in a few words what the video should show."),
    ({"base": {"prompt": "a"}}, "The prior strength is varied without a domain model or a prior. Choose one, or vary another setting."),
    ({"rows": STRENGTHS}, "Columns and rows both vary the prior strength. Choose another setting for the rows."),
    (
        {"columns": {"field": "seed", "values": list(range(10))}, "rows": {"field": "steps", "values": list(range(1, 9))}},
        "The wall would have 10 x 8 = 80 clips. Ask for at most 64.",
    ),
    (
        {"columns": {"field": "prompt", "values": ["green -> blue"]}},
        "The prompt does not contain 'green'. Name words of the prompt before the arrow, as in 'red -> blue'.",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED_WALLS)
def test_a_bad_wall_is_refused_with_what_to_do(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        wall(**changes)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("request_type", [ComparisonRequest, DomainTrainingRequest, Axis])
def test_every_field_of_the_other_kinds_has_a_title_and_help(request_type: type[Any]) -> None:
    assert all(field.title and field.description and field.description.endswith(".") for field in request_type.model_fields.values())
