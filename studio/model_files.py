"""Which files of a repository are fetched, and where they lie: what a folder of a downloaded model holds, and how much of it is here."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.errors import StorageError, UnknownFamily, UnsafeModel

NOTE = "download.json"
SMALL = (".json", ".txt", ".model", ".jinja")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack")
VARIANT = re.compile(r"\.(?!safetensors)(\w+?)(-\d{5}-of-\d{5})?\.safetensors$")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its path there, its size in bytes, and its SHA-256 ("" for small files, which have none)."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Plan:
    """What a download consists of.

    Args:
        hub: the repository.
        revision: as it was asked for.
        commit: what that is today.
        files: those that are fetched.
    """

    hub: str
    revision: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class StoredModel:
    """A model in the folder; where it is not whole, `bytes` of `total` are here, and a download goes on from there."""

    hub: str
    revision: str
    folder: Path
    bytes: int
    total: int
    whole: bool
    files: tuple[RemoteFile, ...] = ()


def choose_files(hub: str, files: list[RemoteFile]) -> list[RemoteFile]:
    """Of a repository in diffusers' layout, the configurations, and the weights once: in full, else in half precision.

    Raises:
        UnsafeModel: when a part has pickles alone.
        UnknownFamily: for a repository of another kind.
    """
    names = {file.path for file in files}
    if "model_index.json" not in names and not {"config.json", "diffusion_pytorch_model.safetensors"} <= names:
        raise UnknownFamily(
            f"{hub!r} is no model in diffusers' layout (it has no model_index.json).", "Choose a repository in diffusers' layout."
        )
    whole = "model_index.json" in names
    folders: dict[str, list[RemoteFile]] = {}
    for file in files:
        folder, _, _ = file.path.rpartition("/")
        if folder.count("/") == 0:
            folders.setdefault(folder, []).append(file)
    chosen = [file for file in folders.pop("", []) if file.path in ("model_index.json", "config.json") or (not whole and is_weight(file))]
    for folder, inside in folders.items() if whole else ():
        weights = [file for file in inside if is_weight(file)]
        if not weights and any(file.path.endswith(PICKLES) for file in inside):
            raise UnsafeModel(
                f"{hub!r} has only pickles for its part {folder!r}, which can run code when they are read.",
                "Choose a repository, or a revision ('refs/pr/15' say), with safetensors.",
            )
        plain = [file for file in weights if not VARIANT.search(file.path)]
        chosen += plain or [file for file in weights if ".fp16" in file.path]
        chosen += [file for file in inside if file.path.endswith(SMALL)]
    return chosen


def is_weight(file: RemoteFile) -> bool:
    """Whether it holds weights that may be fetched."""
    return file.path.endswith(".safetensors")


def leads_out(path: str) -> bool:
    """Whether a path would lead out of its folder."""
    return path.startswith(("/", "\\")) or ".." in Path(path).parts or "\\" in path or Path(path).name == NOTE


def part_of(folder: Path, file: RemoteFile) -> Path:
    """Where a file grows; another version of it grows elsewhere."""
    return folder / f"{file.path}.{file.sha256[:12] or file.size}.part"


def bytes_here(folder: Path, file: RemoteFile) -> int:
    """Bytes of a file that are here."""
    for path in (folder / file.path, part_of(folder, file)):
        if path.exists():
            return path.stat().st_size
    return 0


def write_note(folder: Path, plan: Plan) -> None:
    """What the folder is to hold. A file that has changed on the Hub since is fetched anew."""
    note = folder / NOTE
    before = json.loads(note.read_text()) if note.exists() else {"files": []}
    was = {file["path"]: file for file in before["files"]}
    for file in plan.files:
        if file.path in was and was[file.path] != asdict(file):
            (folder / file.path).unlink(missing_ok=True)
    kept = [file for path, file in was.items() if path not in {new.path for new in plan.files} and (folder / path).exists()]
    values = {"hub": plan.hub, "revision": plan.revision, "commit": plan.commit, "files": kept + [asdict(file) for file in plan.files]}
    whole = note.with_suffix(".new")
    whole.write_text(json.dumps(values, indent=1))
    os.replace(whole, note)  # the page may read it at any time


def stored_in(folder: Path) -> StoredModel | None:
    """What a folder holds of a model; None where nothing was ever fetched into it.

    Raises:
        StorageError: when its note is not readable.
    """
    note = folder / NOTE
    if not note.is_file():
        return None
    try:
        values = json.loads(note.read_text())
        files = [RemoteFile(**file) for file in values["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{str(note)!r} is not readable.", "Delete the folder, and download the model again.") from error
    whole = all((folder / file.path).is_file() for file in files)
    here = sum(bytes_here(folder, file) for file in files)
    return StoredModel(values["hub"], values["revision"], folder, here, sum(file.size for file in files), whole, tuple(files))


def lone_files(stored: StoredModel) -> list[str]:
    """The files that were asked for alone, of a repository; none where it was the whole model."""
    names = [file.path for file in stored.files]
    return names if not {"model_index.json", "config.json"} & set(names) else []


def loras_beside(stored: StoredModel) -> list[str]:
    """The files of a motion module's repository that are not the module itself: a LoRA that was trained with it."""
    names = [file.path for file in stored.files if file.path.endswith(".safetensors")]
    module = not (stored.folder / "model_index.json").exists()
    return [name for name in names if module and not name.startswith("diffusion_pytorch_model")]
