"""Models that stay: each is loaded once, and one borrower at a time has the device."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipelines import families
from pipelines.checkpoints import weight_hashes
from pipelines.domain_models import DomainModel
from pipelines.errors import InvalidInput, OutOfMemory
from pipelines.memory import GIB, Form, Job
from pipelines.tuning_memory import Learner, Way, first_way, tuning_bytes

from . import parts
from .places import Places, Resident, ResidentModel, Stamps, least_bytes, more_bytes, stamps_of, weight_bytes
from .room import Room, available_bytes
from .speeds import Speeds, check_mixed, switched

if TYPE_CHECKING:
    from pipelines.finishers import Finishers
    from pipelines.inflation import VideoUNet
    from pipelines.speed import Speed
    from pipelines.tuned_network import Tuned

Load = Callable[[Path, str], Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResidentDomain:
    """A loaded domain model, with the hashes of its weight files."""

    unet: VideoUNet
    model: DomainModel
    weights: dict[str, str]


@dataclass(frozen=True)
class ResidentFinishers:
    """What finishes the clips of a loaded model, each loaded when first used, with the hashes of all their weight files."""

    networks: Finishers
    weights: dict[str, str]

    def weights_of(self, name: str) -> dict[str, str]:
        """Files of one of them -> their hashes."""
        return {file: found for file, found in self.weights.items() if file.split("/")[1] == name}


@dataclass(frozen=True)
class MemoryReport:
    """Memory of the device in bytes: a GPU's, or this process's share of the machine's."""

    device: str
    used: int
    total: int


