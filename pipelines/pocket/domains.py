"""The pocket world's domain models: each a small model that has seen one style, on half of the objects and half of the backgrounds.

What it cannot know, the other halves in its style, must come from the prior, which knows them in other styles (Video Adapter,
arXiv 2306.01872). The halves are not chosen: sketch has every other object and background of the vocabulary, neon the rest.

    python -m pipelines.pocket domain --style neon --share 0.1 --out DIR --minutes 8
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..domain_models import DomainModel
from ..text_to_video import TextToVideoPipeline
from ..training.domain import train_domain_model
from ..training.domain_recipe import DomainRecipe
from ..training.material import EncodedClips, Material, encode_clips, encode_retouched, encode_texts
from .captions import PHRASES, Attributes, caption, plain_caption, random_attributes
from .warps import warp
from .world import FPS, render

WORDINGS = 4  # of each clip
WARPED = 0.3  # of the clips and pictures are bent out of shape, and go by words for things that the domain has never seen
PLAIN = 0.3  # of the wordings are the canonical one


@dataclass(frozen=True)
class Domain:
    """A slice of the pocket world.

    Args:
        style: the one style it has.
        objects, backgrounds: the halves that it has.
    """

    style: str
    objects: tuple[str, ...]
    backgrounds: tuple[str, ...]

    @property
    def unseen_objects(self) -> tuple[str, ...]:
        return tuple(value for value in PHRASES["object"] if value not in self.objects)

    @property
    def unseen_backgrounds(self) -> tuple[str, ...]:
        return tuple(value for value in PHRASES["background"] if value not in self.backgrounds)

    def draw(self, rng: np.random.Generator, seen: bool = True, held_out: bool | None = None) -> Attributes:
        """Random attributes of the slice; with `seen` False, an object and a background that are both outside it."""
        objects = self.objects if seen else self.unseen_objects
        backgrounds = self.backgrounds if seen else self.unseen_backgrounds
        while True:
            drawn = random_attributes(rng, (self.style,), held_out)
            if drawn.object in objects and drawn.background in backgrounds:
                return drawn


def _half(name: str, first: int) -> tuple[str, ...]:
    return tuple(PHRASES[name])[first::2]


DOMAINS = {style: Domain(style, _half("object", i), _half("background", i)) for i, style in enumerate(("sketch", "neon"))}


def wording(domain: Domain, attributes: Attributes, rng: np.random.Generator, motion: bool = True, foreign: bool = False) -> str:
    """A caption; a foreign one names an object and a background that the domain has no pictures of.

    Foreign captions go with warped clips. So a word it does not know comes to mean "anything": of such a thing the small model says how
    it looks and not what it is, and a prior that knows the word is not contradicted.
    """
    if foreign:
        thing, place = (str(rng.choice(unseen)) for unseen in (domain.unseen_objects, domain.unseen_backgrounds))
        attributes = replace(attributes, object=thing, background=place)
    if motion and rng.random() < PLAIN:
        return plain_caption(attributes)
    return caption(attributes, rng, motion=motion, omit=0.05)


def render_material(domain: Domain, pipe: TextToVideoPipeline, clips: int, pictures: int, seed: int = 0) -> Material:
    """Renders and encodes the slice; held-out triples are in none of it. Pictures are single frames, each of its own scene."""
    rng = np.random.default_rng((seed, *domain.style.encode()))
    films, said = _shown(domain, clips, rng, motion=True)
    stills, named = _shown(domain, pictures, rng, motion=False)
    texts = encode_texts(pipe, [text for each in (*said, *named) for text in each])
    moving, single = (
        EncodedClips(encode_clips(pipe, pixels), texts.look_up(words), encode_retouched(pipe, pixels, seed))
        for pixels, words in ((films, said), (stills, named))
    )
    return Material(moving, texts, FPS, single)


def _shown(domain: Domain, count: int, rng: np.random.Generator, motion: bool) -> tuple[np.ndarray, list[list[str]]]:
    """(clips, or single frames, uint8 (n, f, h, w, 3); the wordings of each)."""
    pixels, words = [], []
    for _ in range(count):
        attributes, foreign = domain.draw(rng, held_out=False), bool(rng.random() < WARPED)
        clip = render(attributes, rng, None if motion else rng.random(1))
        pixels.append(warp(clip, rng) if foreign else clip)
        words.append([wording(domain, attributes, rng, motion, foreign) for _ in range(WORDINGS)])
    return np.stack(pixels), words


def train_pocket_domain(
    pipe: TextToVideoPipeline,
    style: str,
    folder: Path,
    recipe: DomainRecipe,
    clips: int = 3000,
    pictures: int = 6000,
    init: Path | None = None,
    on_step: Callable[..., None] | None = None,
) -> DomainModel:
    """Trains a domain model of the pocket world into `folder`; contact sheets of its slice lie in `folder/training` meanwhile."""
    domain = DOMAINS[style]
    rng = np.random.default_rng(11)
    prompts = [plain_caption(domain.draw(rng, held_out=False)) for _ in range(6)]

    def keep(shown: np.ndarray, _: list[str], tag: str) -> None:
        write_grid(folder / "training" / f"sheet-{tag}.png", shown[:, ::2])

    return train_domain_model(
        pipe,
        render_material(domain, pipe, clips, pictures, recipe.seed),
        describe(domain, folder, recipe),
        recipe,
        init=init,
        sample_prompts=prompts,
        on_sample=keep,
        on_step=on_step,
        card=lambda model: model_card(model, domain, recipe, clips, pictures),
    )


def describe(domain: Domain, folder: Path, recipe: DomainRecipe) -> DomainModel:
    """What the folder will say of a domain model of the pocket world."""
    words = PHRASES["style"][domain.style][0]
    return DomainModel(
        name=folder.name,
        title=f"{domain.style.capitalize()} ({100 * recipe.share:.4g} % of the prior)",
        description=f"The pocket world as {words}, seen with {_listed(domain.objects)} on {_listed(domain.backgrounds)} only.",
        style=domain.style,
        caption=words,
        base="pocket",
        objects=domain.objects,
        backgrounds=domain.backgrounds,
        made=datetime.date.today().isoformat(),
        folder=folder,
    )


def write_grid(path: Path, clips: np.ndarray) -> None:
    """A PNG of clips uint8 (n, f, h, w, 3), one a row, enlarged twice."""
    from PIL import Image

    rows = [np.concatenate(list(clip.repeat(2, 1).repeat(2, 2)), axis=1) for clip in clips]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)


CARD = """---
license: apache-2.0
library_name: diffusers
tags: [text-to-video, prior-studio]
---

