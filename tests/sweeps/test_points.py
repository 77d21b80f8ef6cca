"""Points are what the lists multiply to, and what files say; whatever cannot be meant is refused at the door."""

import itertools
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.errors import SpecError
from wse_sim.spec.cluster import SYSTEMS, load_cluster
from wse_sim.sweeps.keys import Point, Vocabulary, number_of, simulated_vocabulary
from wse_sim.sweeps.points import grid_points, read_points

NAMES = ("a", "b", "c", "d")
NUMBERS = Vocabulary(readers=dict.fromkeys(NAMES, number_of), check=lambda point: None)
LISTS = st.lists(st.floats(-100, 100), min_size=1, max_size=5)


@given(lists=st.lists(LISTS, min_size=1, max_size=4))
def test_points_of_a_grid_are_its_product_with_the_last_key_fastest(lists: list[list[float]]) -> None:
    grid = dict(zip(NAMES, lists, strict=False))
    points = grid_points(grid, NUMBERS)
    assert len(points) == math.prod(map(len, lists))
    for index, point in enumerate(points):
        rest, digits = index, []
        for values in reversed(lists):
            rest, digit = divmod(rest, len(values))
            digits.append(values[digit])
        assert point == dict(zip(grid, reversed(digits), strict=True))


def written(tmp_path: Path, text: str, name: str = "points.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, text: str, name: str = "points.toml") -> list[Point]:
    return read_points(written(tmp_path, text, name), simulated_vocabulary())


def test_toml_has_fixed_keys_a_grid_and_a_list_in_this_order(tmp_path: Path) -> None:
    text = """
        [fixed]
        model = "111m"
        tokens = "2.2B"
        [grid]
        system = "CS3"
        num_csx = [1, 2]
        csx.io_bytes_per_s = [1e11, 2e11]
        [[list]]
        gpu = "H100"
        num_gpus = 8
        batch_size = 64
    """
    points = read(tmp_path, text)
    fixed = {"model": "111m", "tokens": 2.2e9}
    grid = itertools.product([1, 2], [1e11, 2e11])
    assert points == [
        *({**fixed, "system": "cs3", "num_csx": n, "csx.io_bytes_per_s": rate} for n, rate in grid),
        {**fixed, "gpu": "h100", "num_gpus": 8, "batch_size": 64},
    ]
    assert list(points[0]) == ["model", "tokens", "system", "num_csx", "csx.io_bytes_per_s"]


def test_fixed_keys_alone_are_one_point(tmp_path: Path) -> None:
    assert read(tmp_path, '[fixed]\nmodel = "111m"') == [{"model": "111m"}]


def test_csv_has_a_point_in_each_row_and_none_of_an_empty_cell(tmp_path: Path) -> None:
    text = "model, num_csx,density,gpu,num_gpus\n111m,2,0.5,,\n\n111m,,,h100,8\n"
    assert read(tmp_path, text, "points.csv") == [
        {"model": "111m", "num_csx": 2, "density": 0.5},
        {"model": "111m", "gpu": "h100", "num_gpus": 8},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[fix]\nmodel = "111m"', r"points.toml: unknown table 'fix': did you mean 'fixed'"),
        ('[grid]\nmodel = "111m"\ndensity = []', r"points.toml \[grid\]: density has no values"),
        ("[grid]\ndensity = [1]", r"points.toml \[grid\]: model is missing"),
        ('[fixed]\nmodel = "111m"\n[grid]\nmodel = ["13b"]', r"\[grid\]: model is in \[fixed\] already"),
        ('[[list]]\nmodel = "111m"\n[[list]]\nmodel = "112m"', r"\[\[list\]\] 2: unknown model '112m'"),
        ('list = 3\n[fixed]\nmodel = "111m"', r"points.toml: write \[\[list\]\], once for each point"),
        ('grid = 3\n[fixed]\nmodel = "111m"', r"points.toml \[grid\]: must be a table"),
        ('[fixed]\nmodel = "111m"\n[grid]\nnum_csx = ["two"]', "num_csx is 'two': write a whole number such as 512"),
        ('[fixed]\nmodel = "111m"\n[grid]\nnum_csx = [1.5]', "num_csx is 1.5: write a whole number"),
        ('[fixed]\nmodel = "111m"\n[grid]\nnum_csx = [true]', "num_csx is True: write a whole number"),
        ('[fixed]\nmodel = "111m"\nsparse_wide = "perhaps"', "sparse_wide is 'perhaps': write true or false"),
        (f'[fixed]\nmodel = "111m"\nnum_csx = 1{"0" * 400}', "a whole number has 1329 bits, at most 64"),
        ("[fixed]\nmodel = 111", "model is 111: write a name, in quotes"),
    ],
)
def test_toml_that_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,density\n111m,0.5,3\n", "points.csv line 2: has 3 cells, the header has 2"),
        ("model,density\n111m,0.5\n111m,half\n", "points.csv line 3: density is 'half'"),
        ("model,density\n111m,0.5\n\n111m,2\n", "points.csv line 4: density is 2.0: it must be above 0"),
        ("model,densty\n111m,0.5\n", "points.csv line 1: unknown key 'densty': did you mean 'density'"),
        ("model,model\n111m,111m\n", "points.csv line 1: a key stands in the header twice"),
        ("\n\nmodel,density\n111m,0.5\n111m,-1\n", "points.csv line 5: density is -1.0: it must be"),
        ('model,num_csx\n111m,1\n"111m\n",1.5\n111m,1\n', "points.csv line 3: num_csx is '1.5': write a whole number"),
        (f"model,num_csx\n111m,{'1' * 200_000}\n", "points.csv line 2: is not CSV: field larger"),
        ("model\n", "there is no point in it"),
        ("", "there is no point in it"),
    ],
)
def test_csv_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(tmp_path, text, "points.csv")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"points are read from a \.toml or a \.csv"):
        read(tmp_path, "", "points.json")
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        read_points(tmp_path / "none.csv", NUMBERS)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({}, "model is missing"),
        ({"model": "111m", "densty": 1}, "unknown key 'densty': did you mean 'density'"),
        ({"model": "111m", "csx.power": 1}, "unknown key 'csx.power': did you mean 'csx.power_w'"),
        ({"model": "111m", "density": 0.5, "sparsity": 0.5}, "density and sparsity are both given"),
        ({"model": "111m", "system": "cs9"}, "unknown system 'cs9': did you mean 'cs"),
        ({"model": "111m", "release": "r9"}, "unknown software release 'r9'"),
        ({"model": "111m", "sparsity_algorithm": "rigel"}, "unknown sparsity_algorithm 'rigel': did you mean 'rigl'"),
        ({"model": "111m", "gpu": "h1000", "num_gpus": 8}, "unknown GPU 'h1000': did you mean 'h100'"),
        ({"model": "111m", "gpu": "h100"}, "num_gpus is missing"),
        ({"model": "111m", "num_gpus": 8}, "gpu is missing"),
        ({"model": "111m", "gpu": "h100", "num_gpus": 8, "num_csx": 1}, "num_csx means nothing on GPUs"),
        ({"model": "111m", "gpu": "h100", "num_gpus": 8, "csx.power_w": 1.0}, "csx.power_w means nothing on GPUs"),
        ({"model": "111m", "tp": 2}, "tp is of GPUs: give gpu and num_gpus too"),
        ({"model": "111m", "h100.tdp_w": 2}, "h100.tdp_w is of GPUs: give gpu and num_gpus too"),
        ({"h100.n_sms": 2.5}, "h100.n_sms is 2.5: it must be a whole number above 0"),
        ({"gpu_training.link_fraction": 1.5}, "it must be a number above 0, at most 1"),
        ({"megatron.exposed_tensor_parallel": -1}, "it must be a number at least 0, at most 1"),
        ({"model": "111m", "gpu": "h100", "num_gpus": 8, "gpu_software": "megatrom"}, "did you mean 'megatron'"),
        ({"model": "111m", "gpu": "h100", "num_gpus": 8, "csx.power_w": 1}, "csx.power_w means nothing on GPUs"),
        ({"model": "111m", "jitter": math.inf}, "jitter is inf: write a number"),
        ({"model": "111m", "tokens": "many"}, "tokens is 'many': write a number such as 1e9"),
        ({"model": "111m", "csx.clock_hz": 0}, "csx.clock_hz is 0: it must be a number above 0"),
        ({"model": "111m", "memoryx.servers": 2.5}, "memoryx.servers is 2.5: it must be a whole number above 0"),
        ({"model": "111m", "swarmx.fan_out": 1}, "swarmx.fan_out is 1: it must be a whole number at least 2"),
        ({"model": "111m", "csx.linear_efficiency": 1.1}, "is 1.1: it must be a number above 0, at most 1"),
        ({"model": "111m", "csx.layer_latency_s": -1}, "is -1: it must be a number at least 0"),
    ],
)
def test_point_that_cannot_be_meant_is_refused(point: Point, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        simulated_vocabulary().point(point)


ON_GPUS: Point = {"model": "111m", "gpu": "h100", "num_gpus": 8}


@pytest.mark.parametrize(
    ("point", "name", "value", "right"),
    [
        *(({"model": "111m"}, name, 0, "at least 1") for name in ("num_csx", "batch_size", "microbatch", "seq_len")),
        ({"model": "111m", "sparsity_algorithm": "set"}, "mask_update_steps", 0, "at least 1"),
        ({"model": "111m"}, "density", 2.0, "above 0 and at most 1"),
        ({"model": "111m"}, "sparsity", 1.0, "at least 0 and below 1"),
        ({"model": "111m"}, "tokens", -5.0, "a positive number"),
        ({"model": "111m"}, "jitter", -1.0, "at least 0"),
        ({"model": "111m"}, "straggler", 0.5, "at least 1"),
        ({"model": "111m"}, "batch_size", 10**20, "at least 1 and at most 1,000,000"),
        ({"model": "111m"}, "seq_len", 10**20, "at least 1 and at most 100,000,000"),
        ({"model": "111m"}, "tokens", 1e300, r"a positive number, at most 1e\+21"),
        *((ON_GPUS, name, 0, "at least 1") for name in ("num_gpus", "tp", "cp", "pp", "interleave", "microbatch_gpu")),
    ],
)
def test_number_that_no_run_can_have_is_refused_whatever_the_others_are(
    point: Point, name: str, value: float, right: str
) -> None:
    with pytest.raises(SpecError, match=f"^{name} is {re.escape(str(value))}: it must be {right}"):
        simulated_vocabulary().point({**point, name: value})


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_constant_of_a_cluster_is_a_key_and_may_have_the_value_that_it_has(system: str) -> None:
    constants = {name: constant.value for name, constant in load_cluster(system, 1).constants.items()}
    assert simulated_vocabulary().point({"model": "111m", **constants}) == {"model": "111m", **constants}
