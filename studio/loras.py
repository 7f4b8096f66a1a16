"""The LoRA of a request: its file, what it weighs in a clip's metadata, and the model with it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.checkpoints import file_hash
from pipelines.errors import InvalidInput

from .choosing import Chosen
from .speeds import SWITCH_OFF, why_no_lora

if TYPE_CHECKING:
    from .ability import Drawn
    from .making import Bench
    from .places import Resident


def lora_weights(request: Drawn, chosen: Chosen, bench: Bench) -> dict[str, str]:
    """The LoRA's file -> its hash; empty where the request names none."""
    if not request.lora:
        return {}
    return {f"lora/{request.lora}": file_hash(bench.choosing.lora(request.lora, chosen))}


def with_lora_of(request: Drawn, resident: Resident, chosen: Chosen, bench: Bench) -> AbstractContextManager[None]:
    """The model with the request's LoRA on, until the end of the `with`.

    Raises:
        IncompatibleModels: when it was trained on another base.
        InvalidInput: when the model's weights are in 8 bits, in which a LoRA would be as well, and nothing can be computed.
    """
    if not request.lora:
        return nullcontext()
    check_whole(request.lora, chosen, asdict(resident.speed) if resident.speed else {})
    return _on(resident, request, chosen, bench)


def check_whole(lora: str, chosen: Chosen, values: Mapping[str, Any]) -> None:
    """Raises InvalidInput where the switches of the model leave no room for a LoRA."""
    if why := why_no_lora(values):
        raise InvalidInput(f"The LoRA {lora!r} was chosen for {chosen.title!r}. {why}", f"{SWITCH_OFF[:-1]}, or leave the LoRA out.")


@contextmanager
def _on(resident: Resident, request: Drawn, chosen: Chosen, bench: Bench) -> Iterator[None]:
    from pipelines.families.loras import with_lora

    with with_lora(resident.pipe, bench.choosing.lora(request.lora, chosen), request.lora_strength):
        yield
