"""Motion modules with the models that they move: each fitting pair becomes a directory of links, which is a model like any other.

Guo et al., "AnimateDiff", arXiv 2307.04725: one module moves any model that was tuned from the same base. Nothing is copied: the parts of
such a directory are links to the files of the two, beside an index and the noise schedule that the module was trained on. No torch.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines import families
from pipelines.errors import StorageError

OF_BASE = ("vae", "text_encoder", "tokenizer", "unet")
LINKED = (".safetensors", ".json", ".txt", ".model")
OF_2 = 1024  # width of the text of Stable Diffusion 2.x, whose pictures these modules have never seen
INDEX = {
    "_class_name": "AnimateDiffPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "motion_adapter": ["diffusers", "MotionAdapter"],
    "scheduler": ["diffusers", "DDIMScheduler"],
}
SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "prediction_type")  # what the module keeps of its base's
TRAINED = {
    **{"_class_name": "DDIMScheduler", "beta_schedule": "linear", "clip_sample": False},
    **{"timestep_spacing": "linspace", "steps_offset": 1},
}


class Pairs:
    """The directories of pairs.

    Args:
        folder: where they are; nothing else is in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def laid(self, wanted: Mapping[str, tuple[Path, Path]]) -> dict[str, Path | StorageError]:
        """The directories of these pairs, and no others; for one that cannot be written, why.

        Args:
            wanted: name -> (a motion module alone, a model that it fits).
        """
        with self._lock:
            for gone in {each.name for each in self.folder.glob("*")} - set(wanted):
                shutil.rmtree(self.folder / gone, ignore_errors=True)
            return {name: self._tried(self.folder / name, *both) for name, both in wanted.items()}

    def _tried(self, folder: Path, module: Path, base: Path) -> Path | StorageError:
        try:
            return self._lay(folder, module, base)
        except OSError as error:
            happened = f"The two cannot be laid together in {str(self.folder)!r} ({error.strerror})."
            return StorageError(happened, "Look at who may write there, and whether links can be made.")

    def _lay(self, folder: Path, module: Path, base: Path) -> Path:
        """The directory as it is to be; it is made anew where a file came or went."""
        links = _links(module, base)
        if folder.is_dir() and links == {str(each.relative_to(folder)): each.readlink() for each in folder.rglob("*") if each.is_symlink()}:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        for name, target in links.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).symlink_to(target)
        directory = families.read_directory(base)
        index = INDEX | {name: directory.index[name] for name in OF_BASE}
        schedule = {name: value for name, value in directory.config("scheduler").items() if name in SCHEDULE} | TRAINED
        (part / "scheduler").mkdir()
        (part / "scheduler" / "scheduler_config.json").write_text(json.dumps(schedule, indent=1), encoding="utf-8")
        (part / "model_index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
        os.replace(part, folder)
        return folder


def fits(module: Path, base: Path) -> bool:
    """Whether a motion module alone moves a model of Stable Diffusion: one of 1.x, with as many channels at each level."""
    mine, theirs = families.read_directory(module).index, families.read_directory(base).config("unet")
    same = list(mine.get("block_out_channels") or ()) == list(theirs.get("block_out_channels") or ())
    return same and theirs.get("cross_attention_dim") != OF_2 and all((base / part).is_dir() for part in OF_BASE)


def named(modules: Sequence[tuple[str, Path]], bases: Sequence[tuple[str, Path]]) -> dict[str, tuple[Path, Path]]:
    """Name of each fitting pair -> (module, base); a name that is taken gets a number.

    Args:
        modules: (short name, directory) of motion modules alone.
        bases: the same of models of Stable Diffusion.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for one, module in modules:
        for other, base in bases:
            if fits(module, base):
                name, count = f"{one} on {other}", 2
                while name in found:
                    name, count = f"{one} on {other} {count}", count + 1
                found[name] = module, base
    return found


def _links(module: Path, base: Path) -> dict[str, Path]:
    """Path in the directory -> the file that is meant."""
    files = {f"{part}/{file.name}": file for part in OF_BASE for file in sorted((base / part).iterdir()) if file.suffix in LINKED}
    files |= {f"motion_adapter/{file.name}": file for file in sorted(module.glob("diffusion_pytorch_model*.safetensors"))}
    files["motion_adapter/config.json"] = module / "config.json"
    return {name: file.resolve() for name, file in files.items()}
