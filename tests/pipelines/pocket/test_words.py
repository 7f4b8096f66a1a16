"""Words that the image stage never read are as loud as the others when the video stage begins."""

from __future__ import annotations

import torch

from pipelines.pocket.train import wake_unused_words
from tests.tiny import tiny_text_encoder


def test_quiet_words_are_brought_to_the_median_and_the_others_left_alone() -> None:
    encoder = tiny_text_encoder(10, 9)
    table = encoder.get_input_embeddings().weight
    with torch.no_grad():
        table.copy_(torch.nn.functional.normalize(torch.randn(10, 32), dim=1))
        table[3:5] *= 0.1
    before = table.detach().clone()
    wake_unused_words(encoder)
    assert torch.allclose(table.norm(dim=1), torch.ones(10), atol=1e-4)
    assert torch.equal(table[5:], before[5:])
    assert torch.allclose(torch.nn.functional.cosine_similarity(table[3:5], before[3:5]), torch.ones(2), atol=1e-5)
