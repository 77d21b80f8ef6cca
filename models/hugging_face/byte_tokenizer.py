"""A tokenizer for models that were trained on bytes: the id of a token is the value of a byte of UTF-8.

It is a byte-level BPE without merges, so that stock `transformers` loads it. In such a vocabulary each byte is written
as a printable character: itself where it is one, else the next one from U+0100 on.

Source: GPT-2's byte-level vocabulary, https://github.com/openai/gpt-2, src/encoder.py, for the characters.
"""

from typing import Any

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_FIRST_OTHER = 0x100


def byte_tokenizer() -> dict[str, Any]:
    """The content of its `tokenizer.json`."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": _vocabulary(),
            "merges": [],
        },
    }


def tokenizer_config(seq_len: int, end: str | None = None) -> dict[str, Any]:
    """The `tokenizer_config.json` beside any `tokenizer.json`, by which it is loaded as it stands.

    Parameters
    ----------
    seq_len :
        Longest sequence of the model.
    end :
        The token that ends a document.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": seq_len,
        "clean_up_tokenization_spaces": False,
        **({} if end is None else {"eos_token": end}),
    }


def _vocabulary() -> dict[str, int]:
    others = [byte for byte in range(256) if byte not in _PRINTABLE]
    return {chr(byte if byte in _PRINTABLE else _FIRST_OTHER + others.index(byte)): byte for byte in range(256)}
