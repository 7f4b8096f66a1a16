"""The LoRAs that are known by name are valid, for models that are known, and say where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import families
from pipelines.catalog import load_catalog
from pipelines.errors import CatalogError, InvalidInput
from pipelines.lora_catalog import LoraAdvice, advice_of, load_loras

MODELS = load_catalog()
LORAS = load_loras(MODELS)
WHOLE = '["a"]\ntitle = "A"\nhub = "a/b"\nfile = "c.safetensors"\nbases = ["wan-2.1-t2v-14b"]\n'


def test_each_is_for_models_that_take_its_sampler_and_saves_steps() -> None:
    for entry in LORAS.values():
        for base in (MODELS[name] for name in entry.bases):
            assert not entry.sampler or base.family == "animatediff"
            assert entry.steps is None or entry.steps < 20
            assert base.family in families.FAMILIES


def test_what_is_not_known_is_not_set() -> None:
    assert "steps" not in LORAS["causvid-wan-2.1-t2v-1.3b"].settings()
    assert LORAS["animatelcm"].settings() == {"steps": 6, "guidance_scale": 2.0, "sampler": "lcm", "lora_strength": 0.8}
    assert LORAS["animatelcm"].advice == LoraAdvice(steps=6, guidance_scale=2.0, sampler="lcm", strength=0.8)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("steps = 0", "steps"),
        ('sampler = "tea"', "no sampler 'tea'"),
        ("colour = 1", "colour"),
        ('name = "b"', r"\[a\]"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "loras.toml").write_text(f"{WHOLE}{line}\n")
    if line.startswith("name"):
        (tmp_path / "loras.toml").write_text(WHOLE.replace("wan-2.1-t2v-14b", "nothing"))
    with pytest.raises(CatalogError, match=said):
        load_loras(MODELS, tmp_path / "loras.toml")


@pytest.mark.parametrize(("values", "said"), [({"steps": 0}, "steps of the LoRA is 0"), ({"sampler": "tea"}, "no sampler 'tea'")])
def test_settings_of_one_s_own_are_refused_in_words(values: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        advice_of(values)
