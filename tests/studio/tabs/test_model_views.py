"""What the tab of models says, without a page."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.catalog import Catalog, CatalogEntry, DescribedModel, describe, load_catalog
from studio.downloads import Progress
from studio.fetching import Fetch
from studio.model_here import ModelHere
from studio.tabs import model_views

CATALOG = load_catalog()


def test_a_download_says_size_speed_and_time_left() -> None:
    fetch = Fetch("a/b", progress=Progress(3_400_000_000, 19_800_000_000, 41_000_000, "x"))
    assert model_views.fetch_line(fetch) == "3.4 GB of 19.8 GB · 41 MB a second · 6 min 40 s left"


def test_before_the_hub_has_answered_no_number_is_made_up() -> None:
    assert model_views.fetch_line(Fetch("a/b")) == "asking the Hub what it consists of"


def told(entry: CatalogEntry | None, hub: str = "a/b") -> str:
    return re.sub(r"<[^>]+>", "", model_views.licence(entry, hub))


def test_what_may_be_done_with_a_model_is_told_in_one_short_line() -> None:
    wan = CATALOG["wan-2.1-t2v-1.3b"]
    assert told(wan) == "Licence: Apache-2.0 · commercial use allowed"
    assert told(CATALOG["svd"]) == "Licence: stable-video-diffusion-community · commercial use: see its page"
    assert told(CATALOG["cogvideox-5b"]) == "Licence: CogVideoX · commercial use only after registering with the authors"
    assert told(wan.model_copy(update={"gated": True})).endswith("commercial use allowed · the Hub asks for consent and a token")


def test_what_a_licence_forbids_stands_out() -> None:
    assert '<span class="strong">no commercial use</span>' in model_views.licence(CATALOG["modelscope-1.7b"], "a/b")


def test_a_licence_that_is_not_known_is_looked_up_on_the_hub_where_the_model_is_from_there() -> None:
    assert told(None) == "Licence not known here: see its page"
    assert told(None, "") == "Licence not known here"
    link = '<a href="https://huggingface.co/a/b" target="_blank" rel="noopener">its page</a>'
    assert link in model_views.licence(None, "a/b")


def test_every_entry_leads_to_its_page_on_the_hub_and_says_nothing_that_is_not_known() -> None:
    shown = model_views.catalog(CATALOG, [], [], offline=False)
    assert all(model_views.page(entry.hub, entry.hub) in shown for entry in CATALOG.values())
    bare = CatalogEntry(name="a", title="A", hub="a/b", family="wan", roles=("prior",), latent_group="g")
    shown = model_views.catalog(Catalog({"a": bare}), [], [], offline=False)
    assert "memory" not in shown
    assert "parameters" not in shown


def test_every_entry_of_the_catalog_can_be_downloaded_but_not_offline() -> None:
    assert model_views.catalog(CATALOG, [], [], offline=False).count('data-do="download"') == len(CATALOG)
    assert model_views.catalog(CATALOG, [], [], offline=True).count("disabled") == len(CATALOG)


def test_what_cannot_be_used_says_why_and_can_be_deleted() -> None:
    one = ModelHere(Path("/m/<x>"), "<x>", "kept", 12, problem="It is <broken>.")
    shown = model_views.models([one], {}, [])
    assert "It is &lt;broken&gt;." in shown
    assert "<x>" not in shown
    assert 'data-confirm="Delete for good?"' in shown


def test_what_makes_clips_has_a_button_that_chooses_it(tiny_model: Path) -> None:
    about = describe(tiny_model)
    assert isinstance(about, DescribedModel)
    assert 'data-do="choose"' in model_views.model(ModelHere(tiny_model, "tiny", "folder", 1, about=about), {})
    assert 'data-do="choose"' not in model_views.model(ModelHere(tiny_model, "tiny", "kept", 1, total=2, about=about), {})


def test_a_module_names_the_base_that_it_needs() -> None:
    assert "Needs Stable Diffusion 1.5 too" in model_views.catalog(CATALOG, [], [], offline=False)
