"""What the composition gains, as numbers: prompts that a domain model cannot know, read by the oracle, over all prior strengths.

    python -m pipelines.pocket evaluate --composition --json FILE

Video Adapter (arXiv 2306.01872) claims that a small domain model borrows content from a frozen prior and keeps its own style. Here both
can be read: every prompt asks for an object and a background that the domain model has never seen in its style, in that style, which
the prior has never seen at all. Every reading is appended to a file beside the JSON as it is made, and a second call makes only
what is missing, so that a grid of hours can be interrupted and made in parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..composition import ComposedDenoiser, strength_schedule
from ..composition import Path as NoisePath
from ..domain_models import DomainModel, check_fits, list_domain_models, load_domain_model
from ..errors import InvalidInput
from ..latent_space import weights_hash
from ..text_to_video import TextToVideoPipeline
from .captions import PHRASES, Attributes, plain_caption, random_attributes
from .domains import DOMAINS, Domain
from .evaluate import to_pixels
from .oracle import READS, Oracle, Reading

PRIOR_ALONE = "prior alone"
COMPOSED = "composed"
WRONG_WAY = "guided prior"  # composed with the prior's guided prediction, which the paper warns of


@dataclass(frozen=True)
class Cell:
    """One setting, with which all prompts are made.

    Args:
        domain: name of the domain model.
        way: COMPOSED, WRONG_WAY or PRIOR_ALONE.
        strength: gamma; 0 is the domain model alone.
        mode, schedule: see `ComposedDenoiser` and `strength_schedule`.
        langevin: correction steps at each level.
        guidance: guidance scale.
        seed: of the noise.
    """

    domain: str
    way: str = COMPOSED
    strength: float = 0.0
    mode: str = "normalised"
    schedule: str = "constant"
    langevin: int = 0
    guidance: float = 2.0
    seed: int = 0

    @property
    def series(self) -> tuple[Any, ...]:
        """All but strength and seed: what one curve shows."""
        return (self.domain, self.way, self.mode, self.schedule, self.langevin, self.guidance)


@dataclass(frozen=True)
class Grid:
    """Which cells are made.

    Args:
        strengths: gammas; 0 is always added, once a domain model, guidance and seed.
        modes, schedules, langevin, guidances: every combination is made.
        wrong_way: whether the prior's guided output is composed too (normalised, constant, no correction).
        seeds: how many.
        prompts: of each cell.
        batch: clips made at once.
        frames, steps: of a clip; None is the model's own.
        prior_guidance: of the prior alone and of the wrong way; None is the model's own.
        prior_words: "same" gives the prior the whole prompt, "known" leaves out the style, whose words it has never seen.
    """

    strengths: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    modes: tuple[str, ...] = ("normalised", "paper")
    schedules: tuple[str, ...] = ("constant", "fading")
    langevin: tuple[int, ...] = (0, 2)
    guidances: tuple[float, ...] = (2.0,)
    wrong_way: bool = True
    seeds: int = 3
    prompts: int = 128
    batch: int = 16
    frames: int | None = None
    steps: int | None = None
    prior_guidance: float | None = None
    prior_words: str = "same"

    def __post_init__(self) -> None:
        for name in ("seeds", "prompts", "batch"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", "Give a whole number of 1 or more.")
        if not self.guidances:
            raise InvalidInput("No guidance scale was given.", "Give at least one.")

    def cells(self, domain: str) -> Iterator[Cell]:
        """Of one domain model: the two ends first, then what is cheap, for each seed."""
        above = sorted({strength for strength in self.strengths if strength != 0})
        for seed in range(self.seeds):
            yield Cell(domain, PRIOR_ALONE, seed=seed, guidance=self.prior_guidance or 0.0)
            for w in self.guidances:
                yield Cell(domain, guidance=w, seed=seed)
            for k, s, m, w, g in product(sorted(self.langevin), self.schedules, self.modes, self.guidances, above):
                yield Cell(domain, COMPOSED, g, m, s, k, w, seed)
            for w, g in product(self.guidances, above if self.wrong_way else ()):
                yield Cell(domain, WRONG_WAY, g, guidance=w, seed=seed)


def unseen_prompts(domain: Domain, count: int) -> list[Attributes]:
    """Objects and backgrounds that the domain has never seen, in its style: every pair of them equally often, no prompt twice.

    Motions in turn, colours and sizes at random; nothing is chosen by what comes out.
    """
    rng = np.random.default_rng(2000)
    pairs, motions = list(product(domain.unseen_objects, domain.unseen_backgrounds)), list(PHRASES["motion"])
    asked: dict[Attributes, None] = {}
    in_vain = 0
    while in_vain < 1000:
        thing, place = pairs[len(asked) % len(pairs)]
        drawn = asdict(random_attributes(rng, (domain.style,)))
        motion = motions[(len(asked) + len(asked) // len(pairs)) % len(motions)]
        wanted = Attributes(**{**drawn, "object": thing, "background": place, "motion": motion})
        in_vain = in_vain + 1 if wanted in asked else 0
        asked[wanted] = None
        if len(asked) == count:
            return list(asked)
    raise InvalidInput(f"There are no {count} different prompts.", f"Ask for at most {len(asked)}.")


# ---------------------------------------------------------------------------------------------------------------------
# Making the clips


class GuidedNetwork(nn.Module):
    """A network whose answer is already guided. Composing it is the wrong way: p^w / p(empty)^(w - 1) is no longer a prior."""

    def __init__(self, network: nn.Module, without: Mapping[str, torch.Tensor], scale: float) -> None:
        super().__init__()
        self.network, self.without, self.scale = network, dict(without), scale

    @property
    def config(self) -> Any:
        return self.network.config

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, return_dict: bool = False, **inputs: Any) -> tuple[torch.Tensor]:
        """(b, c, f, h, w) and text -> e_u + w (e_c - e_u)."""
        away = {name: value.expand(len(sample), *value.shape[1:]) for name, value in self.without.items()}
        conditional = self.network(sample, timestep, **inputs, return_dict=False)[0].float()
        unconditional = self.network(sample, timestep, **{**inputs, **away}, return_dict=False)[0].float()
        return (unconditional + self.scale * (conditional - unconditional),)


@dataclass
class Maker:
    """Makes the clips of a cell.

    Args:
        pipe: the resident model; its network is the prior.
        grid: what a clip is.
        adapters: the loaded domain models by name.
    """

    pipe: TextToVideoPipeline
    grid: Grid
    adapters: Mapping[str, nn.Module]

    def make(self, cell: Cell, asked: Sequence[Attributes], first: int) -> np.ndarray:
        """Clips uint8 (n, f, h, w, 3). Clip i starts from the same noise in every cell of a seed.

        Args:
            first: index of the first prompt among all.
        """
        generators = [torch.Generator().manual_seed(100_000 * cell.seed + first + i) for i in range(len(asked))]
        options: dict[str, Any] = {"generator": generators, "num_frames": self.grid.frames, "num_inference_steps": self.grid.steps}
        prompts = [plain_caption(a) for a in asked]
        if cell.way == PRIOR_ALONE:
            return to_pixels(self.pipe(prompts, guidance_scale=self._prior_guidance, **options).frames)
        composed = self._compose(cell, asked)
        parts = {**self.pipe.components, "unet": composed}
        mixed = TextToVideoPipeline(**parts, generation=self.pipe.defaults.to_dict())
        mixed.set_progress_bar_config(disable=True)
        if cell.langevin and cell.strength:
            noise_prior = self.pipe.defaults.noise_prior
            options["callback_on_step_end"] = composed.corrector(
                cell.langevin,
                noise=lambda shape, source: noise_prior.sample(shape, source),
                guidance_scale=cell.guidance,
                generator=generators,
            )
        return to_pixels(mixed(prompts, guidance_scale=cell.guidance, **options).frames)

    @property
    def _prior_guidance(self) -> float:
        return self.grid.prior_guidance or self.pipe.defaults.guidance_scale

    def _compose(self, cell: Cell, asked: Sequence[Attributes]) -> ComposedDenoiser:
        prior: nn.Module = self.pipe.unet
        if cell.way == WRONG_WAY:
            prior = GuidedNetwork(prior, self._text([""]), self._prior_guidance)
        known = self._text([_without_style(a) for a in asked]) if self.grid.prior_words == "known" else None
        path = NoisePath.of(self.pipe.scheduler)
        return ComposedDenoiser(
            prior,
            self.adapters[cell.domain],
            strength_schedule(cell.schedule, cell.strength),
            cell.mode,  # type: ignore[arg-type]  # checked by the class
            adapter_path=path,
            prior_path=path,
            prior_inputs=known,
            guided=cell.guidance > 1,
        )

    @torch.no_grad()
    def _text(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        return self.pipe._encode(prompts, None, guided=False, device=self.pipe.device)


def _without_style(attributes: Attributes) -> str:
    return plain_caption(attributes).rpartition(",")[0]


# ---------------------------------------------------------------------------------------------------------------------
# The readings


@dataclass
class Readings:
    """Readings on disk, one JSON line a clip, appended as they are made.

    Args:
        file: of lines {"cell", "prompt", "asked", "read"}; a line cut off by a kill is passed over.
        making: domain model -> what else decides a clip (frames, steps, weights); lines made otherwise do not count.
    """

    file: Path
    making: Mapping[str, str]
    rows: dict[Cell, dict[int, dict[str, bool]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.file.read_text().splitlines() if self.file.exists() else ():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            cell = Cell(**row["cell"])
            if row["making"] == self.making.get(cell.domain):
                self._keep(cell, row["prompt"], row["asked"], row["read"])

    def add(self, cell: Cell, first: int, asked: Sequence[Attributes], read: Sequence[Reading]) -> None:
        """Appends a batch."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as lines:
            for i, (a, r) in enumerate(zip(asked, read, strict=True), first):
                wanted, seen = ({name: getattr(x, name) for name in READS} for x in (a, r))
                row = {"making": self.making[cell.domain], "cell": asdict(cell), "prompt": i, "asked": wanted, "read": seen}
                lines.write(json.dumps(row) + "\n")
                self._keep(cell, i, wanted, seen)

    def missing(self, cell: Cell, count: int) -> list[int]:
        """Prompts of a cell that have not been read."""
        return [i for i in range(count) if i not in self.rows.get(cell, {})]

    def _keep(self, cell: Cell, prompt: int, asked: dict[str, str], read: dict[str, str | None]) -> None:
        self.rows.setdefault(cell, {})[prompt] = {name: asked[name] == read[name] for name in READS}


