"""A LoRA brings the settings it was made for: from the catalog or from a person's hand, set where it is chosen, undone where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput
from studio.engine import Engine
from studio.model_here import ModelHere
from studio.tabs import lora_choice, lora_views
from studio.tabs.lora_views import LoraShown
from tests.pipelines.directories import save
from tests.studio.test_models import lora

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
GIVEN = {"steps": 4, "guidance_scale": 1.5, "sampler": "lcm", "strength": 0.8}
USUAL = {"steps": 50, "guidance_scale": 7.5, "sampler": "ddim", "lora_strength": 1.0}
ADVICE = {"steps": 4, "guidance_scale": 1.5, "sampler": "lcm", "lora_strength": 0.8}


@pytest.fixture
def look(engine: Engine, tmp_path: Path) -> ModelHere:
    return engine.models.add_lora(lora(tmp_path / "look.safetensors"))


def test_what_a_person_gives_is_kept_and_what_a_model_does_not_take_is_left_out(engine: Engine, look: ModelHere, tmp_path: Path) -> None:
    engine.models.add(str(save("wan", tmp_path / "wan")))
    engine.models.add(str(save("animatediff", tmp_path / "animated")))
    choosing = engine.bench.choosing
    assert choosing.advised("look.safetensors", engine.chosen("wan")) == {}
    engine.models.set_advice(look.name, GIVEN)
    assert choosing.advised("look.safetensors", engine.chosen("animated")) == ADVICE
    assert "sampler" not in choosing.advised("look.safetensors", engine.chosen("wan"))
    asked = engine.completed({"model": "animated", "lora": "look.safetensors", "steps": 9})
    assert (asked["steps"], asked["guidance_scale"], asked["sampler"]) == (9, 1.5, "lcm")
    engine.models.set_advice(look.name, {})
    assert choosing.advised("look.safetensors", engine.chosen("animated")) == {}


def test_a_lora_of_the_catalog_is_known_by_its_file(engine: Engine) -> None:
    from studio.model_files import StoredModel

    folder = Path("/m/models/Kijai--WanVideo_comfy")
    entry = engine.models.loras["lightx2v-wan-2.1-i2v-14b"]
    stored = StoredModel(entry.hub, "main", folder, 1, 1, True)
    assert engine.models.advice(ModelHere(folder / entry.file, "x", "hub", 1, stored=stored)) == entry.advice
    assert engine.models.advice(ModelHere(folder / "other.safetensors", "x", "hub", 1, stored=stored)).settings() == {}


def test_chosen_it_sets_taken_off_it_restores_and_what_was_changed_by_hand_stays() -> None:
    now = USUAL | {"steps": 30}
    settings, worn = lora_choice.changed(ADVICE, lora_choice.worn({}), now, USUAL)
    assert settings == ADVICE
    by_hand = ADVICE | {"guidance_scale": 3.0}
    settings, worn = lora_choice.changed({}, worn, by_hand, USUAL)
    assert by_hand | settings == USUAL | {"steps": 30, "guidance_scale": 3.0}
    assert worn == lora_choice.worn({})


def test_from_one_lora_to_the_next_what_only_the_first_wanted_is_restored() -> None:
    _, worn = lora_choice.changed(ADVICE, lora_choice.worn({}), USUAL, USUAL)
    settings, worn = lora_choice.changed({"steps": 8}, worn, ADVICE, USUAL)
    assert ADVICE | settings == USUAL | {"steps": 8}
    assert lora_choice.changed({}, worn, USUAL | {"steps": 8}, USUAL)[0] == {"steps": 50}


def test_of_a_form_that_came_with_a_lora_the_model_s_own_settings_are_restored() -> None:
    assert lora_choice.changed({}, lora_choice.worn(ADVICE), ADVICE, USUAL)[0] == USUAL


def test_the_card_has_a_form_and_says_what_is_set(look: ModelHere, engine: Engine) -> None:
    advice = engine.models.set_advice(look.name, GIVEN)
    html = lora_views.about(look, look.about, {}, LoraShown(advice, True))  # type: ignore[arg-type]
    assert "for 4 steps, guidance 1.5, sampler LCM, strength 0.8" in html
    assert 'name="steps" type="number" min="1" max="200" step="1" value="4"' in html
    assert 'value="lcm" selected' in html
    assert "data-form" not in lora_views.about(look, look.about, {}, LoraShown(advice))  # type: ignore[arg-type]


def test_the_values_of_a_card_are_settings_or_refused_in_words() -> None:
    sent: dict[str, Any] = {"steps": "4", "guidance_scale": "1.5", "strength": "", "sampler": "lcm"}
    assert lora_views.values_of(sent) == {"steps": 4, "guidance_scale": 1.5, "sampler": "lcm"}
    with pytest.raises(InvalidInput, match=r"Steps is '4\.5'"):
        lora_views.values_of({"steps": "4.5"})
