"""Where loaded models are: on the device, beside it in the machine's own memory, or nowhere; who makes room for whom.

What was used last stays on the device. Where there is too little room for a model or its job, those that were not used for longest make
it: they wait in the machine's own memory, or are forgotten where that is too small, or is the device itself.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.checkpoints import weight_files
from pipelines.memory import AS_IT_IS, SLACK, Form, Job, Need, forms, model_of, need

from . import parts

if TYPE_CHECKING:
    from pipelines.speed import Speed

Stamps = tuple[tuple[Path, int, int], ...]  # files, when they were changed, and their bytes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResidentModel:
    """A loaded model: its folder's name, its parameters in bytes, hashes of its weight files, whether it waits beside the device."""

    name: str
    bytes: int
    weights: dict[str, str]
    waiting: bool = False


@dataclass(frozen=True)
class Resident:
    """A loaded model and what is known of it.

    Args:
        pipe: a `TextToVideoPipeline`, or a `VideoModel`, which has the same call.
        model: what is told of it.
        stamps: of its weight files, which tell when they are others.
        prints: what tells its parts from those of other models (`parts.prints`).
        speed: the switches that are on (`pipelines.speed.Speed`); None before they are.
        switches: takes them off when it is closed.
        beside: whether it waits beside the device even where there is room: its jobs bring it part by part.
    """

    pipe: Any
    model: ResidentModel
    stamps: Stamps = ()
    prints: Mapping[str, str] = field(default_factory=dict)
    speed: Speed | None = None
    switches: ExitStack = field(default_factory=ExitStack)
    beside: bool = False

    @property
    def form(self) -> Form:
        """What its switches say of every job: how it is decoded, what waits, and what a weight of its denoisers takes."""
        if self.speed is None:
            return AS_IT_IS
        from pipelines.forms import denoisers

        networks = denoisers(self.pipe) if self.speed.weights else []
        held = parts.bytes_of(networks) / sum(p.numel() for network in networks for p in network.parameters()) if networks else 0
        return replace(self.speed.form, held=held)

    def close(self) -> None:
        """Takes its switches off where it is forgotten; whole weights do not come to the device once more."""
        try:
            if self.speed and self.speed.weights:
                from pipelines.forms import denoisers

                parts.move(denoisers(self.pipe), "cpu")
            self.switches.close()
        except RuntimeError as error:  # a GPU that is lost gives nothing back
            log.warning("the switches of %s stay on: %s", self.model.name, str(error).splitlines()[:1])


class Places:
    """The loaded models, the one that was not used for longest first.

    Args:
        device: where models compute.
        available: (device, bytes that a model holds) -> bytes for that model and a job on it.
        spare: bytes of the machine's own memory that are free for what waits.
        leaving: told of each model that leaves the device.
    """

    def __init__(
        self, device: str, available: Callable[[str, int], int], spare: Callable[[], int], leaving: Callable[[Path], None]
    ) -> None:
        self.device, self.available, self.spare, self.leaving = device, available, spare, leaving
        self.resident: dict[Path, Resident] = {}
        self.together: frozenset[Path] = frozenset()
        self.moves = 0

    @property
    def on_device(self) -> list[Path]:
        return [path for path, each in self.resident.items() if not each.model.waiting]

    @property
    def waiting(self) -> list[Path]:
        return [path for path, each in self.resident.items() if each.model.waiting]

    @contextmanager
    def held_together(self, paths: Collection[Path]) -> Iterator[None]:
        """Models that make no room for each other until the end of the `with`."""
        self.together = frozenset(paths)
        try:
            yield
        finally:
            self.together = frozenset()

    def used(self, path: Path, resident: Resident) -> Resident:
        """Puts a model at the end of the line, and on the device if it fits there as a whole."""
        self.resident.pop(path, None)
        self.resident[path] = resident
        if resident.model.waiting and not resident.beside and self.make_room(path, resident.model.bytes):
            self._move(path, list(parts.parts_of(resident.pipe).values()), self.device)
        return self.resident[path]

    def make_room(self, path: Path, needed: int) -> bool:
        """Others leave the device until a model has so many bytes there; False when it has not even with those that are held with it."""
        while self.left(path) < needed and (others := [each for each in self.on_device if each not in {path, *self.together}]):
            self._evict(others[0])
        return self.left(path) >= needed

    def left(self, path: Path) -> int:
        """Bytes for one model and its job: all that the device has for the studio, without what the others hold there."""
        held = {each: self.resident[each].model.bytes for each in self.on_device}
        own = held.pop(path, 0)
        others = sum(held.values()) if self.device.startswith("cuda") else 0  # of a processor's memory, what is used is not available
        return self.available(self.device, own) - others

    def forget(self, path: Path) -> None:
        """A model is gone, and what was loaded beside it."""
        self.leaving(path)
        self.resident.pop(path).close()

    def _evict(self, path: Path) -> None:
        """Off the device: to the machine's own memory where there is room, else away. What others share stays."""
        from pipelines.forms import free

        staying = {id(part) for other in self.on_device if other != path for part in parts.parts_of(self.resident[other].pipe).values()}
        going = [part for part in parts.parts_of(self.resident[path].pipe).values() if id(part) not in staying]
        size = parts.bytes_of(going)
        while self.device != "cpu" and self.spare() < size and self.waiting:
            self.forget(self.waiting[0])
        if self.device == "cpu" or self.spare() < size:
            log.info("%s makes room, and is forgotten", path)
            self.forget(path)
        else:
            log.info("%s makes room, and waits", path)
            self.leaving(path)
            self._move(path, going, "cpu")
        del going
        free()

    def _move(self, path: Path, moved: list[Any], device: str) -> None:
        parts.move(moved, device)
        self.moves += 1
        resident = self.resident[path]
        self.resident[path] = replace(resident, model=replace(resident.model, waiting=device != self.device))


def stamps_of(path: Path) -> Stamps:
    """Of a model's weight files: they say when it was replaced; raises WeightsMissing when it is gone."""
    return tuple((file, (status := file.stat()).st_mtime_ns, status.st_size) for file in weight_files(path))


def weight_bytes(path: Path, device: str) -> int:
    """What a model's weights take on the device."""
    return _needed(path, device, Job(64, 64, 1)).weights


def least_bytes(path: Path, device: str, job: Job, chosen: Form = AS_IT_IS) -> int:
    """What a job needs on the device where nothing is done about memory but what its model's switches do."""
    return _needed(path, device, job, chosen).total


def more_bytes(path: Path, other: Path, device: str, job: Job) -> int:
    """What a job's activations take more on the device where a second network is asked as well, after the first."""
    mine, theirs = (_needed(each, device, job).denoising for each in (path, other))
    return max(0, math.ceil((theirs - mine) * SLACK))


def _needed(path: Path, device: str, job: Job, chosen: Form = AS_IT_IS) -> Need:
    model, half = model_of(path), not device.startswith("cpu")
    return need(model, job, next(form for form in forms(model, job, half, chosen) if (form.bytes == 2) == half))
