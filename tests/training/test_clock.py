"""The clock on the wall may be set while a run goes on: what takes time is measured by another one."""

import itertools
import re
import time
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import metadata

from tests.cli.documents import call
from tests.training.test_loggers import read_events
from tests.training.test_resume import CONFIG, _crash_after
from training.data import Corpus
from training.loggers import make_loggers
from training.run_record import read_rows
from training.trainer import train
from wse_sim.units import S_PER_DAY

# Set by hours and days, forward and back, between any two looks at it.
JUMPS_S = (0.0, 7_200.0, -3.0 * S_PER_DAY, 30.0 * S_PER_DAY, -7_200.0, -400.0 * S_PER_DAY)
MOST_S = 600.0
WORDS = ("--batch-size", "4", "--tokens", "1e6", "--data", "markov", "--mode", "dense", "--steps", "24")


@pytest.fixture(autouse=True)
def jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    right, jumps = time.time, itertools.cycle(JUMPS_S)
    monkeypatch.setattr(time, "time", lambda: right() + next(jumps))


def require_sane(run: Path) -> None:
    """No time runs back, and no rate is negative, in rows and in curves."""
    host_s = [row.host_s for row in read_rows(run / "run.jsonl")]
    assert host_s == sorted(host_s)
    assert 0.0 < host_s[0] <= host_s[-1] < MOST_S
    events = read_events(run)
    rates = events.Scalars("tokens_per_sec")
    assert all(event.value > 0.0 for event in rates)
    assert [event.wall_time for event in rates] == sorted(event.wall_time for event in rates)
    began, ended = (
        events.SummaryMetadata(tag).plugin_data.content
        for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
    )
    end_s = metadata.parse_session_end_info_plugin_data(ended).end_time_secs
    assert 0.0 <= end_s - metadata.parse_session_start_info_plugin_data(began).start_time_secs < MOST_S


def test_no_jump_of_the_clock_makes_a_time_or_a_rate_negative(model: str, tmp_path: Path) -> None:
    said = call("train", "--model", model, *WORDS, "--log", "tensorboard", "--out", tmp_path / "run")
    assert said.exit_code == 0, said.stderr
    assert "tokens/s  left" in said.stderr
    assert not re.search(r"-\d[\d.]* (s|min|h|days)\b|-\d\S* tokens/s", said.stderr)
    require_sane(tmp_path / "run")


def test_nor_does_one_while_a_run_was_stopped(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        train(CONFIG, tmp_path, corpus=corpus, on_step=_crash_after(7), loggers=make_loggers(["tensorboard"]))
    train(CONFIG, tmp_path, corpus=corpus, resume=True, loggers=make_loggers(["tensorboard"]))
    require_sane(tmp_path)
