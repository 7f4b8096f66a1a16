"""One-shot tuning as numbers: rendered clips, one attribute of each edited, read by the oracle, with the paper's ablations.

    python -m pipelines.pocket one-shot --clips 48 --json FILE

Tune-A-Video (arXiv 2212.11565) claims that what the prompt changes changes, and that everything else, the motion above all, stays. On
rendered clips both can be read. Every reading is appended to a file beside the JSON as it is made, and a second call makes only what
is missing. The clips show, before and after the edit, combinations that the model has never seen in training.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..clip_reader import ClipReader
from ..errors import InvalidInput
from ..latent_space import weights_hash
from ..metrics import frame_consistency
from ..one_shot import OneShotTuner, Tuned, TuningSettings, default_refinements, default_settings, default_steps, edit, encode_clip, invert
from ..text_to_video import TextToVideoPipeline
from .captions import PHRASES, PRIOR_STYLES, Attributes, plain_caption, random_attributes
from .evaluate import to_pixels
from .oracle import READS, Oracle, Reading
from .world import Path as WorldPath
from .world import render_with_path

EDITED = ("color", "object", "background", "style")  # the attributes that are edited, in turn
KEPT = tuple(name for name in READS if name != "motion")  # motion has a column of its own


@dataclass(frozen=True)
class Way:
    """The method, whole or without one of its parts.

    Args:
        label: for people.
        sparse_causal: attention to the first and the previous frame.
        inverted: the edit starts from the clip's inverted noise; otherwise from fresh noise of the model's own prior.
        tuned: on the clip.
    """

    label: str
    sparse_causal: bool = True
    inverted: bool = True
    tuned: bool = True


WAYS = {
    "full": Way("full method"),
    "own-attention": Way("without sparse-causal attention", sparse_causal=False),
    "fresh-noise": Way("without inversion", inverted=False),
    "untuned": Way("without tuning", tuned=False),
}


@dataclass(frozen=True)
class Plan:
    """What is made.

    Args:
        clips: how many, one edit each.
        seed: of the clips.
        ways: keys of WAYS.
        tuning: steps, learning rate and the like; None is the model's `default_settings`.
        guidance_scale: of the edit; None is the model's own.
        steps: of inversion and edit; None is the model's own.
    """

    clips: int = 48
    seed: int = 4000
    ways: tuple[str, ...] = tuple(WAYS)
    tuning: TuningSettings | None = None
    guidance_scale: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise InvalidInput(f"clips is {self.clips}.", "Give a whole number of 1 or more.")
        if unknown := [way for way in self.ways if way not in WAYS]:
            raise InvalidInput(f"There is no way {unknown[0]!r}.", f"Choose among {', '.join(WAYS)}.")


@dataclass(frozen=True)
class Case:
    """A rendered clip and its edit.

    Args:
        number: among all; with the seed it decides the rendering.
        seed: of all.
        source: what the clip shows.
        edited: the one attribute that is edited.
        target: what the edit should show.
    """

    number: int
    seed: int
    source: Attributes
    edited: str
    target: Attributes

    def render(self) -> tuple[np.ndarray, WorldPath]:
        """uint8 (f, 64, 64, 3), and the path that the object takes."""
        return render_with_path(self.source, np.random.default_rng((3, self.seed, self.number)))


def cases(count: int, seed: int) -> list[Case]:
    """The edited attributes in turn and the motions in equal numbers, the rest at random; the first of many are the few.

    Source and target are both triples of object, colour and background that are held out of training.
    """
    rng, motions = np.random.default_rng(seed), list(PHRASES["motion"])
    made: list[Case] = []
    while len(made) < count:
        i, edited = len(made), EDITED[len(made) % len(EDITED)]
        source = replace(random_attributes(rng, held_out=True), motion=motions[(i // 4 + 3 * (i % 4)) % len(motions)])
        values = PRIOR_STYLES if edited == "style" else PHRASES[edited]
        targets = [replace(source, **{edited: value}) for value in values if value != getattr(source, edited)]
        if targets := [target for target in targets if target.is_held_out]:
            made.append(Case(i, seed, source, edited, targets[rng.integers(len(targets))]))
    return made


# ---------------------------------------------------------------------------------------------------------------------
# Making the edits


class Subject:
    """One clip under all the ways; what two ways share is made once.

    Args:
        pipe: the resident model.
        case: the clip and its edit.
        plan: how.
    """

    def __init__(self, pipe: TextToVideoPipeline, case: Case, plan: Plan) -> None:
        self.pipe, self.case, self.plan = pipe, case, plan
        self.frames, self.path = case.render()
        self.latents = encode_clip(pipe, self.frames)
        self._tunings: dict[bool, tuple[Tuned, float]] = {}

    def make(self, way: Way) -> tuple[np.ndarray, dict[str, float]]:
        """The edited clip, uint8 (f, h, w, 3), and the seconds of tuning, inversion and edit."""
        tuned, seconds = self._tune(way.sparse_causal) if way.tuned else (Tuned({}, sparse_causal=False), 0.0)
        times, began = {"tuning": seconds}, time.perf_counter()
        noise = self.invert(tuned) if way.inverted else self._fresh_noise()
        times["inversion"], began = time.perf_counter() - began, time.perf_counter()
        clip = self.sample(tuned, noise, plain_caption(self.case.target), self.plan.guidance_scale)
        return clip, times | {"edit": time.perf_counter() - began}

    def reconstruct(self) -> np.ndarray:
        """The source again, from its inverted noise and its own caption, without guidance."""
        tuned, _ = self._tune(sparse_causal=True)
        return self.sample(tuned, self.invert(tuned), plain_caption(self.case.source), guidance_scale=1.0)

    def invert(self, tuned: Tuned) -> torch.Tensor:
        return invert(self.pipe, tuned, self.latents, self.steps)

    def sample(self, tuned: Tuned, noise: torch.Tensor, prompt: str, guidance_scale: float | None) -> np.ndarray:
        return to_pixels(edit(self.pipe, tuned, prompt, noise, num_inference_steps=self.steps, guidance_scale=guidance_scale))

    @property
    def steps(self) -> int:
        return self.plan.steps or default_steps(self.pipe)

    def _tune(self, sparse_causal: bool) -> tuple[Tuned, float]:
        """What tuning on the clip leaves, and its seconds."""
        if sparse_causal not in self._tunings:
            settings = replace(self.plan.tuning or default_settings(self.pipe), sparse_causal=sparse_causal)
            began = time.perf_counter()
            tuner = OneShotTuner(self.pipe, self.frames, plain_caption(self.case.source), settings)
            for _ in tuner:
                pass
            self._tunings[sparse_causal] = tuner.tuned(), time.perf_counter() - began
        return self._tunings[sparse_causal]

    def _fresh_noise(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1000 * self.case.seed + self.case.number)
        return self.pipe.defaults.noise_prior.sample(tuple(self.latents.shape), generator, self.latents.device)


# ---------------------------------------------------------------------------------------------------------------------
# The readings


def path_correlation(path: WorldPath, found: np.ndarray) -> float | None:
    """How much the object moves as in the source: the correlation of its positions over time, x and y together, in [-1, 1].

    None where the source's object rests, as it does when it spins or grows; 0 where no object was found.

    Args:
        path: of the source, as it was rendered.
        found: (f, 2), as the oracle read it in the edit.
    """
    true = np.stack([path.x, path.y], axis=1)
    true = true - true.mean(0)
    if not np.any(np.abs(true) > 1e-6):
        return None
    found = found - found.mean(0)
    norm = np.linalg.norm(true) * np.linalg.norm(found)
    return float((true * found).sum() / norm) if np.isfinite(norm) and norm > 0 else 0.0


def measure(case: Case, path: WorldPath, reading: Reading, clip: np.ndarray, by_clip: ClipReader | None = None) -> dict[str, Any]:
    """What was made of one clip, as JSON values. Frame consistency is of pixels where there is no CLIP."""
    right = {name: getattr(reading, name) == getattr(case.target, name) for name in READS}
    unedited = [right[name] for name in KEPT if name != case.edited]
    seen = by_clip.read(clip, plain_caption(case.target)) if by_clip else {}
    return {
        "edited": right[case.edited],
        "motion": right["motion"],
        "path": path_correlation(path, reading.path),
        "kept": sum(unedited) / len(unedited),
        "consistency": seen.get("consistency", frame_consistency(clip)),
        "alignment": seen.get("text"),
        "read": {name: getattr(reading, name) for name in READS},
    }


@dataclass
class Rows:
    """Readings on disk, one JSON line a clip and way, appended as they are made.

    Args:
        file: of lines {"making", "case", "way", ...}; a line cut off by a kill is passed over.
        making: what else decides a clip (weights, settings); lines made otherwise do not count.
    """

    file: Path
    making: str
    rows: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.file.read_text().splitlines() if self.file.exists() else ():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if row["making"] == self.making:
                self.rows[row["way"], row["case"]] = row

    def add(self, way: str, case: Case, values: Mapping[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        wanted = {"edited_attribute": case.edited, "source": asdict(case.source), "target": asdict(case.target)}
        row = {"making": self.making, "way": way, "case": case.number, **wanted, **values}
        with self.file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        self.rows[way, case.number] = row

    def of(self, way: str, count: int) -> list[dict[str, Any]]:
        """A way's rows of the first `count` cases."""
        return [self.rows[way, i] for i in range(count) if (way, i) in self.rows]


