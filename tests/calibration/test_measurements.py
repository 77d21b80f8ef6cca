"""What users write down: right files in, one clear message for wrong ones."""

import hashlib
from pathlib import Path

import pytest

from wse_sim.calibration import own_runs, read_measurements
from wse_sim.calibration.rows import GpuRate, WaferRate
from wse_sim.errors import SpecError

WAFER = "model,system,num_csx,batch_size,samples_per_s\n"
GPU = "model,gpu,num_gpus,batch_size,step_time_s\n"


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "runs.csv"
    path.write_bytes(text.encode())
    return str(path)


def test_numbers_are_read_and_empty_cells_and_lines_are_not_given(tmp_path: Path) -> None:
    text = "Model, system ,num_csx,batch_size,seq_len,tokens_per_s\n\n13b,cs3,4,1080,,1e6\n13b,cs3,1,270,1024,2.5e5\n\n"
    found = read_measurements(file(tmp_path, text))
    assert found.side == "wafer"
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    first, second = found.lines
    assert (first.number, second.number) == (3, 4)
    assert first.values == {"model": "13b", "system": "cs3", "num_csx": 4, "batch_size": 1080, "tokens_per_s": 1e6}
    assert second.values["seq_len"] == 1024
    runs = own_runs(found)
    assert runs.measured == pytest.approx([1e6 / 2048, 2.5e5 / 1024], rel=1e-12)


def test_a_byte_order_mark_and_quotes_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    found = read_measurements(file(tmp_path, "\ufeff" + WAFER + '"13b","cs3","4","1080","480"\r\n'))
    assert found.lines[0].values["samples_per_s"] == 480.0


@pytest.mark.parametrize(
    ("column", "value", "per_gpu"),
    [("step_time_s", 10.0, 64 * 2048 / 10 / 8), ("tokens_per_s", 80_000.0, 1e4), ("tokens_per_s_per_gpu", 1e4, 1e4)],
)
def test_the_three_rates_of_gpus_mean_the_same(tmp_path: Path, column: str, value: float, per_gpu: float) -> None:
    text = f"model,gpu,num_gpus,batch_size,{column}\nllama-7b,h100,8,64,{value}\n"
    runs = own_runs(read_measurements(file(tmp_path, text)))
    assert runs.measured == pytest.approx([per_gpu], rel=1e-12)
    assert runs.usual == ("h100.sustained_fraction", "megatron.attention_fraction")


def test_what_is_known_of_a_run_is_kept(tmp_path: Path) -> None:
    text = (
        "model,gpu,num_gpus,batch_size,seq_len,software,precision,tp,pp,microbatch,recompute,sharding,step_time_s\n"
        "13b,h100,16,64,1024,megatron-2024,fp8,2,2,4,full,zero1,3\n"
    )
    runs = own_runs(read_measurements(file(tmp_path, text)))
    (row,) = runs.rows
    assert isinstance(row, GpuRate)
    assert (row.job.seq_len, row.job.precision, row.job.software.name) == (1024, "fp8", "megatron-2024")
    fixed = row.fixed
    assert (fixed.tp, fixed.cp, fixed.pp, fixed.microbatch) == (2, None, 2, 4)
    assert (fixed.recompute, fixed.sharding) == ("full", "zero1")
    assert runs.usual == ("h100.fp8_sustained_fraction", "megatron-2024.attention_fraction")
    text = "model,system,num_csx,batch_size,microbatch,density,release,samples_per_s\n6.7b,cs2,2,520,26,0.25,r1.7,40\n"
    (wafer,) = own_runs(read_measurements(file(tmp_path, text))).rows
    assert isinstance(wafer, WaferRate)
    assert (wafer.run.microbatch, wafer.run.density, wafer.run.release) == (26, 0.25, "r1.7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle,system\n", r"line 1: 'modle': did you mean 'model'\? known are batch_size, density"),
        ("model,num_csx\n", "line 1: has neither a column system nor a column gpu"),
        ("model,system,gpu\n", "line 1: has both a column system and a column gpu"),
        ("model,system,tp\n", "unknown column in .*runs.csv, line 1: 'tp'"),
        ("model;system;num_csx\n", "line 1: columns are separated by ';': separate them by commas"),
        ("model,system,model\n", "line 1: there are two columns model"),
        ("", "line 1: has neither"),
        (WAFER, "holds no measured run below its header"),
        (WAFER + "13b,cs2,1,ten,1\n", "line 2, column batch_size: 'ten' is not a whole number"),
        (WAFER + "13b,cs2,1,10.5,1\n", "line 2, column batch_size: '10.5' is not a whole number"),
        (WAFER + "13b,cs2,1,10,fast\n", "line 2, column samples_per_s: 'fast' is not a number"),
        (WAFER + "13b,cs2,1,10,0\n", "line 2, column samples_per_s: 0 must be above 0"),
        (WAFER + "13b,cs2,1,10,nan\n", "line 2, column samples_per_s: nan must be above 0"),
        (WAFER + "13b,cs2,1,10,1\n13b,cs2,,10,1\n", "line 3, column num_csx: is missing"),
        (WAFER + "13b,cs2,1,10\n", "line 2: has no rate: give one of samples_per_s, tokens_per_s"),
        (WAFER + "13b,cs2,1,10,1,7\n", "line 2: has 6 values for 5 columns"),
        (GPU.replace("step", "tokens_per_s,step") + "13b,h100,8,8,1,1\n", "line 2: has tokens_per_s and step_time_s"),
        (GPU.replace("\n", ",recompute\n") + "13b,h100,8,8,1,ful\n", "column recompute: 'ful': did you mean 'full'?"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_measurements(file(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WAFER + "13b,cs2,3,10,1\n", "line 2: batch_size 10 is not a multiple of num_csx 3"),
        (WAFER + "13b,cs2,1,10,1\nfoo,cs2,1,10,1\n", "line 3: unknown model 'foo'"),
        (WAFER + "13b,cs2,1,10,1\n13b,cs3,1,10,1\n", "line 3: system is cs3, but line 2 has cs2: calibrate one system"),
        (WAFER + "13b,cs9,1,10,1\n", "unknown system 'cs9'"),
        (GPU + "13b,h10,8,8,1\n", "unknown GPU 'h10': did you mean 'h100'?"),
        (GPU + "13b,h100,8,8,1\n13b,h200,8,8,1\n", "line 3: gpu is h200, but line 2 has h100"),
        (
            GPU.replace("\n", ",tp\n") + "13b,h100,8,8,1,3\n",
            "line 2: no layout of 13b on 8 GPUs .* has tp 3",
        ),
        (GPU.replace("\n", ",precision\n") + "13b,a100-80,8,8,1,fp8\n", "line 2: a100-80 has no fp8"),
    ],
)
def test_a_run_that_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        own_runs(read_measurements(file(tmp_path, text)))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        read_measurements(str(tmp_path / "none.csv"))
    (tmp_path / "runs.csv").write_bytes(b"model,system\n\xff\xfe")
    with pytest.raises(SpecError, match=r"is not UTF-8 text \(byte 13\)"):
        read_measurements(str(tmp_path / "runs.csv"))


def test_the_base_may_be_another_than_what_was_measured(tmp_path: Path) -> None:
    text = GPU + "llama-7b,h20,8,64,20\n"
    with pytest.raises(SpecError, match="unknown GPU 'h20'"):
        own_runs(read_measurements(file(tmp_path, text)))
    runs = own_runs(read_measurements(file(tmp_path, text)), "h100")
    assert runs.usual[0] == "h100.sustained_fraction"
    assert runs.labels == ["llama-7b, 8 h20, 64 × 2048, bf16"]
