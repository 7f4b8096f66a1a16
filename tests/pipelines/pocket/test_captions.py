"""Words of the pocket world: many ways to say a thing, all of them known."""

from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pytest

from pipelines.pocket.captions import (
    DOMAIN_STYLES,
    MAX_TOKENS,
    NAMES,
    PHRASES,
    PRIOR_STYLES,
    Attributes,
    caption,
    example_prompts,
    plain_caption,
    random_attributes,
    read_prompt,
    unknown_words,
    vocabulary,
    word_list,
    words_of,
)

STAR = Attributes("star", "red", "big", "left", "hills", "pixel")


def captions(count: int, **options: object) -> list[tuple[Attributes, str]]:
    rng = np.random.default_rng(0)
    drawn = [random_attributes(rng, tuple(PHRASES["style"])) for _ in range(count)]
    return [(known, caption(known, rng, **options)) for known in drawn]


def test_every_word_of_every_caption_is_known_and_fits() -> None:
    for _, text in captions(2000, omit=0.2):
        assert unknown_words(text) == []
        assert set(words_of(text)) <= set(word_list()), text
        assert len(words_of(text)) + 2 <= MAX_TOKENS, text


def test_a_caption_says_what_the_clip_shows() -> None:
    for known, text in captions(300):
        for name in ("object", "motion", "background", "style"):
            assert any(phrase in text for phrase in PHRASES[name][getattr(known, name)]), (name, text)


def test_the_same_state_gives_the_same_caption_and_another_state_another_wording() -> None:
    said = [caption(STAR, np.random.default_rng(seed)) for seed in (1, 1, *range(2, 30))]
    assert said[0] == said[1]
    assert len(set(said)) > 20


def test_omitted_attributes_are_left_out() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        text = caption(STAR, rng, motion=False, omit=1.0)
        assert not any(phrase in text for name in ("motion", "background", "style") for phrase in PHRASES[name][getattr(STAR, name)])


def test_the_plain_caption_reads_like_english() -> None:
    assert plain_caption(STAR) == "a big red star moving left over green hills, pixel art"


def test_one_triple_in_ten_is_held_out_whatever_size_motion_and_style() -> None:
    triples = [
        replace(STAR, object=o, color=c, background=b) for o, c, b in product(*(PHRASES[n] for n in ("object", "color", "background")))
    ]
    assert 0.07 < np.mean([a.is_held_out for a in triples]) < 0.13
    for a in triples:
        assert replace(a, size="small", motion="spin", style="flat").is_held_out == a.is_held_out


@pytest.mark.parametrize("held_out", [True, False])
def test_random_attributes_keep_to_their_side_of_the_split(held_out: bool) -> None:
    rng = np.random.default_rng(0)
    drawn = [random_attributes(rng, held_out=held_out) for _ in range(300)]
    assert all(a.is_held_out == held_out for a in drawn)
    assert {a.style for a in drawn} == set(PRIOR_STYLES)
    assert len({a.object for a in drawn}) == 8


def test_unknown_words_are_named_once_in_order() -> None:
    assert unknown_words("A Zebra and a red ball, zebra 🦓 on mars!") == ["zebra", "🦓", "mars"]
    assert unknown_words("") == []


def test_examples_and_shown_vocabulary_are_known() -> None:
    shown = vocabulary()
    assert set(shown) == set(NAMES)
    for text in [*example_prompts(), *(phrase for phrases in shown.values() for phrase in phrases)]:
        assert unknown_words(text) == []


def test_styles_kept_for_domain_models_are_not_offered() -> None:
    assert not {"sketch", "neon"} & set(vocabulary()["style"])


def test_words_are_listed_once_and_the_end_token_comes_last() -> None:
    words = word_list()
    assert len(words) == len(set(words))
    assert words[-1] == "<eos>"


@pytest.mark.parametrize("seed", range(5))
def test_a_caption_is_read_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        attributes = random_attributes(rng, (*PRIOR_STYLES, *DOMAIN_STYLES))
        named = read_prompt(caption(attributes, rng))
        assert named.items() <= asdict(attributes).items()
        assert read_prompt(plain_caption(attributes)) == asdict(attributes)


def test_the_longest_phrase_and_the_first_mention_count() -> None:
    assert read_prompt("A violet spaceship MOVING IN A CIRCLE, then a red ball") == {
        "color": "purple",
        "object": "rocket",
        "motion": "circle",
    }


def test_a_prompt_of_other_words_names_nothing() -> None:
    assert read_prompt("") == {}
    assert read_prompt("an elephant plays chess") == {}
