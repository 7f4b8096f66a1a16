"""What the walls begin with: comparisons and edits to try, each with the clips that the shipped model makes of it.

python -m studio.tabs.example_walls           makes assets/examples/walls again, through the engine; or only those that are named
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.domain_models import DomainModel
from pipelines.errors import InvalidInput
from pipelines.pocket.captions import PHRASES

from .. import bundled, exports, media
from ..engine import Engine
from ..examples import FOLDER as EXAMPLES
from ..examples import finished, temporary_studio
from ..making import versions
from ..requests import RECONSTRUCTION, SOURCE, Axis, ComparisonRequest, EditsRequest, TextToVideoRequest, TuningRequest
from ..settings import Settings
from . import axes

FOLDER = EXAMPLES / "walls"
EDITS = "edits"  # the wall of the one clip that is tuned on
TUNED_CLIP = "star"
EDITED = Axis(
    field="prompt",
    values=(SOURCE, RECONSTRUCTION, "red -> blue", "over green hills -> in the desert", "flat cartoon -> pixel art"),
)
GAP = 4  # pixels between clips
BEST_DRAWN = ("fish", "rocket", "triangle", "diamond", "heart", "star", "square", "ball")  # by the pocket model (`evaluate`), best first


def presets(models: Sequence[DomainModel]) -> dict[str, tuple[str, dict[str, object]]]:
    """Name -> (what it shows, what it puts into the form): a wall of strengths for each domain model, then walls for any model."""
    made: dict[str, tuple[str, dict[str, object]]] = {
        f"strength-{model.name}": (
            f"{model.title}: from the domain model alone to the prior alone, constant and fading, in a scene new to its style",
            {"prompt": unseen_prompt(model), "domain_model": model.name, "columns_field": "prior_strength", **best_mixing(model)},
        )
        for model in models
    }
    prompt = "a big red star bouncing over green hills, pixel art"
    made["guidance"] = (
        "Guidance: how strongly the prompt is followed",
        {"prompt": prompt, "domain_model": "", "columns_field": "guidance_scale"},
    )
    made["noise"] = (
        "Noise prior: alpha from independent frames to one shared noise, for three seeds (PYoCo)",
        {"prompt": prompt, "domain_model": "", "columns_field": "noise_alpha", "rows_field": "seed"},
    )
    return made


def best_mixing(model: DomainModel) -> dict[str, object]:
    """How a domain model of the pocket world is mixed best (`evaluate --composition`): without guidance, the style unsaid to the prior."""
    if model.style is None:
        return {}
    prior_prompt = unseen_prompt(model).rpartition(",")[0] if model.caption else ""
    varied = {"columns": "0.25, 0.5, 1, 2, 5", "rows_field": "strength_schedule"}
    return {**varied, "guidance_scale": 1, "prior_prompt": prior_prompt}


def unseen_prompt(model: DomainModel) -> str:
    """An object and a background that the domain model never saw in its style, in its own words."""
    thing = next((name for name in BEST_DRAWN if model.objects and name not in model.objects), "star")
    place = next((name for name in PHRASES["background"] if model.backgrounds and name not in model.backgrounds), "hills")
    words = f", {model.caption}" if model.caption else ""
    return f"a big red {PHRASES['object'][thing][0]} moving right {PHRASES['background'][place][0]}{words}"


def clip_of(name: str, folder: Path = FOLDER) -> Path | None:
    """The shipped clips of a preset, side by side in one file; None for a person's own domain models, which have none."""
    path = folder / f"{name}.mp4"
    return path if path.is_file() else None


# -- Making them --------------------------------------------------------------------------------------------------------


def request_of(values: Mapping[str, Any]) -> ComparisonRequest:
    """The wall of a preset, as the form would ask for it."""
    base = {name: value for name, value in values.items() if name in TextToVideoRequest.model_fields}
    varied: dict[str, Axis] = {}
    for axis in ("columns", "rows"):
        if field := values.get(f"{axis}_field"):
            varied[axis] = Axis(field=field, values=tuple(axes.parse(field, values.get(axis) or axes.usual(field, ()), tuple(axes.ENDS))))
    return ComparisonRequest(base=TextToVideoRequest(**base), **varied)


def make(folder: Path, model_dir: Path, only: Sequence[str] = ()) -> list[Path]:
    """Makes the clips of every preset and the edits of a bundled clip, or of those that are named.

    Raises:
        InvalidInput: for a name that there is not.
        JobError: when one fails.
        StorageError: when the folder cannot be written.
    """
    with temporary_studio(model_dir) as engine:
        known = presets(engine.domain_models())
        if unknown := set(only) - {*known, EDITS}:
            raise InvalidInput(f"There is no example {sorted(unknown)[0]!r}.", f"Choose of {', '.join([*known, EDITS])}.")
        made = [_write(engine, request_of(known[name][1]), folder / f"{name}.mp4") for name in known if not only or name in only]
        if not only or EDITS in only:
            made.append(_write(engine, _edits(engine), folder / f"{EDITS}.mp4"))
    return made


def _edits(engine: Engine) -> EditsRequest:
    """A wall of edits, once the model is tuned on its clip."""
    caption = bundled.caption(TUNED_CLIP)
    request = TuningRequest(name=TUNED_CLIP, clip=str(bundled.clip(TUNED_CLIP, engine.settings.data_dir)), caption=caption)
    finished(engine, request)
    base = TextToVideoRequest(prompt=caption, frames=request.frames, tuned_model=TUNED_CLIP)
    return EditsRequest(base=base, columns=EDITED)


def _write(engine: Engine, request: ComparisonRequest, path: Path) -> Path:
    """The wall's clips side by side in one file, which carries what was asked for."""
    state = engine.wall(finished(engine, request).job_id)
    rows = [_beside([clip for clip in row if clip is not None], axis=2) for row in exports.clips(state)]
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_mp4(_beside(rows, axis=1), request.base.fps, path, request.model_dump_json(), {"versions": versions()})
    return path


def _beside(clips: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Clips in one, with a dark gap between them."""
    shape = list(clips[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 17, np.uint8)
    return np.concatenate([part for clip in clips for part in (gap, clip)][1:], axis)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.tabs.example_walls", description="Makes the example walls of the page again.")
    parser.add_argument("names", nargs="*", help=f"Which; all where none is named. {EDITS!r} is that of one-shot tuning.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="Folder to write to.")
    parser.add_argument("--model", type=Path, default=Settings().model_dir, help="Folder of the model.")
    options = parser.parse_args()
    for path in make(options.out, options.model, options.names):
        print(path)


if __name__ == "__main__":
    main()
