"""Files of systems and GPUs that users write: the form of the data, names that do not mislead, clear mistakes."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from wse_sim.errors import SpecError
from wse_sim.gpu.roofline import gpu_job
from wse_sim.gpu.spec import load_gpu, load_software
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model

DATA = Path(str(files("wse_sim") / "data"))


def copied(tmp_path: Path, data: str, *changes: tuple[str, str], name: str = "mine") -> str:
    """A file of the data as a user's own, with text replaced."""
    text = re.sub(r'^name = ".*"\n', "", (DATA / data).read_text(encoding="utf-8"), flags=re.MULTILINE)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_copy_of_a_system_is_that_system_under_its_own_name(tmp_path: Path) -> None:
    own, shipped = load_cluster(copied(tmp_path, "hardware/cs3.toml"), 8), load_cluster("cs3", 8)
    assert own.csx.name == "mine"
    assert own.constants == shipped.constants
    assert (own.memoryx, own.swarmx, own.num_csx) == (shipped.memoryx, shipped.swarmx, 8)


def test_a_file_changed_between_two_calls_is_read_again(tmp_path: Path) -> None:
    path = copied(tmp_path, "hardware/cs3.toml")
    copied(tmp_path, "hardware/cs3.toml", ("value = 900000", "value = 800000"))
    assert load_cluster(path, 1).csx.cores == 800000


def test_parts_of_memoryx_and_swarmx_may_be_others(tmp_path: Path) -> None:
    own = '\n[memoryx.servers]\nvalue = 3\nkind = "assumed"\nsource = "mine"\n'
    own += '[swarmx.fan_out]\nvalue = 2\nkind = "assumed"\nsource = "mine"\n'
    path = Path(copied(tmp_path, "hardware/cs2.toml"))
    path.write_text(path.read_text(encoding="utf-8") + own, encoding="utf-8")
    cluster, shipped = load_cluster(str(path), 1), load_cluster("cs2", 1)
    assert (cluster.memoryx.servers, cluster.swarmx.fan_out) == (3, 2)
    assert cluster.memoryx.egress_bytes_per_s == shipped.memoryx.egress_bytes_per_s
    assert cluster.constants["memoryx.servers"].source == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("[clock_hz]", "[clock_mhz]")], "constant of csx in .*mine.toml: 'clock_mhz': did you mean 'clock_hz'"),
        ([("[clock_hz]", "[memoryx.clock_hz]")], "constants of csx are missing: clock_hz"),
        ([("[max_systems]", "[memoryx.clock]\n[max_systems]")], "unknown constant of memoryx in .*mine.toml: 'clock'"),
        ([("[cores]", 'name = "cs3"\n[cores]')], "name 'cs3' is that of a system in the data: give yours another"),
        ([("[cores]", "name = 3\n[cores]")], "name must be a text"),
        ([("[cores]", "memoryx = 3\n[cores]")], r"mine.toml \[memoryx\]"),
        ([("value = 900000", 'value = "many"')], r"mine.toml \[cores\]: key 'value': Expected `float`"),
        ([("value = 900000", "value = -1")], r"mine.toml: csx\.cores is -1: it must be a number above 0"),
        ([("kind = ", "sort = ")], r"mine.toml \[cores\]: unknown key 'sort'"),
    ],
)
def test_a_wrong_system_file_is_refused(tmp_path: Path, changes: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_cluster(copied(tmp_path, "hardware/cs3.toml", *changes), 1)


def test_a_system_file_that_lacks_a_constant_names_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[cores]\nvalue = 1\nkind = "assumed"\nsource = "mine"\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine\.toml: constants of csx are missing: activation_link_bytes_per_s, "):
        load_cluster(str(path), 1)


def test_copies_of_a_gpu_and_a_program_are_those_under_their_own_names(tmp_path: Path) -> None:
    gpu = load_gpu(copied(tmp_path, "gpus/h100.toml"))
    program = load_software(copied(tmp_path, "gpu_software/torch-eager.toml", name="stack"))
    assert (gpu.name, program.name) == ("mine", "stack")
    assert gpu.sustained_fraction == load_gpu("h100").sustained_fraction
    assert program.rate_factor == load_software("torch-eager").rate_factor


def test_a_gpu_brings_along_what_is_other_on_its_cluster(tmp_path: Path) -> None:
    own = '\n[training.link_fraction]\nvalue = 0.4\nkind = "assumed"\nsource = "mine"\n'
    path = Path(copied(tmp_path, "gpus/h100.toml"))
    path.write_text(path.read_text(encoding="utf-8") + own, encoding="utf-8")
    job = gpu_job(load_model("13b").shape, gpu=str(path), num_gpus=8, batch_size=8)
    assert job.constants.link_fraction.value == 0.4
    assert job.numbers["gpu_training.link_fraction"].source == "mine"
    assert not any(".training." in name for name in job.numbers)
    path.write_text(path.read_text(encoding="utf-8").replace("link_fraction", "link_share"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"training has link_share, which gpu_training\.toml has not"):
        load_gpu(str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("generation", 'name = "h200"\ngeneration')], "name 'h200' is that of a GPU in the data: give yours another"),
        ([("[tdp_w]", "[tpd_w]")], "unknown key 'tpd_w': did you mean 'tdp_w'"),
        ([("value = 700\n", "value = -1\nlow = 3\n")], "key 'tdp_w': low <= value <= high does not hold"),
    ],
)
def test_a_wrong_gpu_file_is_refused(tmp_path: Path, changes: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_gpu(copied(tmp_path, "gpus/h100.toml", *changes))


def test_numbers_of_a_job_are_changed_by_owner_and_name() -> None:
    job = gpu_job(load_model("13b").shape, gpu="h100", num_gpus=8, batch_size=8, software="torch-eager")
    changed = job.with_numbers(
        {
            "h100.sustained_fraction": 0.5,
            "h200.sustained_fraction": 0.4,
            "torch-eager.rate_factor.hopper": 0.6,
            "gpu_training.link_fraction": 0.7,
        }
    )
    assert changed.gpu.sustained_fraction.value == 0.5
    assert changed.software.rate_factor_on(changed.gpu) == 0.6
    assert changed.constants.link_fraction.value == 0.7
    different = {name for name, constant in changed.numbers.items() if constant != job.numbers[name]}
    assert different == {"h100.sustained_fraction", "torch-eager.rate_factor.hopper", "gpu_training.link_fraction"}
