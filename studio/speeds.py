"""What makes each model here faster, as a person chose it: kept in a file of the data folder, switched on where the model is loaded.

speeds = Speeds(data_dir)
speeds.put(path, {"cache": "first-block", "threshold": 0.08})
speeds.of(path)                     # a `pipelines.speed.Speed`; that of a model nobody chose for has all switches off
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput, StudioError

from .by_path import ByPath
from .places import Resident

if TYPE_CHECKING:
    from pipelines.speed import Speed

IN_WEIGHTS = "speed"  # beside the hashes of weight files: a clip that was made with switches on is another
SWITCH_OFF = "Switch that off in the tab of models, under Speed."
TOLD = {"compiled": "compiled", "tiled": "decoded in tiles", "sliced": "decoded frame by frame"}
IN_TURN = {"model": "parts in turn", "group": "blocks in turn"}
Refused = Mapping[str, Mapping[Any, str]]  # switch -> choice -> why not
SWITCHES = ("precision", "weights", "attention", "cache", "compiled", "tiled", "sliced", "offload")


class Speeds:
    """The switches of the models, by their directories.

    Args:
        data_dir: of the studio; the file in it is written whole or not at all.
    """

    def __init__(self, data_dir: Path) -> None:
        self._kept = ByPath(data_dir / "speeds.json", "choose the speed of your models again")

    def values(self, path: Path) -> dict[str, Any]:
        """What was chosen for a model, as `Speed` takes it; empty where nothing was. Imports no torch.

        Raises:
            StorageError: when the file is not readable.
        """
        return self._kept.get(path)

    def chosen_at(self) -> int:
        """When switches were last chosen for any model, in nanoseconds; 0 is never."""
        return self._kept.changed_at()

    def of(self, path: Path) -> Speed:
        """The switches of a model. Raises StorageError when the file is not readable."""
        try:
            return speed_of(self.values(path))
        except InvalidInput as error:
            raise self._kept.damaged() from error

    def put(self, path: Path, values: Mapping[str, Any]) -> Speed:
        """Keeps the switches of a model; without any, the model is as it was before.

        Args:
            path: its directory.
            values: fields of `Speed`; what is left out is off.

        Raises:
            InvalidInput: for a switch or a value that there is not.
            StorageError: when the file is not readable, or cannot be written.
        """
        speed = speed_of(values)
        plain = asdict(speed_of({}))
        changed = {name: value for name, value in asdict(speed).items() if value != plain[name]}
        if not speed.cache:
            changed.pop("threshold", None)
        self._kept.put(path, changed)
        return speed


def check(path: Path, speed: Speed, device: str) -> None:
    """Refuses what a model cannot have, before it is loaded.

    Args:
        path: its directory.
        speed: the switches.
        device: of the settings, where it is to compute.

    Raises:
        InvalidInput: naming the first switch, with the reason.
        ModelError: when the directory cannot be used.
    """
    from pipelines import speed as switching
    from pipelines.forms import denoisers
    from pipelines.switches import outline

    from .residency import resolve_device

    model = outline(path)
    for network in denoisers(model) if speed.dtype else []:
        network.to(speed.dtype)
    switching.check(model, speed, resolve_device(device))


def speed_of(values: Mapping[str, Any]) -> Speed:
    """The switches with these values; what is left out is off. Raises InvalidInput for a switch or a value that there is not."""
    from pipelines.speed import Speed

    try:
        fields: dict[str, Any] = {name: tuple(value) if name == "ratios" else value for name, value in values.items()}
        return Speed(**fields)
    except TypeError as error:
        raise InvalidInput(f"The switches are {dict(values)}.", f"Choose of {', '.join(SWITCHES)}.") from error


class Refusals:
    """What models cannot have, found out beside the page: for it their networks are built without weights, which takes seconds.

    Args:
        device: of the settings, where models are to compute.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._asking = ThreadPoolExecutor(1, "studio-speeds")
        self._asked: dict[Path, tuple[object, Future[Refused]]] = {}

    def of(self, path: Path, stamps: object = None) -> Refused | None:
        """What the model in a directory cannot have; None while that is being found out.

        Args:
            path: the directory.
            stamps: whatever changes with its files.
        """
        if path not in self._asked or self._asked[path][0] != stamps:
            self._asked[path] = stamps, self._asking.submit(_refused, path, self._device)
        asked = self._asked[path][1]
        return asked.result() if asked.done() else None

    def wait(self) -> None:
        """Until all that was asked is known."""
        wait([asked for _, asked in self._asked.values()])

    def close(self) -> None:
        """Asks no more."""
        self._asking.shutdown(cancel_futures=True)