def making_of(pipe: TextToVideoPipeline, plan: Plan) -> str:
    """What decides a row besides its case and way."""
    settings = plan.tuning or default_settings(pipe)
    scale = pipe.defaults.guidance_scale if plan.guidance_scale is None else plan.guidance_scale
    steps = plan.steps or default_steps(pipe)
    taken = f"{steps} steps, {default_refinements(pipe)} refinements"
    return f"{weights_hash(pipe.unet)}, clips {plan.seed}, {settings}, guidance {scale:g}, {taken}"


def run(
    pipe: TextToVideoPipeline,
    plan: Plan,
    file: Path,
    oracle: Oracle | None = None,
    by_clip: ClipReader | None = None,
    progress: Callable[[str], None] | None = None,
) -> Rows:
    """Makes and reads every edit of the plan that `file` does not have yet. Ctrl-C ends it early with what there is."""
    oracle, rows = oracle or Oracle.from_pretrained(), Rows(file, making_of(pipe, plan))
    try:
        for case in cases(plan.clips, plan.seed):
            missing = [way for way in plan.ways if (way, case.number) not in rows.rows]
            subject = Subject(pipe, case, plan) if missing else None
            for way in missing:
                assert subject is not None
                clip, seconds = subject.make(WAYS[way])
                values = measure(case, subject.path, oracle.read(clip), clip, by_clip)
                rows.add(way, case, values | {"seconds": seconds})
            if progress:
                progress(f"{case.number + 1}/{plan.clips}  {case.edited}  {plain_caption(case.target)}")
    except KeyboardInterrupt:
        pass
    return rows
