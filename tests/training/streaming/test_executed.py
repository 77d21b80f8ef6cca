"""The schedule that was executed is the one that is simulated."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.cli.documents import printed, screen
from training.config import TrainConfig
from training.execution import Execution
from training.run_record import RunRecord
from training.streaming.record import STREAM_FILE
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.executed import _together, compare_executed
from wse_sim.schedule.cost import Pass
from wse_sim.spec.load import load_model
from wse_sim.workload.flops import attention_flops, linear_flops, logits_flops
from wse_sim.workload.transformer import linear_weights

SHAPE = msgspec.structs.replace(load_model("111m").shape, n_layers=3, d_model=128, d_ff=512, n_heads=2, vocab_size=512)
CONFIG = TrainConfig(
    shape=SHAPE,
    density=0.25,
    n_steps=5,
    batch_size=2,
    seq_len=64,
    eval_interval=5,
    n_eval_sequences=2,
    data="markov",
    execution=Execution(executor="streaming", microbatch=1),
)


@pytest.fixture(scope="module", params=[1.0, "none"], ids=["clipped", "not clipped"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return train(msgspec.structs.replace(CONFIG, clip=request.param), tmp_path_factory.mktemp("run") / "out")


def test_layers_come_in_the_order_of_the_simulator(record: RunRecord) -> None:
    comparison = compare_executed(record.run_dir)
    names = [layer.name for layer in comparison.layers]
    assert comparison.is_same_order
    assert (comparison.step, comparison.tokens, comparison.density) == (5, 128, pytest.approx(0.25))
    assert names[:5] == ["embedding forward", "block 0 forward", "block 1 forward", "block 2 forward", "output forward"]
    assert names[5:7] == ["block 2 delta", "block 2 gradient"]
    assert names[-1] == "embedding gradient"


def test_executed_flops_are_those_of_the_model(record: RunRecord) -> None:
    layers = compare_executed(record.run_dir).layers
    for density, found in ((1.0, "dense_flops"), (0.25, "sparse_flops")):
        per_token = linear_flops(SHAPE, density) + attention_flops(SHAPE, CONFIG.seq_len) + logits_flops(SHAPE)
        assert sum(getattr(layer, found) for layer in layers) == pytest.approx(per_token * CONFIG.tokens_per_step)


def test_every_non_zero_streams_in_twice_and_its_gradient_out_once(record: RunRecord) -> None:
    """But for the last block, which is still dense when the way back begins."""
    layers = {layer.name: layer for layer in compare_executed(record.run_dir).layers}
    n_weights = linear_weights(SHAPE) // SHAPE.n_layers
    streamed = 4 * n_weights // 4 + n_weights // 8
    for block, n_back in ((0, streamed), (1, streamed), (2, 0)):
        assert layers[f"block {block} forward"].weight_bytes == streamed
        assert layers[f"block {block} delta"].weight_bytes == n_back
        assert layers[f"block {block} gradient"].gradient_bytes == 4 * n_weights // 4
    # A non-zero is 4 bytes on the wire too, value and index; here its place costs a bit more for each weight.
    assert layers["block 0 forward"].wafer_weight_bytes == pytest.approx(4 * n_weights // 4, rel=0.05)


def test_shares_of_both_sides_add_up(record: RunRecord) -> None:
    layers = compare_executed(record.run_dir).layers
    assert sum(layer.host_share for layer in layers) == pytest.approx(1.0)
    assert sum(layer.wafer_share for layer in layers) == pytest.approx(1.0)


def test_steps_at_the_start_and_those_evaluated_are_written(record: RunRecord) -> None:
    rows = [json.loads(line) for line in (record.run_dir / STREAM_FILE).read_text().splitlines()]
    assert sorted({row["step"] for row in rows}) == [1, 2, 3, 5]


def test_a_resumed_run_writes_no_step_twice(record: RunRecord, tmp_path: Path) -> None:
    def stop(row: object) -> None:
        if row.step == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="stopped after step 2"):
        train(CONFIG, tmp_path, on_step=stop)
    train(CONFIG, tmp_path, resume=True)
    rows = [json.loads(line) for line in (tmp_path / STREAM_FILE).read_text().splitlines()]
    names = [(row["step"], row["layer"], row["pass"]) for row in rows]
    assert len(names) == len(set(names))
    assert sorted({step for step, _, _ in names}) == [1, 2, 3, 5]


def test_the_command_prints_both_sides(record: RunRecord) -> None:
    text = screen("compare", record.run_dir)
    assert "block 2 delta" in text
    assert "Layers came in the simulator's order" in text.replace("\n", " ")
    content = printed("compare", record.run_dir)
    assert content["is_same_order"] is True
    assert content["layers"][1]["name"] == "block 0 forward"
    assert content["simulated"]["num_csx"] == 1


def test_a_run_that_did_not_stream_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no stream\.jsonl in it: give the folder of a run of the streaming executor"):
        compare_executed(tmp_path)


def test_parts_of_passes_that_are_one_keep_their_order_in_every_process() -> None:
    """A set of their names would have another order, and their sum another last digit, with every seed of hashes."""
    names = [f"part {n}" for n in range(20)]
    passes = [
        Pass(name="output forward", parts_s=dict.fromkeys(names[:12], 1.0)),
        Pass(name="output delta", parts_s=dict.fromkeys(names[8:], 1.0)),
    ]
    (merged,) = _together(passes)
    assert list(merged.parts_s) == names
