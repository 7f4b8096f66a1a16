"""Room for a job: its need is estimated before it starts, and where memory runs out all the same, it is made once more in a cheaper form.

room = Room(path, resident.pipe, job, available)     # refuses in words what does not fit in any form
frames = room.run(lambda note: ...)                  # `note` says what was done about memory, "" where nothing was
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from pipelines.errors import DeviceLost, OutOfMemory
from pipelines.memory import AS_IT_IS, RUNTIME, Form, Job, first_that_fits, forms, model_of

from .parts import bytes_of, parts_of

T = TypeVar("T")
log = logging.getLogger(__name__)

# What CUDA, HIP and their drivers say of a GPU that answers this process no more.
LOST = (
    "device-side assert",
    "unspecified launch failure",
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "launch timed out",
    "device lost",
    "gpu is lost",
    "fallen off the bus",
    "uncorrectable ecc error",
    "hardware stack error",
    "cuda error: unknown error",
    "cuda error: all cuda-capable devices are busy or unavailable",
)


class Room:
    """The forms in which a job can be made on a device, the best first.

    Args:
        path: folder of the model.
        model: the model, loaded: on the device, or waiting on the CPU where it does not fit as a whole.
        job: its size.
        available: bytes that the device has for the model and the job together.
        device: to compute on; None is where the model is.
        chosen: what the model's switches say of every job; the other forms start from it.

    Raises:
        OutOfMemory: when no form fits, with what the cheapest needs.
    """

    def __init__(self, path: Path, model: Any, job: Job, available: int, device: str | None = None, chosen: Form = AS_IT_IS) -> None:
        from pipelines.forms import denoisers, device_of, possible

        self.model, self.device = model, device_of(model, device)
        sizes, half = model_of(path), denoisers(model)[0].dtype.itemsize == 2
        # Fewer frames are offered in words, where nothing else fits: nobody's video is made shorter unasked.
        offered = [form for form in forms(sizes, job, half, chosen) if not form.frames]
        # What waits there already takes no room once more.
        host: int | None = psutil.virtual_memory().available + bytes_of(one for one in parts_of(model).values() if _waits(one))
        if self.device.type == "cpu":  # where all parts are in the machine's own memory, whatever their turn
            offered, host = [form for form in offered if form.offload == "none"], None
        offered = [form for form in offered if not possible(model, form)]  # asked last: it walks through the whole model
        first = first_that_fits(sizes, job, available, half, host, offered)
        self.forms = offered[offered.index(first) :]
        self.notes = [""] if first is offered[0] else [f"{first.title}, for want of memory"]
        self.notes += [f"memory ran out: made again, {form.title}" for form in self.forms[1:]]

    def run(self, make: Callable[[str], T]) -> T:
        """What `make` gives; where memory runs out, it is freed, and `make` is called once more, in the next cheaper form.

        Args:
            make: takes what to say of it.

        Raises:
            OutOfMemory: when it ran out in the last form that there is.
            DeviceLost: when the GPU failed.
        """
        from pipelines.forms import applied

        try:
            with applied(self.model, self.forms[0], self.device):
                return make(self.notes[0])
        except (RuntimeError, MemoryError) as error:
            if explained := lost(error):
                raise explained from error
            if not ran_out(error) or len(self.forms) == 1:
                raise
            log.warning("memory ran out (%s); once more, %s", str(error).splitlines()[:1], self.forms[1].title)
        # Outside the handler: what was computed hangs on the error, and goes with it.
        free()
        try:
            with applied(self.model, self.forms[1], self.device):
                return make(self.notes[1])
        except RuntimeError as error:
            if explained := lost(error):
                raise explained from error
            raise


def _waits(part: Any) -> bool:
    """Whether a part of a model is in the machine's own memory."""
    return all(parameter.device.type == "cpu" for parameter in part.parameters())


def ran_out(error: BaseException) -> bool:
    """Whether an error, of whichever library, means that there was too little memory."""
    if isinstance(error, OutOfMemory):
        return False  # was explained already
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error)


def lost(error: BaseException) -> DeviceLost | None:
    """What to say where an error means that the GPU itself failed; None where it means something else.

    Whoever holds models on that GPU drops them: their weights cannot be read any more.
    """
    said = str(error).lower()
    if not isinstance(error, RuntimeError) or not (sign := next((sign for sign in LOST if sign in said), "")):
        return None
    reason = sign.removeprefix("cuda error: ")
    return DeviceLost(f"The GPU failed in the middle of this job ({reason}).", "Run it again; if that fails too, start the studio anew.")


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
    from pipelines import forms

    forms.free()
