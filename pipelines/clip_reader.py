"""What a CLIP checkpoint says of a clip: how well its frames fit the prompt, and how well they fit each other.

Radford et al., arXiv 2103.00020; both readings follow Tune-A-Video's protocol (arXiv 2212.11565, section 5).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import WeightsDamaged, WeightsMissing
from .metrics import frame_consistency, text_similarity

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor, CLIPModel, PreTrainedTokenizerBase

REMEDY = "Give the folder of a CLIP checkpoint with --clip, or leave it out."


class ClipReader:
    """Reads clips with a CLIP model on the CPU."""

    def __init__(self, model: CLIPModel, tokenizer: PreTrainedTokenizerBase, images: CLIPImageProcessor) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.images = images

    @classmethod
    @lru_cache(maxsize=1)
    def from_folder(cls, folder: Path) -> ClipReader:
        """Loaded once; nothing is downloaded.

        Raises:
            WeightsMissing, WeightsDamaged: naming the folder.
        """
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

        if not folder.is_dir():
            raise WeightsMissing(f"There is no CLIP checkpoint in {str(folder)!r}.", REMEDY)
        try:
            model: Any = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            return cls(model, tokenizer, CLIPImageProcessor.from_pretrained(folder, local_files_only=True))
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise WeightsDamaged(f"The CLIP checkpoint in {str(folder)!r} cannot be loaded ({error}).", REMEDY) from error

    def read(self, frames: np.ndarray, prompt: str) -> dict[str, float]:
        """Mean cosines: "text" of frames and prompt, "consistency" of all pairs of frames; frames uint8 (f, h, w, 3)."""
        import torch

        with torch.no_grad():
            pixels = self.images(images=list(frames), return_tensors="pt")
            tokens = self.tokenizer([prompt], padding="max_length", truncation=True, max_length=self._longest, return_tensors="pt")
            images = self.model.visual_projection(self.model.vision_model(pixels.pixel_values).pooler_output).float().numpy()
            text = self.model.text_projection(self.model.text_model(input_ids=tokens.input_ids).pooler_output)[0].float().numpy()
        readings = {"text": text_similarity(images, text)}
        return readings | ({"consistency": frame_consistency(images)} if len(frames) > 1 else {})

    @property
    def _longest(self) -> int:
        return int(self.model.config.text_config.max_position_embeddings)
