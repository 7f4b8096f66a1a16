"""What all requests share: texts that are cleaned, and pydantic's errors as sentences for people."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import BeforeValidator, ValidationError

from pipelines.errors import InvalidInput
from pipelines.samplers import SAMPLERS

# Names of U+0000 to U+001F.
CONTROL_NAMES = re.findall(
    r"\w+",
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US",
)


def clean_text(text: object) -> object:
    """Line breaks and tabs become spaces, ends are trimmed; every other control character is refused by name."""
    if not isinstance(text, str):
        return text
    text = re.sub(r"[\t\r\n]+", " ", text).strip()
    for character in text:
        code = ord(character)
        match unicodedata.category(character):
            case "Cc":
                name = CONTROL_NAMES[code] if code < len(CONTROL_NAMES) else "unnamed"
                raise ValueError(f"it contains the control character U+{code:04X} ({name})")
            case "Cs":
                raise ValueError(f"it contains the unpaired surrogate U+{code:04X}")
    return text


def must_be_visible(text: str) -> str:
    """A text of blanks and invisible characters is an empty one."""
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise ValueError("it is empty")
    return text


def must_be_sampler(name: str) -> str:
    """One of ours, or nothing, which is the model's own way."""
    if name and name not in SAMPLERS:
        raise ValueError(f"choose one of {', '.join(SAMPLERS)}")
    return name


Text = Annotated[str, BeforeValidator(clean_text)]


def must_be_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]*", name):
        raise ValueError("use letters, digits, spaces, dots and hyphens, a letter or digit first")
    return name


def slug(name: str) -> str:
    """A name as the folder's: 'My cats' becomes 'my-cats'."""
    return "-".join(re.findall(r"[a-z0-9_]+", name.lower()))


def describe_errors(error: ValidationError) -> InvalidInput:
    """Pydantic's list of errors as one: the first field that is wrong, its value, and what to do."""
    first = error.errors()[0]
    field = next((part for part in reversed(first["loc"]) if isinstance(part, str)), "request")
    name, value, limits = field.replace("_", " "), first["input"], first.get("ctx", {})
    match first["type"]:
        case "missing":
            return InvalidInput(f"The {name} is missing.", f"Give a value for {field!r}.")
        case "extra_forbidden":
            return InvalidInput(f"There is no setting {field!r} (its value was {shown(value)}).", "Leave it out.")
        case "string_too_short":
            return InvalidInput(f"The {name} is empty.", "Say what it should be.")
        case "string_too_long":
            return InvalidInput(f"The {name} has {len(value):,} characters.", f"Use at most {limits['max_length']:,}.")
        case "value_error" if str(limits["error"]) == "it is empty":
            return InvalidInput(f"The {name} is empty.", "Say in a few words what the video should show.")
        case "value_error" if str(limits["error"]).startswith("it contains"):
            return InvalidInput(f"The {name} cannot be used: {limits['error']}.", "Remove that character.")
        case "value_error":
            return InvalidInput(f"The value of {name} is {shown(value)}.", f"{str(limits['error']).capitalize()}.")
        case "literal_error":
            return InvalidInput(f"The value of {name} is {shown(value)}.", f"Choose {limits['expected']}.")
    return InvalidInput(
        f"The value of {name} is {shown(value)}.", f"{first['msg'].replace('Input should be', 'It should be').rstrip('.')}."
    )


def shown(value: object) -> str:
    """A value for a sentence, cut when it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
