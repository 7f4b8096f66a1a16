"""Room for a job: its need is estimated before it starts, and where memory runs out all the same, it is made once more in a cheaper form.

room = Room(path, resident.pipe, job, available)     # refuses in words what does not fit in any form
frames = room.run(lambda note: ...)                  # `note` says what was done about memory, "" where nothing was
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from pipelines.errors import OutOfMemory
from pipelines.memory import RUNTIME, Form, Job, first_that_fits, forms, model_of

if TYPE_CHECKING:
    from pipelines.text_to_video import TextToVideoPipeline

T = TypeVar("T")
log = logging.getLogger(__name__)


class Room:
    """The forms in which a job can be made on a device, the best first.

    Args:
        path: folder of the model.
        pipe: the model, loaded.
        job: its size.
        available: bytes that the device has for the model and the job together.

    Raises:
        OutOfMemory: when no form fits, with what the cheapest needs.
    """

    def __init__(self, path: Path, pipe: TextToVideoPipeline, job: Job, available: int) -> None:
        model, half = model_of(path), pipe.unet.dtype.itemsize == 2
        can_tile = hasattr(pipe.vae, "enable_tiling")
        offered = [form for form in forms(model, job, half) if self._possible(form, can_tile, half)]
        first = first_that_fits(model, job, available, half, offered=offered)
        self.pipe = pipe
        self.forms = offered[offered.index(first) :]
        self.notes = [""] if first is offered[0] else [f"{first.title}, for want of memory"]
        self.notes += [f"memory ran out: made again, {form.title}" for form in self.forms[1:]]

    def run(self, make: Callable[[str], T]) -> T:
        """What `make` gives; where memory runs out, it is freed, and `make` is called once more, in the next cheaper form.

        Args:
            make: takes what to say of it.

        Raises:
            OutOfMemory: when it ran out in the last form that there is.
        """
        try:
            with applied(self.pipe, self.forms[0]):
                return make(self.notes[0])
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error) or len(self.forms) == 1:
                raise
            log.warning("memory ran out (%s); once more, %s", str(error).splitlines()[:1], self.forms[1].title)
        # Outside the handler: what was computed hangs on the error, and goes with it.
        free()
        with applied(self.pipe, self.forms[1]):
            return make(self.notes[1])

    @staticmethod
    def _possible(form: Form, can_tile: bool, half: bool) -> bool:
        return form.offload == "none" and not form.weight_bytes and (can_tile or not form.tiled) and (form.bytes == 2) == half


@contextmanager
def applied(pipe: TextToVideoPipeline, form: Form) -> Iterator[None]:
    """The pipeline in that form until the end of the `with`."""
    if not form.tiled:
        yield
        return
    pipe.vae.enable_tiling()
    pipe.vae.enable_slicing()  # frames one by one: the same pixels
    try:
        yield
    finally:
        pipe.vae.disable_tiling()
        pipe.vae.disable_slicing()


def ran_out(error: BaseException) -> bool:
    """Whether an error, of whichever library, means that there was too little memory."""
    if isinstance(error, OutOfMemory):
        return False  # was explained already
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error)


def available_bytes(device: str, held: int) -> int:
    """What a device has for a model and a job on it.

    Args:
        device: "cpu", "cuda:0" ...
        held: bytes that the model has already.
    """
    import torch

    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) + RUNTIME  # what is reserved, and the context, are this process's own
    return psutil.virtual_memory().available + held + RUNTIME  # without a GPU there is no context to pay for


def free() -> None:
    """Gives back what nothing holds any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