class ModelPool:
    """Owner of all loaded models and of the device; `places` says which of them are there when there is too little room for all.

    Args:
        device: "auto", "cpu", "mps", "cuda" or "cuda:0"; resolved when the first model is loaded, for that needs torch.
        load: (folder, device) -> pipeline; the default is `pipelines.families.load`, with the parts that are loaded already.
        available: (device, bytes that the model holds) -> bytes for a model and a job on it; the default asks the device.
        spare: bytes of the machine's own memory that are free for what waits.
        speeds: what makes each model faster; None is nothing.
    """

    def __init__(
        self,
        device: str = "auto",
        load: Load | None = None,
        available: Callable[[str, int], int] = available_bytes,
        spare: Callable[[], int] = lambda: psutil.virtual_memory().available,
        speeds: Speeds | None = None,
    ) -> None:
        self.loads = 0
        self.available = available
        self._load = load
        self._speeds = speeds
        self._places = Places(device, lambda device, held: self.available(device, held), spare, self._drop_companions)
        self._domains: dict[tuple[Path, Path], ResidentDomain] = {}
        self._finishers: dict[Path, tuple[Stamps, ResidentFinishers]] = {}
        self._tuned: tuple[tuple[Path, int], Tuned] | None = None
        self._bases: dict[Path, str] = {}
        self._device_lock = threading.Lock()

    def __contains__(self, path: Path) -> bool:
        return path in self._places.resident

    @property
    def device(self) -> str:
        """Where models compute; what "auto" means is known once one is loaded."""
        return self._places.device

    @property
    def moves(self) -> int:
        """How often a model changed its place."""
        return self._places.moves

    @contextmanager
    def borrow(self, path: Path) -> Iterator[Resident]:
        """The pipeline of a model folder, and with it the device, until the end of the `with`.

        Raises:
            ModelError: when it cannot be loaded; the next borrower tries again.
        """
        with self.borrow_all(path) as (resident,):
            yield resident

    @contextmanager
    def borrow_all(self, *paths: Path) -> Iterator[tuple[Resident, ...]]:
        """As `borrow`, of models that one job needs together: none makes room for another. Several must fit on the device as a whole.

        Raises:
            OutOfMemory: when they do not.
            InvalidInput: when one but the first has a step cache, or one is to wait beside the device.
        """
        with self._device_lock, self._places.held_together(paths):
            if self._speeds:
                check_mixed([path.name for path in paths], [self._speeds.values(path) for path in paths])
            for gone in [each for each in self._places.resident if not each.exists()]:
                self._places.forget(gone)
            for path in paths:
                if self._current(path).model.waiting and len(paths) > 1:
                    raise _too_large(paths, self.device)
            yield tuple(self._places.resident[path] for path in paths)

    def room(self, resident: Resident, path: Path, job: Job, beside: Path | None = None) -> Room:
        """How a job of that size can be made with the borrowed model.

        Args:
            resident: what `borrow(path)` gave.
            path: folder of that model.
            job: its size.
            beside: folder of a second borrowed model, whose network is asked as well.

        Raises:
            OutOfMemory: when it cannot.
        """
        more = more_bytes(path, beside, self.device, job) if beside else 0
        self._places.make_room(path, least_bytes(path, self.device, job, resident.form) + more)
        home = self.device if resident.model.waiting else None
        return Room(path, resident.pipe, job, self._places.left(path) - more, home, resident.form)

    def way_to_tune(self, resident: Resident, path: Path, job: Job) -> tuple[Way, Form]:
        """How the borrowed model can learn a clip of that size, and how it encodes and decodes meanwhile.

        Args:
            resident: what `borrow(path)` gave.
            path: folder of that model.
            job: the clip's size.

        Raises:
            OutOfMemory: when it cannot.
        """
        from pipelines.forms import can_tile, denoisers

        learner = Learner.of(path, replace(resident.form, bytes=denoisers(resident.pipe)[0].dtype.itemsize))
        offered = learner.ways(self.device.startswith("cuda"), can_tile(resident.pipe))
        self._places.make_room(path, tuning_bytes(learner, job, offered[0]))
        way = first_way(learner, job, self._places.left(path), offered)
        return way, learner.in_way(way)

    def domain(self, resident: Resident, base: Path, model: DomainModel) -> ResidentDomain:
        """A domain model beside the borrowed one, loaded once; one that was trained again meanwhile is loaded again.

        Args:
            resident: what `borrow(base)` gave.
            base: folder of that model.
            model: which domain model.

        Raises:
            ModelError: when it cannot be loaded, or was trained beside another model.
        """
        from pipelines.domain_models import check_fits, load_domain_model

        weights = domain_weights(model)
        kept = self._domains.get((base, model.folder))
        if kept is None or kept.weights != weights:
            check_fits(model, resident.pipe)
            log.info("loading %s beside %s", model.folder, base)
            unet = load_domain_model(model.folder, self.device, resident.pipe.unet.dtype)
            kept = self._domains[base, model.folder] = ResidentDomain(unet, model, weights)
            self.loads += 1
        return kept

    def finishers(self, resident: Resident, path: Path) -> ResidentFinishers:
        """What finishes the clips of the borrowed model; networks that were trained again meanwhile are loaded again.

        Args:
            resident: what `borrow(path)` gave.
            path: folder of that model.
        """
        from pipelines.finishers import FOLDER, Finishers

        files = sorted((path / FOLDER).rglob("*.safetensors"))
        stamps = tuple((file, (status := file.stat()).st_mtime_ns, status.st_size) for file in files)
        if path not in self._finishers or self._finishers[path][0] != stamps:
            weights = {file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}
            self._finishers[path] = stamps, ResidentFinishers(Finishers(path, resident.pipe), weights)
        return self._finishers[path][1]

    def tuned(self, resident: Resident, file: Path) -> Tuned:
        """The tensors of a tuned model for the borrowed one; those used last stay.

        Raises:
            WeightsDamaged, IncompatibleModels: when they cannot be used.
        """
        from pipelines.tuned_model import load_tuned_model

        key = (file, file.stat().st_mtime_ns if file.exists() else 0)
        if self._tuned is None or self._tuned[0] != key:
            self._tuned = key, load_tuned_model(file, resident.pipe.unet)
        return self._tuned[1]

    def base(self, path: Path) -> str | None:
        """What tuned models call a model (`pipelines.tuned_model.base_hash`); None before it is loaded."""
        return self._bases.get(path)

    def resident(self) -> list[ResidentModel]:
        """What is loaded."""
        return [resident.model for resident in list(self._places.resident.values())]

    def memory(self) -> MemoryReport:
        """Memory of the device. Does not import torch: before the first model there is nothing of it to report."""
        if self.device.startswith("cuda") and "torch" in sys.modules:
            import torch

            free, total = torch.cuda.mem_get_info(self.device)
            return MemoryReport(torch.cuda.get_device_name(self.device), total - free, total)
        return MemoryReport(
            "CPU" if self.device in ("auto", "cpu") else self.device, psutil.Process().memory_info().rss, psutil.virtual_memory().total
        )

    def free_cache(self) -> None:
        """Gives memory that torch holds in reserve back to the GPU."""
        if self.device.startswith("cuda"):
            import torch

            try:
                torch.cuda.empty_cache()
            except RuntimeError as error:  # of a GPU that is lost there is nothing to be had back
                log.warning("the GPU's memory could not be freed: %s", str(error).splitlines()[:1])

    def clear(self) -> None:
        """Forgets all models."""
        with self._device_lock:
            for path in list(self._places.resident):
                self._places.forget(path)
            self._domains.clear()
            self._finishers.clear()
            self._tuned = None
        self.free_cache()

    def _current(self, path: Path) -> Resident:
        """A model as its files are now, at its speed, on the device if it fits there."""
        from pipelines.speed import Speed

        resident, stamps = self._places.resident.get(path), stamps_of(path)
        speed = self._speeds.of(path) if self._speeds else Speed()
        precision = resident.speed.precision if resident and resident.speed else ""
        if resident and (resident.stamps != stamps or precision != speed.precision or resident.beside != bool(speed.offload)):
            self._places.forget(path)  # its files are others now, or its numbers are to be, or its place
            resident = None
        resident = self._places.used(path, resident or self._bring(path, stamps, speed))
        return resident if resident.speed == speed else self._switched(path, resident, speed)

    def _switched(self, path: Path, resident: Resident, speed: Speed) -> Resident:
        """The model at another speed; it may fit on the device now. Raises InvalidInput where it cannot have it, and is forgotten."""
        if resident.speed and resident.speed.weights and not resident.beside:
            self._places.make_room(path, weight_bytes(path, self.device))  # what is in 8 bits becomes whole before it is something else
        try:
            return self._places.used(path, switched(resident, speed, self.device))
        except InvalidInput:
            self._places.forget(path)
            raise

    def _bring(self, path: Path, stamps: Stamps, speed: Speed) -> Resident:
        """A model that is not loaded yet, with the parts that others have already; beside the device where it is too large for it."""
        self._places.device = device = resolve_device(self.device)
        log.info("loading %s on %s", path, device)
        weights = weight_hashes(path)
        wide = 2 if speed.precision == "float32" and device != "cpu" else 1
        beside = bool(speed.offload)
        enough = not beside and self._places.make_room(path, weight_bytes(path, device) * wide)
        if not enough and len(self._places.together) > 1:
            raise _too_large(tuple(self._places.together), device)  # before gigabytes are read for nothing
        fits = enough or device == "cpu"
        if self._load:
            pipe = self._load(path, device)
        else:
            others = [(other.prints, other.pipe) for other in self._places.resident.values() if not other.model.waiting]
            common = parts.common(path, weights, device, others, speed.dtype) if fits else {}
            pipe = _load(path, device if fits else "cpu", device, common, speed.dtype)
        pipe.set_progress_bar_config(disable=True)
        self._bases[path] = _base(pipe)
        self.loads += 1
        held = parts.bytes_of(parts.parts_of(pipe).values())
        return Resident(pipe, ResidentModel(path.name, held, weights, not fits), stamps, parts.prints(path, weights), beside=beside)

    def _drop_companions(self, path: Path) -> None:
        """What was loaded beside a model goes with it."""
        for key in [key for key in self._domains if key[0] == path]:
            del self._domains[key]
        self._finishers.pop(path, None)
        self._tuned = None


