"""How often a run reads its text, and whether its held-out loss rose again."""

from collections.abc import Sequence

from training.config import TrainConfig
from training.data import Corpus
from training.run_record import Row

# Read so often, text teaches about as much as new text does; Muennighoff et al., arXiv 2305.16264, Section 6.
_AS_GOOD_AS_NEW = 4.0
_NOISE = 0.005  # of a loss: evaluations that follow one another at the end of a run differ by less


def repetition_in_words(config: TrainConfig, corpus: Corpus) -> tuple[str, ...]:
    """A sentence on a text that is read more than once, a warning where that is too often; none of any other."""
    n_read, n_there = config.n_steps * config.batch_size, corpus.train.n_sequences(config.seq_len)
    if n_read <= n_there:
        return ()
    times = f"{n_read / n_there:.2g}" if n_read < 100 * n_there else f"{n_read / n_there:,.0f}"
    if n_read < _AS_GOOD_AS_NEW * n_there:
        return (f"the text is read {times} times",)
    return (
        f"warning: the text is read {times} times; beyond about {_AS_GOOD_AS_NEW:g} a model learns it by heart, and "
        "the held-out loss may rise again: more text, or a shorter run, would be right",
    )


def rise_in_words(rows: Sequence[Row]) -> tuple[str, ...]:
    """A sentence on a held-out loss that was less before the end, by more than noise; none of any other."""
    held_out = [(row.val_loss, row.step) for row in rows if row.val_loss is not None]
    if not held_out:
        return ()
    (least, step), (last, end) = min(held_out), held_out[-1]
    if last <= least * (1.0 + _NOISE):
        return ()
    return (
        f"held-out loss was least, {least:.4f} nats, at step {step:,} of {end:,}; at the end it is {last:.4f}: a run "
        "that stops earlier, or more text, compares choices better",
    )