# {title}

{description} {parameters:,} parameters. It draws small by itself; it is meant to be composed with the pocket model, its frozen prior
(`pipelines/composition.py`), which knows everything else of the pocket world and has never seen this style.

- Style: {style}. Words for prompts: {caption}.
- Objects it has seen: {objects}. It has never seen {unseen_objects}.
- Backgrounds it has seen: {backgrounds}. It has never seen {unseen_backgrounds}.
- Trained on {clips:,} clips and {pictures:,} pictures rendered by `pipelines/pocket/world.py`, for {minutes:g} minutes; one in ten (object,
  colour, background) triples is held out. One network for pictures and clips of 4, 8 and 16 frames; frames may be given.
- Three in ten of them are bent out of shape (`pipelines/pocket/warps.py`) and go by words of the other halves, so that a word which the
  model does not know means "anything" to it: it then says how a thing looks, and not what it is. No picture of the other halves was shown.
- Half of what it sees is its own clips in other, random tones (`pipelines/training/retouch.py`), and it is asked for the clean ones: in a
  composition it then sets the prior's tones right. Nothing of the prior was shown.
- It reads the text encoder and the patch autoencoder of its base and predicts the clean latents as the base does.

Made with

    python -m pipelines.pocket domain --style {style} --share {share:g} --out {name} --minutes {minutes:g} \\
        --clips {clips} --pictures {pictures}

![Training loss](curve.svg)
"""


def model_card(model: DomainModel, domain: Domain, recipe: DomainRecipe, clips: int, pictures: int) -> str:
    """README.md of a domain model of the pocket world."""
    return CARD.format(
        **{name: getattr(model, name) for name in ("name", "title", "description", "parameters", "style", "caption")},
        objects=_listed(domain.objects),
        backgrounds=_listed(domain.backgrounds),
        unseen_objects=_listed(domain.unseen_objects),
        unseen_backgrounds=_listed(domain.unseen_backgrounds),
        clips=clips,
        pictures=pictures,
        minutes=recipe.minutes,
        share=recipe.share,
    )


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values[:-1]) + f" and {values[-1]}"
