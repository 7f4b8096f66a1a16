"""Domain models of the pocket world: what each has seen, how foreign words are used, and the command that trains one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.domain_models import read_domain_model
from pipelines.pocket.__main__ import main
from pipelines.pocket.captions import DOMAIN_STYLES, PHRASES, plain_caption, read_prompt
from pipelines.pocket.domains import DOMAINS, render_material, wording
from pipelines.pocket.warps import warp
from pipelines.pocket.world import render
from tests.tiny import save_tiny_model, tiny_pipeline


def test_each_domain_has_half_of_the_objects_and_backgrounds_and_the_two_have_all() -> None:
    sketch, neon = (DOMAINS[style] for style in DOMAIN_STYLES)
    for name in ("objects", "backgrounds"):
        halves = [getattr(domain, name) for domain in (sketch, neon)]
        assert len(halves[0]) == len(halves[1])
        assert sorted((*halves[0], *halves[1])) == sorted(PHRASES[name[:-1]])
    assert sketch.unseen_objects == neon.objects


@pytest.mark.parametrize("style", DOMAIN_STYLES)
def test_what_is_drawn_lies_in_the_slice_or_wholly_outside_it(style: str) -> None:
    domain, rng = DOMAINS[style], np.random.default_rng(0)
    for _ in range(50):
        seen, unseen = domain.draw(rng, held_out=False), domain.draw(rng, seen=False)
        assert (seen.object in domain.objects, seen.background in domain.backgrounds, seen.style) == (True, True, style)
        assert not seen.is_held_out
        assert (unseen.object in domain.objects, unseen.background in domain.backgrounds, unseen.style) == (False, False, style)


def test_a_foreign_wording_names_only_what_the_domain_has_never_seen_and_the_rest_is_right() -> None:
    domain, rng = DOMAINS["neon"], np.random.default_rng(0)
    for foreign in (True, False):
        for _ in range(200):
            attributes = domain.draw(rng)
            named = read_prompt(wording(domain, attributes, rng, foreign=foreign))
            assert (named["object"] in domain.objects) is not foreign if "object" in named else True
            assert named.get("motion", attributes.motion) == attributes.motion
            assert named.get("color", attributes.color) == attributes.color


def test_half_of_the_captions_are_foreign() -> None:
    domain = DOMAINS["sketch"]
    texts = render_material(domain, tiny_pipeline(), clips=60, pictures=60).texts.rows
    named = [read_prompt(text).get("object") for text in texts if text]
    assert np.mean([name in domain.unseen_objects for name in named if name]) == pytest.approx(0.5, abs=0.15)


def test_a_warped_clip_is_bent_alike_in_every_frame_and_keeps_its_colours() -> None:
    rng = np.random.default_rng(0)
    still = render(replace(DOMAINS["sketch"].draw(rng), motion="still"), rng)
    bent = warp(still, rng)
    assert bent.shape == still.shape
    assert (bent == bent[:1]).all()
    assert np.abs(bent.astype(int) - still).mean() > 3
    assert np.abs(bent.mean((0, 1, 2)) - still.mean((0, 1, 2))).max() < 12


def test_material_is_a_function_of_the_seed() -> None:
    pipe = tiny_pipeline()
    first, again = (render_material(DOMAINS["sketch"], pipe, clips=3, pictures=4) for _ in range(2))
    assert first.clips.latents.shape == (3, 12, 16, 8, 8)
    assert first.pictures is not None
    assert first.pictures.latents.shape == (4, 12, 1, 8, 8)
    assert torch.equal(first.clips.latents, again.clips.latents)
    assert first.texts.rows == again.texts.rows


def test_one_command_trains_a_domain_model_with_a_card(tmp_path: Path) -> None:
    base, out = save_tiny_model(tmp_path / "tiny"), tmp_path / "neon-tiny"
    command = f"domain --style neon --share 0.4 --minutes 0.03 --clips 4 --pictures 8 --out {out} --model {base}"
    assert main(command.split()) == 0
    model = read_domain_model(out)
    assert (model.name, model.style, model.caption, model.objects) == ("neon-tiny", "neon", "neon", DOMAINS["neon"].objects)
    card = (out / "README.md").read_text()
    assert "It has never seen ball, triangle, heart and fish." in card
    assert plain_caption(DOMAINS["neon"].draw(np.random.default_rng(0))).endswith(model.caption or "")
