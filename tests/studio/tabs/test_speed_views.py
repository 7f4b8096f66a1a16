"""The switches in a model's card, without a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.catalog import DescribedModel, describe
from pipelines.errors import InvalidInput
from pipelines.switches import refused
from studio.engine import Engine
from studio.model_here import ModelHere
from studio.tabs import model_views, speed_views
from studio.tabs.models import Desk
from studio.tabs.speed_views import SpeedShown

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
ONE = ModelHere(Path("/m/x"), "<x>", "folder", 1)


def shown(path: Path, **values: Any) -> str:
    return speed_views.section(ONE, SpeedShown(values, refused(path, "cpu"), True))


def control(html: str, name: str) -> str:
    found = re.search(rf'<(select|input) name="{name}"[^>]*>', html)
    assert found
    return found[0]


def test_what_it_can_have_is_a_choice_and_what_it_cannot_is_grey_with_the_reason(tiny_model: Path) -> None:
    html = shown(tiny_model)
    assert "disabled" not in control(html, "precision") + control(html, "compiled")
    assert all("disabled" in control(html, name) for name in ("weights", "cache", "threshold", "attention"))
    assert "Its network is not a row of transformer blocks." in html
    assert re.search(r'value="float16" disabled title="A CPU computes[^"]*"', html)
    assert "<x>" not in html


def test_what_is_chosen_is_shown_and_can_always_be_taken_off(tiny_model: Path) -> None:
    html = shown(tiny_model, compiled=True, weights="fp8")
    assert "checked" in control(html, "compiled")
    assert "disabled" not in control(html, "weights")
    assert 'value="fp8" selected>' in html


def test_a_card_says_which_switches_are_on_and_offers_none_where_models_are_fixed(tiny_model: Path) -> None:
    about = describe(tiny_model)
    assert isinstance(about, DescribedModel)
    card = model_views.model(ModelHere(tiny_model, "tiny", "folder", 1, about=about), {}, SpeedShown({"compiled": True}))
    assert "speed: compiled" in card
    assert "<summary>Speed</summary>" not in card


def test_the_values_of_a_form_are_fields_of_a_speed() -> None:
    sent = {"precision": "bfloat16", "weights": "", "cache": "taylor", "threshold": "0.2", "compiled": True, "sliced": False}
    assert speed_views.values_of(sent) == {"precision": "bfloat16", "cache": "taylor", "threshold": 0.2, "compiled": True}
    given = speed_views.values_of({"offload": "group", "tiled": True, "ratios": "1, 1.02"})
    assert given == {"offload": "group", "tiled": True, "ratios": (1.0, 1.02)}
    with pytest.raises(InvalidInput, match="'1, many'"):
        speed_views.values_of({"ratios": "1, many"})
    assert speed_views.values_of({"threshold": "0.2", "compiled": False}) == {}
    with pytest.raises(InvalidInput, match="'much'"):
        speed_views.values_of({"cache": "taylor", "threshold": "much"})


def test_the_tab_finds_out_beside_the_page_keeps_what_is_applied_and_says_what_is_refused(engine: Engine) -> None:
    import gradio as gr

    from studio.tabs import models

    with gr.Blocks(), gr.Tabs() as tabs, gr.Tab("Models") as tab:
        desk = Desk(models.render(tab, tabs, gr.Dropdown(), True), engine)
    first = desk.look({})
    assert speed_views.FINDING_OUT in first[desk.ui.here]
    assert first[desk.ui.clock].active
    engine.models._refusals.wait()
    assert 'data-do="speed"' in desk.look({})[desk.ui.here]

    def act(**values: Any) -> dict[Any, Any]:
        return desk.act({}, gr.EventData(None, {"do": "speed", "model": str(engine.settings.model_dir), "values": values}))

    kept = act(compiled=True)
    assert "Its next job runs with compiled." in kept[desk.ui.note]
    assert "speed: compiled" in kept[desk.ui.here]
    assert "not a row of transformer blocks" in act(cache="taylor")[desk.ui.note]
    assert engine.models.speeds.values(engine.settings.model_dir) == {"compiled": True}