def run(
    pipe: TextToVideoPipeline,
    models: Sequence[DomainModel],
    grid: Grid,
    file: Path,
    oracle: Oracle | None = None,
    progress: Callable[[str], None] | None = None,
) -> Readings:
    """Makes and reads every clip of the grid that `file` does not have yet. Ctrl-C ends it early with what there is.

    Raises:
        IncompatibleModels: a domain model of another base.
    """
    oracle = oracle or Oracle.from_pretrained()
    for model in models:
        check_fits(model, pipe)
    maker = Maker(pipe, grid, {model.name: load_domain_model(model.folder, str(pipe.device)) for model in models})
    prior = weights_hash(pipe.unet)
    readings = Readings(file, {name: f"{_clip(pipe, grid)}, {prior}, {weights_hash(unet)}" for name, unet in maker.adapters.items()})
    cells = sorted((cell for model in models for cell in grid.cells(model.name)), key=lambda cell: cell.seed)
    styles = {model.name: str(model.style) for model in models}
    try:
        for number, cell in enumerate(cells, 1):
            _fill(cell, maker, readings, oracle, unseen_prompts(DOMAINS[styles[cell.domain]], grid.prompts))
            if progress:
                progress(f"{number}/{len(cells)}  {cell.domain}  {cell.way}  {cell.strength:g}  {cell.mode}  {cell.schedule}")
    except KeyboardInterrupt:
        pass
    return readings


