"""What is said of models and of LoRAs alike, as HTML: facts as chips, licences, where they are on the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipelines.catalog import CatalogEntry


def chips(facts: Sequence[str]) -> str:
    return f'<ul class="chips facts">{"".join(f"<li>{escape(fact)}</li>" for fact in facts if fact)}</ul>'


def count_text(count: int) -> str:
    """Parameters for people: '1.4 B', '860 M'."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.0f} M" if count >= 1e7 else f"{count:,}"


def page(hub: str, said: str) -> str:
    """A link to a repository on the Hub, in a tab of its own."""
    return f'<a href="https://huggingface.co/{escape(hub)}" target="_blank" rel="noopener">{escape(said)}</a>'


def licence(entry: CatalogEntry | None, hub: str = "") -> str:
    """What may be done with a model and what the Hub asks for before it gives it, as far as it is known.

    Args:
        hub: its repository, where the rest can be read; "" for a model that has none.
    """
    name, note, limited, gated = (entry.licence, entry.licence_note, entry.non_commercial, entry.gated) if entry else (None, "", None, None)
    rest = f": see {page(hub, 'its page')}" if hub else ""
    unsaid = f"commercial use{rest}" if name and rest and not note else ""
    said = [
        f"Licence: {escape(name)}" if name else f"Licence not known here{rest}",
        {True: '<span class="strong">no commercial use</span>', False: "commercial use allowed", None: unsaid}[limited],
        escape(note),
        {True: '<span class="strong">the Hub asks for consent and a token</span>', False: "no token asked for", None: ""}[gated],
    ]
    return f'<p class="line">{" · ".join(filter(None, said))}</p>'
