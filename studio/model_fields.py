"""The fields of a request that say which model makes it: shared by all kinds of clips that a model draws. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .fields import Text

MOST_DRAWN = 512  # frames that any model may be asked for at once; each has limits of its own, which are checked before it is queued
MOST_SIDE = 4096  # pixels

ModelName = Annotated[
    Text,
    Field(
        title="Model",
        description="A model that is here: owner/name where it was downloaded, the folder's name where it is your own; empty is the "
        "studio's own.",
        max_length=200,
    ),
]
Width = Annotated[
    int,
    Field(title="Width", description="0 is the model's own.", ge=0, le=MOST_SIDE, json_schema_extra={"unit": "pixels"}),
]
Height = Annotated[
    int,
    Field(title="Height", description="0 is the model's own.", ge=0, le=MOST_SIDE, json_schema_extra={"unit": "pixels"}),
]
LoraName = Annotated[
    Text,
    Field(title="LoRA", description="A LoRA that is here, by its file's name; it must have been trained on this model.", max_length=200),
]
LoraStrength = Annotated[
    float,
    Field(title="LoRA strength", description="How much of the LoRA is added; 0 is the model alone, 1 is as it was trained.", ge=0, le=2),
]
OF_MODEL = ("model", "width", "height", "lora", "lora_strength")
