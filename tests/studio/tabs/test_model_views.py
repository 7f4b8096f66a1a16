"""What the tab of models says, without a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.catalog import DescribedModel, describe, load_catalog
from studio.downloads import Progress
from studio.fetching import Fetch
from studio.models import ModelHere
from studio.tabs import model_views

CATALOG = load_catalog()


def test_a_download_says_size_speed_and_time_left() -> None:
    fetch = Fetch("a/b", progress=Progress(3_400_000_000, 19_800_000_000, 41_000_000, "x"))
    assert model_views.fetch_line(fetch) == "3.4 GB of 19.8 GB · 41 MB a second · 6 min 40 s left"


def test_before_the_hub_has_answered_no_number_is_made_up() -> None:
    assert model_views.fetch_line(Fetch("a/b")) == "asking the Hub what it consists of"


def test_what_is_not_known_of_a_licence_is_said_to_be_so() -> None:
    assert model_views.licence(None).count("not known") == 3
    assert "commercial use: forbidden" in model_views.licence(CATALOG["modelscope-1.7b"])


def test_every_entry_of_the_catalog_can_be_downloaded_but_not_offline() -> None:
    assert model_views.catalog(CATALOG, [], [], offline=False).count('data-do="download"') == len(CATALOG)
    assert model_views.catalog(CATALOG, [], [], offline=True).count("disabled") == len(CATALOG)


def test_what_cannot_be_used_says_why_and_can_be_deleted() -> None:
    one = ModelHere(Path("/m/<x>"), "<x>", "kept", 12, problem="It is <broken>.")
    shown = model_views.models([one], {}, [])
    assert "It is &lt;broken&gt;." in shown
    assert "<x>" not in shown
    assert 'data-confirm="Delete for good?"' in shown


def test_a_model_says_where_it_is_chosen_and_how_it_is_tuned(tiny_model: Path) -> None:
    about = describe(tiny_model)
    assert isinstance(about, DescribedModel)
    shown = model_views.model(ModelHere(tiny_model, "tiny", "folder", 1, about=about), {})
    assert "Choose it at the top of the page." in shown
    assert f"--model {tiny_model}" in shown
    other = replace(about, capabilities=replace(about.capabilities, cannot={"one_shot": "It cannot."}))
    assert "--model" not in model_views.model(ModelHere(tiny_model, "tiny", "folder", 1, about=other), {})
    assert "Choose it" not in model_views.model(ModelHere(tiny_model, "tiny", "studio", 1, about=about), {})


def test_a_module_names_the_base_that_it_needs() -> None:
    assert "needs Stable Diffusion 1.5 too" in model_views.catalog(CATALOG, [], [], offline=False)
