"""One frozen model for each kind of job: the single source of ranges, defaults, units and help.

Sliders, the API, validation and the metadata in every file come from here. No torch: the page reads this at its start.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipelines.errors import InvalidInput
from pipelines.samplers import SAMPLERS

NoiseKind = Literal["independent", "mixed", "progressive"]
MAX_PROMPT = 2000
SEEDS = 2**32

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
    if name not in SAMPLERS:
        raise ValueError(f"choose one of {', '.join(SAMPLERS)}")
    return name


Text = Annotated[str, BeforeValidator(clean_text)]


class TextToVideoRequest(BaseModel):
    """A prompt and everything that decides which video it becomes. The defaults are the pocket model's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["text_to_video"] = Field("text_to_video", title="Kind", description="Which kind of job this is.")
    prompt: Annotated[Text, AfterValidator(must_be_visible)] = Field(
        title="Prompt", description="What the video shows, in your own words.", max_length=MAX_PROMPT
    )
    negative_prompt: Text = Field("", title="Negative prompt", description="What guidance moves away from.", max_length=MAX_PROMPT)
    seed: int = Field(
        0,
        title="Seed",
        description="The same seed with the same settings gives the same video; variations count up from it.",
        ge=0,
        le=SEEDS - 1,
    )
    frames: int = Field(16, title="Length", description="How many frames the video has.", ge=1, le=32, json_schema_extra={"unit": "frames"})
    fps: float = Field(
        8.0,
        title="Frame rate",
        description="How fast the video plays; the pocket model is told, as in Make-A-Video.",
        ge=1,
        le=60,
        json_schema_extra={"unit": "frames a second"},
    )
    steps: int = Field(
        24,
        title="Quality",
        description="Denoising steps: more take longer and draw cleaner.",
        ge=1,
        le=200,
        json_schema_extra={"unit": "steps"},
    )
    guidance_scale: float = Field(
        3.0,
        title="Guidance",
        description="How strongly the prompt is followed (classifier-free guidance); 1 is none and runs in half the time.",
        ge=1,
        le=30,
    )
    sampler: Annotated[str, AfterValidator(must_be_sampler)] = Field(
        "ddim", title="Sampler", description="How noise is turned into video step by step.", json_schema_extra={"choices": list(SAMPLERS)}
    )
    noise_kind: NoiseKind = Field(
        "progressive", title="Noise prior", description="How the noise of the frames is related (PYoCo, section 4)."
    )
    noise_alpha: float = Field(
        2.0, title="Noise alpha", description="How strongly the frames' noise is correlated (PYoCo's alpha); 0 is not at all.", ge=0, le=100
    )
    variations: int = Field(
        1,
        title="Variations",
        description="How many videos are made, with seeds that count up.",
        ge=1,
        le=4,
        json_schema_extra={"unit": "videos"},
    )

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed a variation: seed, seed + 1, ..."""
        return tuple((self.seed + i) % SEEDS for i in range(self.variations))

    def variation(self, seed: int) -> TextToVideoRequest:
        """The request that gives exactly one of the variations."""
        return self.model_copy(update={"seed": seed, "variations": 1})


Request = TextToVideoRequest
KINDS: dict[str, type[Request]] = {"text_to_video": TextToVideoRequest}


def parse_request(source: str | bytes | Mapping[str, Any]) -> Request:
    """The request in JSON or a mapping; its `kind` decides which one.

    Raises:
        InvalidInput: naming the field, its value and what to do.
    """
    if isinstance(source, str | bytes):
        try:
            source = json.loads(source)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The settings are not readable as JSON ({error}).", "Give the JSON of a request.") from error
    if not isinstance(source, Mapping):
        raise InvalidInput(f"The settings are {shown(source)}.", "Give an object with the fields of a request.")
    kind = source.get("kind", "text_to_video")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput(f"There is no kind of job {shown(kind)}.", f"Choose one of {', '.join(KINDS)}.")
    try:
        return KINDS[kind].model_validate(source)
    except ValidationError as error:
        raise describe_errors(error) from error


def describe_errors(error: ValidationError) -> InvalidInput:
    """Pydantic's list of errors as one: the first field that is wrong, its value, and what to do."""
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "request"
    name, value, limits = field.replace("_", " "), first["input"], first.get("ctx", {})
    match first["type"]:
        case "missing":
            return InvalidInput(f"The {name} is missing.", f"Give a value for {field!r}.")
        case "extra_forbidden":
            return InvalidInput(f"There is no setting {field!r} (its value was {shown(value)}).", "Leave it out.")
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
