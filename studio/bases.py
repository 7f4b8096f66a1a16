"""Which model that is here a tuned model belongs to: by its weights, whatever its folder is called today. No torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pipelines.catalog import DescribedModel
from pipelines.errors import IncompatibleModels, ModelError, WeightsMissing
from pipelines.families.own import Own

from .choosing import Choosing, Chosen
from .model_here import ModelHere
from .tuned_models import TunedRecord

Stamps = tuple[tuple[str, int, int], ...]


class Bases:
    """The models here that can be tuned on a clip, as they are now.

    Args:
        choosing: knows the models.
        loaded: directory -> what tuned models call the model that is loaded from it (`ModelPool.base`), or None.
    """

    def __init__(self, choosing: Choosing, loaded: Callable[[Path], str | None]) -> None:
        self.choosing, self._loaded = choosing, loaded
        self._here = {name: one for name, one in choosing.named().items() if _can_be_tuned(one)}

    def of(self, record: TunedRecord) -> Chosen:
        """The model that it was tuned on.

        Raises:
            WeightsMissing: when that is not here.
            IncompatibleModels: when it has other weights by now.
        """
        return self.choosing.model(self.name(record))

    def name(self, record: TunedRecord) -> str:
        """As requests name that model. Raises as `of`."""
        # Those of its name first: of each other model some of the weights have to be read.
        near = sorted(self._here, key=lambda name: not _called(name, self._here[name], record.base_name))
        for name in near:
            if self._is(self._here[name], name, record):
                return name
        happened = f"The tuned model {record.title!r} belongs to the model {record.base_name or record.base!r}"
        if near and _called(near[0], self._here[near[0]], record.base_name):
            raise IncompatibleModels(f"{happened}, which has other weights now.", "Bring the former ones back, or tune on the clip again.")
        raise WeightsMissing(f"{happened}, which is not here.", "Add it in the tab of models, or choose another tuned model.")

    def told(self, record: TunedRecord) -> tuple[str, str]:
        """(what that model is called, for people; why it cannot be used now, "" where it can)."""
        try:
            return self._here[self.name(record)].title, ""
        except ModelError as error:
            return record.base_name or record.base, str(error)

    def _is(self, one: ModelHere, name: str, record: TunedRecord) -> bool:
        assert isinstance(one.about, DescribedModel)
        try:
            if record.signature:
                return signature_of(one.path) == record.signature
            if one.about.family == Own.name:
                return _read(one.path, "stored_base") == record.base
        except ModelError:
            return False  # which the tab of models tells
        # Of an image model older versions kept what is known once it is inflated.
        loaded = self._loaded(one.path)
        return _called(name, one, record.base_name) if loaded is None else loaded == record.base


def signature_of(path: Path) -> str:
    """`pipelines.signatures.signature` of a model, read anew only where its files have changed. Raises ModelError as it does."""
    return _read(path, "signature")


def _read(path: Path, what: Literal["signature", "stored_base"]) -> str:
    files = [*sorted((path / "unet").glob("*.*")), *sorted((path / "scheduler").glob("*.json"))]
    return _kept(path, what, tuple((file.name, (status := file.stat()).st_mtime_ns, status.st_size) for file in files))


@lru_cache(maxsize=256)
def _kept(path: Path, what: str, stamps: Stamps) -> str:
    from pipelines import signatures

    return getattr(signatures, what)(path)


def _can_be_tuned(one: ModelHere) -> bool:
    return isinstance(one.about, DescribedModel) and not one.total and not one.alone and one.about.capabilities.can("one_shot")


def _called(name: str, one: ModelHere, base_name: str) -> bool:
    return base_name in (name, one.path.name, one.title)
