"""The pocket model's tokenizer: one token a word, lower case, punctuation apart. Unknown words become one token, named by the page."""

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from .captions import BEGIN, END, MAX_TOKENS, PAD, UNKNOWN, word_list


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer for `word_list()`, padded and cut to MAX_TOKENS."""
    ids = {word: i for i, word in enumerate(word_list())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, ids[BEGIN]), (END, ids[END])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=UNKNOWN, pad_token=PAD, bos_token=BEGIN, eos_token=END, model_max_length=MAX_TOKENS
    )
