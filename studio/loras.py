"""The LoRA of a request: its file, what it weighs in a clip's metadata, and the model with it on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from pipelines.checkpoints import file_hash
from pipelines.errors import InvalidInput

from .choosing import Chosen

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
    if resident.speed and resident.speed.weights:
        happened = (
            f"The LoRA {request.lora!r} was chosen, and the weights of {chosen.title!r} are kept in 8 bits ({resident.speed.weights})."
        )
        raise InvalidInput(happened, "Switch that off in the tab of models, under Speed, or leave the LoRA out.")
    return _on(resident, request, chosen, bench)


@contextmanager
def _on(resident: Resident, request: Drawn, chosen: Chosen, bench: Bench) -> Iterator[None]:
    from pipelines.families.loras import with_lora

    with with_lora(resident.pipe, bench.choosing.lora(request.lora, chosen), request.lora_strength):
        yield
