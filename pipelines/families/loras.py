"""A LoRA file in a model of a family: loaded once, on while it is wanted, off without a trace.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..checkpoints import file_hash
from ..errors import IncompatibleModels
from .video_model import VideoModel


@contextmanager
def with_lora(model: VideoModel, file: Path, strength: float = 1.0) -> Iterator[None]:
    """The model with a LoRA on, until the end of the `with`. Its matrices stay with the model: the next time nothing is read.

    Args:
        model: of a family that takes LoRAs.
        file: in safetensors.
        strength: what its update is multiplied by; 0 is the model alone.

    Raises:
        InvalidInput: where the family takes none.
        IncompatibleModels: for one that was trained on another base.
    """
    model.capabilities.need("lora")
    pipe, name = model.pipe, f"lora_{file_hash(file)}"
    if not any(name in names for names in pipe.get_list_adapters().values()):
        try:
            pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=name, local_files_only=True, use_safetensors=True)
        except (ValueError, RuntimeError, KeyError, TypeError, OSError, AttributeError, NotImplementedError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            pipe.unload_lora_weights()  # what was put in before it failed
            raise IncompatibleModels(
                f"The LoRA {file.name!r} cannot be put into this model ({reason}).", "Choose one that was trained on it."
            ) from error
        if not any(name in names for names in pipe.get_list_adapters().values()):
            raise IncompatibleModels(f"The LoRA {file.name!r} changes nothing in this model.", "Choose one that was trained on it.")
    pipe.enable_lora()
    pipe.set_adapters([name], [strength])
    try:
        yield
    finally:
        pipe.disable_lora()
