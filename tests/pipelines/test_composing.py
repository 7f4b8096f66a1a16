"""Two loaded models of every family as one, under the studio's common call: each is told the text by its own pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pipelines import families
from pipelines.composition import ComposedDenoiser
from pipelines.composition import Path as NoisePath
from pipelines.errors import InvalidInput
from pipelines.families.composing import calls_once, network_of, own_inputs, standing
from tests.pipelines.directories import LAYOUTS, saved

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
SINGLE = ("wan, two experts", "ltx-2", "kandinsky-5", "latte")  # which say that they cannot be composed
TEXT = [name for name, layout in LAYOUTS.items() if not layout.picture and name not in SINGLE]
PROMPT = "a red ball moving left"


@pytest.fixture(scope="module", params=TEXT)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> Any:
    loaded = families.load(saved(name))
    loaded.set_progress_bar_config(disable=True)
    return loaded


def make(model: Any, name: str, guidance_scale: float) -> np.ndarray:
    source = torch.Generator().manual_seed(1)
    return model(PROMPT, num_inference_steps=2, guidance_scale=guidance_scale, generator=source, **LAYOUTS[name].order).frames


def composed(model: Any, name: str, strength: float, guidance_scale: float) -> np.ndarray:
    """The model as its own prior."""
    path, network = NoisePath.of(model.scheduler), network_of(model)
    told, guided = own_inputs(model, PROMPT, **LAYOUTS[name].order), guidance_scale > 1 and calls_once(model)
    options = {"adapter_path": path, "prior_path": path, "prior_inputs": told, "guided": guided}
    with standing(model, ComposedDenoiser(network, network, strength, **options)) as mixed:
        return make(mixed, name, guidance_scale)


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_a_model_that_is_its_own_prior_is_itself(model: Any, name: str, guidance_scale: float) -> None:
    own = network_of(model)
    difference = np.abs(composed(model, name, 0.7, guidance_scale) - make(model, name, guidance_scale))
    assert difference.max() < 0.01  # some compute in half precision, where a batch of another size rounds in another way
    assert network_of(model) is own


def test_strength_zero_is_bit_for_bit_the_model_alone(model: Any, name: str) -> None:
    assert (composed(model, name, 0.0, 3.0) == make(model, name, 3.0)).all()


def test_what_a_model_is_told_is_its_text_and_asks_no_network(model: Any, name: str) -> None:
    asked: list[int] = []
    handle = network_of(model).register_forward_pre_hook(lambda *_: asked.append(1))
    mine, other = (own_inputs(model, words, **LAYOUTS[name].order) for words in (PROMPT, "a blue star over the sea"))
    handle.remove()
    assert not asked
    assert not torch.equal(mine["encoder_hidden_states"], other["encoder_hidden_states"])


@pytest.mark.parametrize("single", SINGLE)
def test_a_family_that_cannot_be_composed_says_why(single: str) -> None:
    model: Any = families.load(saved(single))
    with pytest.raises(InvalidInput, match="composition"):
        own_inputs(model, PROMPT, **LAYOUTS[single].order)
