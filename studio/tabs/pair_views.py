"""What the card of a motion module, or of a model that one could move, says of its other half, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipelines.catalog import Catalog, CatalogEntry, DescribedModel

from ..model_here import ModelHere
from .views import button

BASE, MODULE = "stable-diffusion-1.5", "animatediff-v1-5-3"  # of the catalog, for what is not in it itself
NO_BASE = "A motion module alone: it moves a model of Stable Diffusion 1.x, and none that fits is here."
NO_MODULE = "It makes pictures; with a motion module they move."


def lacking(here: Sequence[ModelHere], catalog: Catalog, busy: Sequence[str], downloads: bool) -> dict[str, str]:
    """Name of a model here -> what is said of its other half; models that have nothing to do with it are not named.

    Args:
        here: all that is on this machine.
        catalog: what could be downloaded.
        busy: repositories that are on their way.
        downloads: whether the page may download.
    """
    found: dict[str, str] = {}
    for one in here:
        own = [other.title for other in here if other.pair and one.path in other.pair]
        name = one.entry.name if one.entry else ""
        if own:
            other = "the model that it moves" if one.alone else "a motion module"
            found[one.name] = f'<p class="line">With {other}, at the top of the page: {escape(", ".join(own))}.</p>'
        elif one.alone and isinstance(one.about, DescribedModel):
            wanted = catalog[(one.entry and one.entry.base) or BASE]
            found[one.name] = f'<p class="line">{NO_BASE}</p>{_offer(wanted, busy, downloads)}'
        elif name == BASE and one.about and not one.pair:
            found[one.name] = f'<p class="line">{NO_MODULE}</p>{_offer(catalog[MODULE], busy, downloads)}'
    return found


def _offer(entry: CatalogEntry, busy: Sequence[str], downloads: bool) -> str:
    if entry.hub in busy:
        return f'<p class="line">{escape(entry.title)} is on its way.</p>'
    if not downloads:
        return f'<p class="line">{escape(entry.title)} would be one.</p>'
    return f'<div class="actions">{button(f"Download {entry.title}", "download", model=entry.name)}</div>'
