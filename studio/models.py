"""The models of a studio: what is here and what it can do, what the catalog offers, downloads, a person's own. No Gradio, no torch.

models.here()                                       # the pocket model, downloads, own directories, LoRA files
models.add("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")      # begins a download; so does "owner/name/look.safetensors"
models.add("~/models/my-wan")                       # a directory of one's own, or a LoRA, is read where it lies
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.catalog import Catalog, CatalogEntry, DescribedLora, DescribedModel, describe, load_catalog, why_lora_does_not_fit
from pipelines.errors import InvalidInput, JobError, StorageError, StudioError, WeightsMissing
from pipelines.lora_catalog import LoraAdvice, LoraEntry, advice_of, load_loras

from .by_path import ByPath
from .downloads import ModelStore
from .fetching import Fetching, Guard
from .model_files import StoredModel, lone_files, loras_beside
from .model_here import ModelHere, Origin
from .pairs import Pairs, named
from .settings import Settings
from .speeds import Refusals, Refused, Speeds, check, speed_of

LORA = "lora:"  # before the name of a LoRA in the catalog
Stamps = tuple[tuple[str, int, int], ...]  # files, when they were changed, and their bytes
HUB_FILE = re.compile(r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/)?([\w.-]+/[\w.-]+)/(?:(?:blob|resolve)/([\w.-]+)/)?(.+\.\w+)")


class Models:
    """What the tab of models does.

    Args:
        settings: of the studio.
        guard: as of `Fetching`.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self.settings = settings
        self.store = ModelStore(settings.data_dir / "models", settings.offline)
        self.fetching = Fetching(lambda: self.store, guard)
        self.speeds = Speeds(settings.data_dir)
        self._pairs = Pairs(settings.data_dir / "pairs")
        self._advice = ByPath(settings.data_dir / "loras.json", "give the settings of your LoRAs again")
        self._refusals = Refusals(settings.device)
        self._described: dict[Path, tuple[Stamps, DescribedModel | DescribedLora | StudioError]] = {}
        self._fits: dict[tuple[Path, Stamps, Path, Stamps], str] = {}

    @cached_property
    def catalog(self) -> Catalog:
        """The models known by name; raises CatalogError when the file is wrong."""
        return load_catalog()

    @cached_property
    def loras(self) -> dict[str, LoraEntry]:
        """The LoRAs known by name; raises CatalogError when the file is wrong."""
        return load_loras(self.catalog)

    @property
    def free_bytes(self) -> int:
        """Room on the disk where downloads go."""
        return shutil.disk_usage(self.settings.data_dir).free

    # -- What is here -----------------------------------------------------------------------------------------------------

    def here(self) -> list[ModelHere]:
        """Everything on this machine, the studio's model first.

        Raises:
            StorageError: when the list of own models, or a download's note, is not readable.
        """
        found = {self.settings.model_dir: self._read(self.settings.model_dir, "studio")}
        for stored in self.store.models():
            for one in self._stored(stored):
                found.setdefault(one.path, one)
        for path in sorted(self._uploads.glob("*.safetensors")):
            found.setdefault(path, self._read(path, "kept"))
        for path in self._own():
            found.setdefault(path, self._read(path, "folder"))
        return [*found.values(), *self._paired(list(found.values()))]

    def fits(self, lora: DescribedLora) -> dict[str, str]:
        """Title of each model here that takes LoRAs -> why this one is not for it, or "" where nothing speaks against it."""
        found: dict[str, str] = {}
        for one in self.here():
            if isinstance(one.about, DescribedModel) and one.about.capabilities.can("lora"):
                key = (lora.path, _stamps(lora.path), one.path, _stamps(one.path))
                if key not in self._fits:
                    self._fits[key] = why_lora_does_not_fit(lora, one.about)
                found[one.title] = self._fits[key]
        return found

    # -- More of it ---------------------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raises JobError where the page may not change which models are here."""
        if not self.settings.models_open:
            raise JobError(
                "The models of this studio are its host's choice.", "Run a studio of your own, or start this one with --models open."
            )

    def download(self, name: str) -> None:
        """Begins, or goes on with, the download of an entry of the catalog: a model, or a LoRA as "lora:name"."""
        self.check_open()
        if name.startswith(LORA):
            lora = self.loras[name.removeprefix(LORA)]
            return self.fetching.start(lora.hub, lora.revision, lora.file)
        entry = self.catalog[name]
        self.fetching.start(entry.hub, entry.revision)

    def resume(self, name: str) -> None:
        """Goes on with a half-downloaded model that is here."""
        self.check_open()
        stored = self.find(name).stored
        if stored is None:
            raise JobError(f"{name!r} was not downloaded.", "Look at the list of models.")
        missing = [file for file in lone_files(stored) if not (stored.folder / file).exists()]
        self.fetching.start(stored.hub, stored.revision, missing[0] if missing else "")

    def add(self, text: str) -> ModelHere | None:
        """A repository of the Hub (its download begins), one safetensors file of it, or a path on this machine.

        Returns:
            What was added; None for a download.

        Raises:
            InvalidInput: for something else.
            ModelError: for a directory or file that is unsafe, damaged, or of a kind that nobody here can run.
            JobError: when it is here, or on its way, already.
        """
        self.check_open()
        text = text.strip()
        if not text:
            raise InvalidInput("No model was named.", "Give owner/name of the Hub, or the path of a directory or a LoRA.")
        path = Path(text).expanduser()
        if path.exists() or path.is_absolute() or text.startswith(("~", ".")):
            return self._add_path(path.resolve())
        if named := HUB_FILE.fullmatch(text):
            self.fetching.start(named[1], named[2] or "main", named[3])
        else:
            self.fetching.start(text)
        return None

    def add_lora(self, upload: str | Path) -> ModelHere:
        """Keeps an uploaded LoRA.

        Raises:
            UnsafeModel, WeightsDamaged: when it is none in safetensors.
            JobError: when another of that name is here.
            StorageError: when it cannot be written.
        """
        self.check_open()
        upload = Path(upload)
        describe(upload)
        target = self._uploads / upload.name
        if target.exists():
            raise JobError(f"There is a LoRA {upload.name!r} here already.", "Delete it first, or rename the file.")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(upload, part := target.with_suffix(".part"))
            os.replace(part, target)
        except OSError as error:
            raise StorageError(f"{target.name!r} cannot be kept ({error.strerror}).", "Make room on the disk.") from error
        return self._read(target, "kept")

    def remove(self, name: str) -> int:
        """Deletes what was downloaded or uploaded; a person's own is only taken off the list. Returns the bytes that are free again.

        Raises:
            JobError: for the studio's model, or one on its way.
            WeightsMissing: when it is not here.
            StorageError: when it cannot be removed.
        """
        self.check_open()
        one = self.find(name)
        if one.origin == "pair":
            raise JobError(f"{one.title!r} is a motion module and a model that are both here.", "Delete one of the two.")
        if one.origin == "studio" or self.settings.model_dir.is_relative_to(one.path):
            raise JobError(f"{one.title!r} is the model that the studio runs.", "Start it with another --model first.")
        if one.stored:
            if self.fetching.under_way(one.stored.hub):
                raise JobError(f"{one.stored.hub!r} is being downloaded.", "Cancel it first.")
            return self.store.delete(one.stored.hub)
        if one.origin == "kept":
            try:
                one.path.unlink()
            except OSError as error:
                raise StorageError(f"{one.name!r} cannot be removed ({error.strerror}).", "Look at who may write there.") from error
            return one.bytes
        self._write_own([path for path in self._own() if path != one.path])
        return 0

    def close(self) -> None:
        """Ends all downloads."""
        self.fetching.close()
        self._refusals.close()

    # -- How fast -------------------------------------------------------------------------------------------------------------

    def speed_refused(self, one: ModelHere) -> Refused | None:
        """Which switches of `pipelines.speed` a model cannot have, and why; None while that is being found out."""
        return self._refusals.of(one.path, _stamps(one.path))

    def advice(self, one: ModelHere) -> LoraAdvice:
        """The settings that a LoRA was made for: as a person gave them, else as the catalog does. Raises StorageError for a bad file."""
        if given := self._advice.get(one.path):
            return advice_of(given)
        known = (entry for entry in self.loras.values() if one.stored and (entry.hub, entry.file) == (one.stored.hub, one.file))
        return next((entry.advice for entry in known), LoraAdvice())

    def set_advice(self, name: str, values: Mapping[str, Any]) -> LoraAdvice:
        """Keeps the settings that a LoRA was made for; without any, they are the catalog's again.

        Args:
            name: as in `ModelHere`.
            values: fields of `LoraAdvice`.

        Raises:
            JobError: where the page may not change the models.
            InvalidInput: for what cannot be asked for.
            WeightsMissing: when it is not here.
            StorageError: when it cannot be kept.
        """
        self.check_open()
        one = self.find(name)
        self._advice.put(one.path, advice_of(values).model_dump(exclude_none=True))
        return self.advice(one)

    def set_speed(self, name: str, values: Mapping[str, Any]) -> None:
        """Chooses the switches of a model that is here; its next job has them on.

        Args:
            name: as in `ModelHere`.
            values: fields of `pipelines.speed.Speed`; what is left out is off.

        Raises:
            JobError: where the page may not change the models.
            InvalidInput: for what the model cannot have, with the reason, or what no model has.
            WeightsMissing, ModelError: when it is not here, or cannot be used.
            StorageError: when the choice cannot be kept.
        """
        self.check_open()
        one = self.find(name)
        check(one.path, speed_of(values), self.settings.device)
        self.speeds.put(one.path, values)

    # -----------------------------------------------------------------------------------------------------------------------

    @property
    def _uploads(self) -> Path:
        return self.settings.data_dir / "loras"

    @property
    def _list(self) -> Path:
        return self.settings.data_dir / "own_models.json"

    def _own(self) -> list[Path]:
        if not self._list.exists():
            return []
        try:
            return [Path(path) for path in json.loads(self._list.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(f"{str(self._list)!r} is not readable.", "Delete it, and add your models again.") from error

    def _write_own(self, paths: list[Path]) -> None:
        part = self._list.with_suffix(".part")
        try:
            part.write_text(json.dumps([str(path) for path in paths], indent=1), encoding="utf-8")
            os.replace(part, self._list)
        except OSError as error:
            raise StorageError(f"{str(self._list)!r} cannot be written ({error.strerror}).", "Make room on the disk.") from error

    def _add_path(self, path: Path) -> ModelHere:
        if any(one.path == path for one in self.here()):
            raise JobError(f"{str(path)!r} is in the list already.", "Look for it there.")
        describe(path)  # raises what is wrong with it
        self._write_own([*self._own(), path])
        return self._read(path, "folder")

    def find(self, name: str) -> ModelHere:
        """What is here under this name. Raises WeightsMissing where nothing is."""
        for one in self.here():
            if one.name == name:
                return one
        raise WeightsMissing(f"{name!r} is not here.", "Look at the list of models.")

    def _stored(self, stored: StoredModel) -> Iterator[ModelHere]:
        """One model, or the LoRAs that were fetched alone from one repository."""
        entry = self.catalog.of_hub(stored.hub)
        title = entry.title if entry else stored.hub
        if not stored.whole:
            yield ModelHere(stored.folder, title, "hub", stored.bytes, stored.total, entry=entry, stored=stored)
        elif lone := lone_files(stored):
            yield from (self._read(stored.folder / file, "hub", f"{Path(file).stem} of {stored.hub}", stored=stored) for file in lone)
        else:
            yield self._read(stored.folder, "hub", title, entry, stored)
            for file in loras_beside(stored):
                yield self._read(stored.folder / file, "hub", f"{Path(file).stem} of {stored.hub}", stored=stored)

    def _paired(self, here: list[ModelHere]) -> list[ModelHere]:
        """Each motion module with each model that it moves."""
        usable = {one.path: (one, one.about.family) for one in here if isinstance(one.about, DescribedModel)}
        modules = [(one.short, one.path) for one, _ in usable.values() if one.alone]
        bases = [(one.short, one.path) for one, family in usable.values() if modules and family == "stable-diffusion"]
        found, wanted = [], named(modules, bases)
        for name, folder in self._pairs.laid(wanted).items():
            module, base = (usable[path][0] for path in wanted[name])
            title = f"{module.title} on {base.title}"
            if isinstance(folder, StorageError):
                found.append(ModelHere(module.path / name, title, "pair", 0, problem=str(folder), pair=wanted[name]))
            else:
                found.append(replace(self._read(folder, "pair", title, module.entry), pair=wanted[name]))
        return found

    def _read(
        self, path: Path, origin: Origin, title: str = "", entry: CatalogEntry | None = None, stored: StoredModel | None = None
    ) -> ModelHere:
        about, title = self._describe(path), title or path.stem
        if isinstance(about, StudioError):
            return ModelHere(path, title, origin, _bytes(path), problem=str(about), entry=entry, stored=stored)
        return ModelHere(path, title, origin, about.bytes, about=about, entry=entry, stored=stored)

    def _describe(self, path: Path) -> DescribedModel | DescribedLora | StudioError:
        """Read anew only where a file has changed: a large model has thousands of tensors."""
        stamps = _stamps(path)
        if path not in self._described or self._described[path][0] != stamps:
            try:
                about: DescribedModel | DescribedLora | StudioError = describe(path)
            except StudioError as error:
                about = error
            self._described[path] = stamps, about
        return self._described[path][1]


def _stamps(path: Path) -> Stamps:
    files = [path] if path.is_file() else [*path.glob("*.*"), *path.glob("*/*.*")]
    return tuple(sorted((str(file), (status := file.stat()).st_mtime_ns, status.st_size) for file in files if file.is_file()))


def _bytes(path: Path) -> int:
    return sum(size for _, _, size in _stamps(path))
