"""What the pocket world can show, and the many ways people say it.

Only words here, no pixels and no torch: the page reads this at start to name the words the pocket model has never seen.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import asdict, dataclass, fields

import numpy as np

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "object": {
        "ball": ("ball", "circle", "round ball", "sphere"),
        "square": ("square", "box", "block", "cube"),
        "triangle": ("triangle", "pyramid"),
        "star": ("star", "five pointed star"),
        "heart": ("heart", "love heart"),
        "diamond": ("diamond", "gem", "rhombus", "kite"),
        "fish": ("fish", "goldfish"),
        "rocket": ("rocket", "spaceship", "rocket ship"),
    },
    "color": {
        "red": ("red", "crimson", "scarlet"),
        "orange": ("orange",),
        "yellow": ("yellow", "golden"),
        "green": ("green", "emerald"),
        "cyan": ("cyan", "turquoise", "aqua"),
        "blue": ("blue",),
        "purple": ("purple", "violet"),
        "pink": ("pink", "rose", "magenta"),
    },
    "size": {
        "small": ("small", "little", "tiny"),
        "big": ("big", "large", "huge", "giant"),
    },
    "motion": {
        "left": (
            "moving left",
            "flying to the left",
            "drifting left",
            "going leftwards",
            "moves left",
            "flies to the left",
            "sliding left",
        ),
        "right": (
            "moving right",
            "flying to the right",
            "drifting right",
            "going rightwards",
            "moves right",
            "flies to the right",
            "sliding right",
        ),
        "up": ("moving up", "rising", "going upwards", "floating up", "moves up", "rises", "flying up"),
        "down": ("moving down", "falling", "going downwards", "sinking", "moves down", "falls", "dropping"),
        "bounce": ("bouncing", "jumping", "hopping", "bouncing up and down", "bounces", "jumps"),
        "circle": ("circling", "moving in a circle", "orbiting", "going round and round", "circles", "moves in a circle"),
        "grow": ("growing", "getting bigger", "expanding", "grows", "gets bigger"),
        "spin": ("spinning", "rotating", "turning around", "spins", "rotates"),
        "still": ("standing still", "resting", "staying still", "not moving", "stands still", "motionless"),
    },
    "background": {
        "plain": ("on a plain background", "on an empty backdrop", "in an empty scene", "on a simple background"),
        "hills": ("over green hills", "above the hills", "in a hilly landscape", "over the hills", "in the hills"),
        "sea": ("over the sea", "above the ocean", "at the seaside", "by the sea", "over the water"),
        "city": ("in the city", "above a city skyline", "over the buildings", "in a city", "over the city"),
        "night": ("at night", "under the night sky", "among the stars", "in the night", "under the stars"),
        "desert": ("in the desert", "over sand dunes", "above the dunes", "in a desert", "over the desert"),
    },
    "style": {
        "flat": ("flat cartoon", "flat style", "cartoon", "flat"),
        "sketch": ("sketch", "pencil drawing", "hand drawn sketch"),
        "neon": ("neon", "glowing neon", "neon light"),
        "pixel": ("pixel art", "8 bit", "retro pixel", "pixel"),
    },
}
_MEANINGS = {tuple(phrase.split()): (name, key) for name, group in PHRASES.items() for key, phrases in group.items() for phrase in phrases}
_LONGEST = max(map(len, _MEANINGS))
PRIOR_STYLES = ("flat", "pixel")  # what the pocket model is trained on
DOMAIN_STYLES = ("sketch", "neon")  # kept for small domain models
GLUE = [
    ",",
    ".",
    "a",
    "an",
    "and",
    "animation",
    "art",
    "clip",
    "drawn",
    "in",
    "is",
    "it",
    "made",
    "of",
    "scene",
    "show",
    "shows",
    "style",
    "that",
    "the",
    "there",
    "video",
    "with",
]
PAD, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<bos>", "<eos>"
MAX_TOKENS = 24


@dataclass(frozen=True)
class Attributes:
    """What one clip shows; every value is a key of PHRASES."""

    object: str
    color: str
    size: str
    motion: str
    background: str
    style: str

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value not in PHRASES[name]:
                raise ValueError(f"{name} is {value!r}; the pocket world has {', '.join(PHRASES[name])}")

    @property
    def is_held_out(self) -> bool:
        """One in ten (object, color, background) triples is never trained on."""
        return zlib.crc32(f"{self.object}|{self.color}|{self.background}".encode()) % 10 == 0


NAMES = tuple(field.name for field in fields(Attributes))


def random_attributes(rng: np.random.Generator, styles: tuple[str, ...] = PRIOR_STYLES, held_out: bool | None = None) -> Attributes:
    """Uniform attributes; `held_out` True or False restricts them to triples that are (not) held out of training."""
    while True:
        values = {name: list(PHRASES[name])[rng.integers(len(PHRASES[name]))] for name in NAMES}
        values["style"] = styles[rng.integers(len(styles))]
        attributes = Attributes(**values)
        if held_out is None or attributes.is_held_out == held_out:
            return attributes


def caption(attributes: Attributes, rng: np.random.Generator, motion: bool = True, omit: float = 0.0) -> str:
    """One way of saying it: random synonyms, order and template.

    Args:
        motion: False leaves the motion out, as for a single frame.
        omit: chance of leaving out each of motion, background and style (size is left out in 3 of 10 in any case).
    """

    def say(name: str) -> str:
        options = PHRASES[name][getattr(attributes, name)]
        return options[rng.integers(len(options))]

    size = "" if rng.random() < 0.3 else say("size")
    thing = _join(say("color"), say("object")) if rng.random() < 0.9 or not size else _join(say("object"))
    subject = _join(rng.choice(["a", "the"], p=[0.8, 0.2]), size, thing)
    moves = say("motion") if motion and rng.random() >= omit else ""
    where = say("background") if rng.random() >= omit else ""
    style = say("style") if rng.random() >= omit else ""
    finite = bool(moves) and moves.split()[0].endswith("s")
    return _phrase(int(rng.integers(5)), subject, moves, where, style, finite)


def _phrase(template: int, subject: str, moves: str, where: str, style: str, finite: bool) -> str:
    tail = f", {style}" if style else ""
    if template == 1 and style and not finite:
        return _join(style, "video of", subject, moves, where)
    if template == 2 and style and not finite:
        return _join("a", style, "animation of", subject, moves, where)
    if template == 3 and moves and not finite:
        return _join(subject, "is", moves, where, f"in {style} style" if style else "")
    if template == 4 and where:
        return _join(where, ",", subject, moves, tail)
    return _join(subject, moves, where, tail)


def plain_caption(attributes: Attributes) -> str:
    """The canonical wording, in everyday words: 'a big red star moving left over green hills, pixel art'."""
    a = attributes
    first = {name: PHRASES[name][getattr(a, name)][0] for name in NAMES}
    return f"a {a.size} {first['color']} {first['object']} {first['motion']} {first['background']}, {first['style']}"


def words_of(prompt: str) -> list[str]:
    """The prompt as the tokenizer sees it: lower case, punctuation apart."""
    return re.findall(r"\w+|[^\w\s]", prompt.lower())


def read_prompt(prompt: str) -> dict[str, str]:
    """The attributes that a prompt names: attribute -> key of PHRASES; synonyms count, and the first mention of each.

    Phrases are read from left to right, the longest first: the circle of "moving in a circle" is no ball.
    """
    named: dict[str, str] = {}
    words, i = words_of(prompt), 0
    while i < len(words):
        for length in range(min(_LONGEST, len(words) - i), 0, -1):
            if meaning := _MEANINGS.get(tuple(words[i : i + length])):
                named.setdefault(*meaning)
                break
        else:
            length = 1
        i += length
    return named


def word_list() -> list[str]:
    """Every token of the pocket model, in order. The end token is the last and so has the largest id, as CLIP's pooling expects."""
    words = {word for group in PHRASES.values() for phrases in group.values() for phrase in phrases for word in phrase.split()}
    return [PAD, UNKNOWN, BEGIN, *sorted(words | set(GLUE)), END]


def unknown_words(prompt: str) -> list[str]:
    """The prompt's words that the pocket model has never seen, in order, once each (punctuation is ignored quietly)."""
    known = set(word_list())
    return [word for word in dict.fromkeys(words_of(prompt)) if word not in known and not _is_punctuation(word)]


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(ch)[0] in "PZC" or ch == "\ufe0f" for ch in word)


def vocabulary() -> dict[str, list[str]]:
    """What the pocket model knows, for people: attribute -> phrases. Styles kept for domain models are left out."""
    shown = {name: [p for options in PHRASES[name].values() for p in options] for name in NAMES if name != "style"}
    shown["style"] = [p for style in PRIOR_STYLES for p in PHRASES["style"][style]]
    return shown


def example_prompts() -> list[str]:
    """A few prompts that show the range."""
    return [
        "a big red star moving right over green hills, flat cartoon",
        "a small golden fish moving left over the sea, pixel art",
        "a huge purple heart falling at night, flat cartoon",
        "a cyan rocket rising above a city skyline, pixel art",
        "a big orange fish moving left in the desert, flat cartoon",
        "a tiny green diamond growing on a plain background, pixel art",
    ]


def _join(*parts: str) -> str:
    return " ".join(" ".join(parts).split())