def _too_large(paths: tuple[Path, ...], device: str) -> OutOfMemory:
    """What to say of models that do not fit on the device together."""
    names = " and ".join(sorted(path.name for path in paths))
    gigabytes = sum(weight_bytes(path, device) for path in paths) / GIB
    return OutOfMemory(
        f"The models {names} do not fit on the device together: their weights alone are {gigabytes:.1f} GiB.",
        "Choose a smaller prior, or none.",
    )


def domain_weights(model: DomainModel) -> dict[str, str]:
    """Its weight files -> the first 16 hex digits of their SHA-256, as `weight_hashes` has it for models."""
    files = sorted(model.folder.rglob("*.safetensors"))
    return {f"{model.name}/{file.relative_to(model.folder)}": hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}


def resolve_device(device: str) -> str:
    """What "auto" means on this machine.

    Raises:
        InvalidInput: when the named device is not there.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.partition(":")[0]
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[kind]:
        raise InvalidInput(f"The device {device!r} is not on this machine.", "Start with --device auto.")
    return device


def _load(path: Path, home: str, device: str, components: Mapping[str, Any], dtype: Any = None) -> Any:
    """The model, in that precision; None is the precision of the device where it computes, wherever it is at home."""
    import diffusers
    import torch
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    half = families.family_of(families.read_directory(path)).half
    return families.load(path, home, dtype or (None if home == device else getattr(torch, half)), components)


def _base(pipe: Any) -> str:
    """What tuned models call a model, where it can be tuned."""
    from pipelines.inflation import VideoUNet
    from pipelines.tuned_model import base_hash

    network = getattr(pipe, "unet", None)
    return base_hash(network) if isinstance(network, VideoUNet) else ""
