"""Texts that are read too often: said before a run, in its plan, and after it, in its summary and its page."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.cli.documents import call
from training.config import TrainConfig
from training.data import Corpus, Fingerprint, in_memory
from training.repetition import repetition_in_words, rise_in_words
from training.run_record import Row
from wse_sim.report import run_files
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="s", n_layers=2, d_model=64, n_heads=2, d_ff=128, vocab_size=256, seq_len=16)


def corpus_of(n_sequences: int) -> Corpus:
    part = in_memory(np.zeros(16 * n_sequences + 1, dtype=np.uint8))
    said = Fingerprint(source="zeros", n_files=1, n_bytes=part.n_tokens, sha256="0")
    return Corpus(train=part, val=part, fingerprint=said)


@pytest.mark.parametrize(
    ("n_sequences", "said"),
    [
        (400, ""),
        (300, "the text is read 1.3 times"),
        (100, "warning: the text is read 4 times"),
        (10, "warning: the text is read 40 times"),
        (1, "warning: the text is read 400 times"),
    ],
)
def test_a_text_that_is_read_more_than_once_is_said_to_be(n_sequences: int, said: str) -> None:
    config = TrainConfig(shape=SHAPE, n_steps=50, batch_size=8, seq_len=16)  # 400 sequences
    (words,) = repetition_in_words(config, corpus_of(n_sequences)) or ("",)
    assert words.startswith(said)
    assert bool(words) == bool(said)


def rows(*held_out: float | None) -> list[Row]:
    row = Row(step=0, tokens=0, loss=1.0, bits_per_byte=None, lr=0.0, grad_norm=0.0, density=1.0, host_s=0.0)
    return [msgspec.structs.replace(row, step=step, val_loss=loss) for step, loss in enumerate(held_out, start=1)]


@pytest.mark.parametrize("falling", [(3.0, 2.0), (3.0, 2.0, 2.0), (2.0, None, 2.009), (None, 2.0), (2.0,), ()])
def test_a_held_out_loss_that_ends_as_low_as_it_ever_was_needs_no_word(falling: tuple[float | None, ...]) -> None:
    assert rise_in_words(rows(*falling)) == ()


def test_where_the_held_out_loss_was_least_is_said() -> None:
    (words,) = rise_in_words(rows(3.0, None, 2.0, 2.5))
    assert words.startswith("held-out loss was least, 2.0000 nats, at step 3 of 4; at the end it is 2.5000: ")


def test_a_run_that_learns_its_text_by_heart_says_so_on_the_terminal_and_on_its_page(
    model: str, tmp_path: Path
) -> None:
    (tmp_path / "text").mkdir()
    letters = np.random.default_rng(0).integers(97, 123, (20, 90), dtype=np.uint8)  # to be learned by heart alone
    for number, document in enumerate(letters):
        (tmp_path / "text" / f"{number}.txt").write_bytes(document.tobytes())
    words = ("--mode", "dense", "--steps", "120", "--batch-size", "4", "--peak-lr", "0.02", "--tokens", "1e6")
    out = tmp_path / "out"
    said = call("train", "--model", model, *words, "--data", tmp_path / "text", "--out", out)
    assert said.exit_code == 0, said.output
    summary = run_files.read_summary(out)
    (reason,) = (reason for reason in summary["choice"]["reasons"] if "the text is read" in reason)
    (rise,) = (warning for warning in summary["measured"]["warnings"] if "was least" in warning)
    page = (out / "report.html").read_text()
    assert f"  - {reason}\n" in said.stderr
    assert f"note: {rise}\n" in said.stderr
    assert reason in page
    assert rise in page
