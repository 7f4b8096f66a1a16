"""Forms follow the model: its limits and defaults, what it cannot do greyed out with the reason; for every family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.engine import Engine
from studio.requests import ReferenceRequest, parse_request
from studio.settings import Settings
from studio.tabs import controls, model_choice
from tests.pipelines.directories import LAYOUTS, model_name, saved

TEXT = controls.Form(without=("tuned_model", "tuned_steps", "structure", "base_strength", "shows"))
REFERENCE = controls.Form(ReferenceRequest, "reference", without=())
FEATURES = {"negative_prompt": "negative_prompt", "sampler": "sampler", "width": "size", "lora": "lora", "guidance_scale": "guidance"}


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def studio(layout: str, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    """A studio that has the family's directory."""
    engine = Engine(Settings(data_dir=tmp_path_factory.mktemp("studio") / "outputs", model_dir=tiny_model, device="cpu"))
    engine.models.add(str(saved(layout)))
    yield engine
    engine.close()


def followed(engine: Engine, form: controls.Form, model: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """Field -> its control with a model."""
    return model_choice.follow(form, {name: name for name in form.names}, engine.chosen(model), engine, values)


def test_length_and_settings_are_the_model_s(studio: Engine, layout: str) -> None:
    chosen, made = studio.chosen(model_name(layout)), followed(studio, TEXT, model_name(layout))
    rule = chosen.capabilities.frames
    assert (made["frames"].maximum, made["frames"].step) == (rule.most, rule.step)
    rule.check(int(made["frames"].minimum))
    for name, value in chosen.settings().items():
        assert made[name].value == value, name


def test_what_it_cannot_do_is_greyed_out_with_its_reason(studio: Engine, layout: str) -> None:
    can, made = studio.chosen(model_name(layout)).capabilities, followed(studio, TEXT, model_name(layout))
    for name, feature in FEATURES.items():
        assert made[name].interactive == can.can(feature), name
        assert not can.cannot.get(feature) or made[name].info == can.cannot[feature]
    assert can.noise_warning in made["noise_kind"].info
    assert (made["domain_model"].interactive, made["domain_model"].info) == (False, model_choice.DOMAINS_ARE_OWN)


def test_the_models_that_can_be_its_prior_are_offered_or_the_reason_is_said(studio: Engine, layout: str) -> None:
    can, prior = studio.chosen(model_name(layout)).capabilities, followed(studio, TEXT, model_name(layout))["prior_model"]
    offered = [name for _, name in prior.choices]
    assert prior.interactive == (len(offered) > 1)
    assert model_name(layout) not in offered  # there is no LoRA to take off
    assert prior.interactive or prior.info in (model_choice.NO_PRIOR, can.cannot.get("composition"))


def test_the_form_s_values_are_a_request_that_the_model_takes(studio: Engine, layout: str) -> None:
    chosen = studio.chosen(model_name(layout))
    form = REFERENCE if chosen.capabilities.picture == "needed" else TEXT
    made = followed(studio, form, model_name(layout))
    kind = "reference" if form is REFERENCE else "text_to_video"
    values = {name: control.value for name, control in made.items()}
    request = parse_request({"kind": kind, "prompt": "a", "model": model_name(layout), **values})
    if kind == "text_to_video":
        assert studio.submit(request)


def test_back_to_the_studio_s_own_all_is_as_before(studio: Engine, layout: str) -> None:
    made = followed(studio, TEXT, "")
    assert {name: control.value for name, control in made.items() if name in TEXT.defaults} == {
        name: value for name, value in TEXT.defaults.items() if name in made
    }
    assert (made["frames"].minimum, made["frames"].maximum) == (1, 24)
    assert made["domain_model"].interactive


def test_a_picture_s_tab_says_what_only_the_studio_s_own_model_does(studio: Engine, layout: str) -> None:
    made = followed(studio, REFERENCE, model_name(layout))
    animated = studio.chosen(model_name(layout)).capabilities.picture != "none"
    assert made["reference_strength"].interactive != animated
    assert made["frames"].minimum >= min(2, made["frames"].maximum - made["frames"].step)
    assert not made["sharper"].interactive