def _fill(cell: Cell, maker: Maker, readings: Readings, oracle: Oracle, prompts: list[Attributes]) -> None:
    """What is missing of a cell, batch by batch. Batches start at fixed prompts."""
    missing = set(readings.missing(cell, len(prompts)))
    for first in range(0, len(prompts), maker.grid.batch):
        asked = prompts[first : first + maker.grid.batch]
        if missing & set(range(first, first + len(asked))):
            clips = maker.make(cell, asked, first)
            readings.add(cell, first, asked, oracle.read_batch(list(clips)))


def _clip(pipe: TextToVideoPipeline, grid: Grid) -> str:
    """What a clip is, besides its cell, its prompt and the weights."""
    own = pipe.defaults
    return f"{grid.frames or own.num_frames} frames, {grid.steps or own.num_inference_steps} steps, prior words {grid.prior_words}"


def find_models(folder: Path, names: Sequence[str]) -> list[DomainModel]:
    """The domain models of the pocket world in a folder; all, or those that are named.

    Raises:
        InvalidInput: there are none, or not the named ones.
    """
    found = {model.name: model for model in list_domain_models(folder) if model.style in DOMAINS}
    if unknown := [name for name in names if name not in found]:
        raise InvalidInput(f"There is no domain model {unknown[0]!r} in {str(folder)!r}.", f"There is: {', '.join(found) or 'none'}.")
    if not found:
        raise InvalidInput(f"There are no domain models in {str(folder)!r}.", "Train them with `python -m pipelines.pocket domain`.")
    return [found[name] for name in names] if names else list(found.values())