def _refused(path: Path, device: str) -> Refused:
    """Where a model cannot be asked, it can have nothing, for that reason."""
    from pipelines import switches

    from .residency import resolve_device

    try:
        return switches.refused(path, resolve_device(device))
    except StudioError as error:
        return {switch: dict.fromkeys(choices, str(error)) for switch, choices in switches.CHOICES.items()}


def told(values: Mapping[str, Any]) -> str:
    """The switches that are on, in a few words: "bfloat16, cache first-block at 0.08, blocks in turn"; "" where none is."""
    parts = [values.get("precision", "")]
    parts += [f"{name} {values[name]}" for name in ("weights", "attention") if values.get(name)]
    if values.get("cache"):
        parts.append(f"cache {values['cache']} at {values.get('threshold', 0.05):g}")
    parts += [words for name, words in TOLD.items() if values.get(name)]
    return ", ".join(filter(None, [*parts, IN_TURN.get(values.get("offload", ""), "")]))


def seen_in(values: Mapping[str, Any]) -> str:
    """As `told`, of those that show in the pixels: what is decoded one by one, or waits beside the device, gives the same video."""
    return told({name: value for name, value in values.items() if name not in ("sliced", "offload")})


def switched(resident: Resident, speed: Speed, device: str) -> Resident:
    """A loaded model with these switches on, and no others; what was on is taken off. How it is decoded and what waits is each job's.

    Args:
        resident: loaded in the precision of the speed.
        speed: the switches.
        device: where it computes.

    Raises:
        InvalidInput: where the model cannot do one of them; then none is on.
    """
    from pipelines.speed import Speed, put_on
    from pipelines.speed import check as check_loaded

    from . import parts

    resident.switches.close()
    check_loaded(resident.pipe, speed, device)
    on = put_on(resident.pipe, speed.resting, device) if speed.resting != Speed() else ExitStack()
    weights = {name: hashed for name, hashed in resident.model.weights.items() if name != IN_WEIGHTS}
    words = seen_in(asdict(speed))
    held = parts.bytes_of(parts.parts_of(resident.pipe).values())
    model = replace(resident.model, bytes=held, weights=weights | ({IN_WEIGHTS: words} if words else {}))
    return replace(resident, model=model, switches=on, speed=speed)


def why_no_prior(values: Mapping[str, Any]) -> str:
    """Why a model at this speed cannot be asked in another's steps, or in its own with its LoRA off; "" where it can."""
    return f"It has a step cache ({values['cache']}), which cannot follow the steps of another model." if values.get("cache") else ""


def why_alone(values: Mapping[str, Any]) -> str:
    """Why a model at this speed cannot be mixed with another one; "" where it can."""
    turn = IN_TURN.get(values.get("offload", ""), "")
    return f"It waits beside the device ({turn}), where two that are mixed are needed as a whole." if turn else ""


def why_no_lora(values: Mapping[str, Any]) -> str:
    """Why a model at this speed takes no LoRA: in 8 bits that would be as well, and nothing could be computed; "" where it does."""
    return f"Its weights are kept in 8 bits ({values['weights']}), and a LoRA needs them whole." if values.get("weights") else ""


def check_mixed(titles: Sequence[str], values: Sequence[Mapping[str, Any]]) -> None:
    """Refuses models that one job asks together, the first in whose steps the others are asked; one that is its own prior is twice there.

    Raises:
        InvalidInput: naming the one whose switches are in the way.
    """
    reasons = [(title, why_alone(each)) for title, each in zip(titles, values, strict=True) if len(set(titles)) > 1]
    reasons += [(title, why_no_prior(each)) for title, each in zip(titles[1:], values[1:], strict=True)]
    for title, why in reasons:
        if why:
            raise InvalidInput(f"{title!r} cannot be mixed with another model. {why}", SWITCH_OFF)
