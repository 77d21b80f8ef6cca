"""What one run of a grid comes to."""

import msgspec

Key = dict[str, str | int | float]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One run, in a line.

    Parameters
    ----------
    key :
        Of its point.
    digest :
        Of its configuration.
    val_loss :
        On held-out bytes after the last step, nats per byte; None where training diverged.
    train_loss :
        Mean over the logged steps in the last tenth of the run; None where training diverged.
    is_diverged :
        The loss or the gradient was no finite number any more.
    n_steps, tokens :
        Done: fewer than asked for where training diverged.
    host_s :
        Measured seconds of the run's steps and evaluations.
    curve :
        (step, val_loss) of each evaluation.
    data, data_sha256 :
        What it was trained on: the name and the content.
    """

    key: Key
    digest: str
    val_loss: float | None
    train_loss: float | None
    is_diverged: bool
    n_steps: int
    tokens: int
    host_s: float
    curve: tuple[tuple[int, float], ...]
    data: str
    data_sha256: str
