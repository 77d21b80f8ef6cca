"""Laws of a comparison: sums, dense ends, equal work, and what each side says alone."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest

from tests.comparison.sides import compared, measured_here, run
from tests.gpu.gpus import faster
from wse_sim.comparison import Comparison, GpuSide, compare, with_here
from wse_sim.errors import SpecError
from wse_sim.gpu.layout import Layout
from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.gpu.spec import load_gpu
from wse_sim.report.comparison import ClusterWay, Way
from wse_sim.simulation import simulate
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import data_path
from wse_sim.spec.operations import load_gpu_operations, load_operations
from wse_sim.spec.sourced import Sourced

CONTRACT = {"dp", "tp", "pp", "microbatch", "recompute", "tokens_per_s_per_gpu", "mfu", "run_time_s", "energy_j"}


def as_json(comparison: Comparison) -> str:
    return json.dumps(msgspec.to_builtins(comparison), allow_nan=False)


def loss(way: Way) -> float:
    assert way.loss is not None
    return way.loss.value


def clusters(comparison: Comparison) -> list[ClusterWay]:
    return [way for way in comparison.ways.values() if isinstance(way, ClusterWay)]


@pytest.mark.parametrize("price_basis", ["rental", "purchase"])
def test_time_energy_and_cost_are_the_sums_of_their_parts_on_both_sides(price_basis: str) -> None:
    comparison = compared(0.25, price_basis, with_two_four=True)
    assert len(clusters(comparison)) == 5
    for way in clusters(comparison):
        assert sum(way.breakdown.values()) == pytest.approx(1.0, rel=1e-12)
        assert sum(way.cost_parts_usd.values()) == pytest.approx(way.cost_usd, rel=1e-12)
        assert sum(way.wall_clock_parts_s.values()) == pytest.approx(way.wall_clock_s, rel=1e-12)
        assert way.facility_energy_j == pytest.approx(way.energy_j * comparison.pue, rel=1e-12)
        assert way.carbon_kg == pytest.approx(way.facility_energy_j / 3.6e6 * comparison.kg_per_kwh, rel=1e-12)
        assert way.run_time_s == pytest.approx(comparison.tokens / way.tokens_per_s, rel=1e-12)
        assert way.run_time_s == pytest.approx(comparison.n_steps * way.step_time_s, rel=1e-12)
        assert way.run_time_s < way.wall_clock_s
        assert way.energy_j_low <= way.energy_j <= way.energy_j_high
        assert way.cost_usd_low <= way.cost_usd <= way.cost_usd_high
        assert way.tokens_per_s_low < way.tokens_per_s < way.tokens_per_s_high


def test_at_density_one_each_side_has_one_way_and_it_is_the_dense_one_of_any_density() -> None:
    dense, sparse = compared(1.0), compared(0.25)
    assert dense.wafer == dense.wafer_dense == sparse.wafer_dense
    assert dense.gpu == dense.gpu_dense == sparse.gpu_dense
    assert dense.gpus_per_csx.value == pytest.approx(dense.gpus_per_csx.dense, rel=1e-12)


def test_both_sides_are_what_they_are_alone() -> None:
    comparison, asked = compared(0.25), run()
    alone = asdict(simulate(asked).result)
    wafer = msgspec.structs.asdict(comparison.wafer)
    shared = set(wafer) & set(alone) - {"bottleneck", "sensitivity", "assumed", "assumed_operations"}
    assert len(shared) > 20
    assert {name: wafer[name] for name in shared} == {name: alone[name] for name in shared}
    gpu_alone = msgspec.to_builtins(
        simulate_gpu(
            asked.shape,
            gpu="h100",
            num_gpus=16,
            batch_size=asked.batch_size,
            density=0.25,
            tokens=asked.tokens,
            fixed=Layout(cp=1),
        )
    )
    gpu = msgspec.to_builtins(comparison.gpu)
    shared = set(gpu) & set(gpu_alone)
    assert len(shared) > 30
    assert {name: gpu[name] for name in shared} == {name: gpu_alone[name] for name in shared}


def test_the_same_masks_bring_gpus_nothing_but_a_higher_loss() -> None:
    masked, dense = compared(0.25).gpu, compared(0.25).gpu_dense
    same = {"step_time_s", "tokens_per_s", "tokens_per_s_low", "wall_clock_s", "energy_j", "cost_usd", "dp", "hfu"}
    assert all(getattr(masked, name) == getattr(dense, name) for name in same)
    assert masked.mfu < dense.mfu == dense.hfu
    assert loss(masked) > loss(dense)


def test_two_four_is_a_way_of_its_own_at_half_density_whatever_was_asked_for() -> None:
    comparison = compared(0.25, with_two_four=True)
    assert comparison.gpu_two_four is not None
    assert comparison.gpu_two_four.density == 0.5
    assert comparison.gpu_two_four.step_time_s < comparison.gpu_dense.step_time_s
    assert loss(comparison.gpu_dense) < loss(comparison.gpu_two_four) < loss(comparison.gpu)
    assert compared(0.25).gpu_two_four is None


def test_json_has_the_keys_that_scripts_rely_on() -> None:
    content = json.loads(as_json(compared(0.25)))
    assert CONTRACT | {"cost_usd"} <= set(content["gpu"])
    assert {"run_time_s", "energy_j", "cost_usd", "mfu", "num_csx"} <= set(content["wafer"])
    assert {"tokens_per_s", "run_time", "energy", "carbon", "cost"} <= set(content["ratios"])
    assert list(content["wafer"]).index("memory") < list(content["wafer"]).index("tokens_per_s")
    assert list(content["wafer"]).index("tokens_per_s") < list(content["wafer"]).index("cost_usd")


def test_a_comparison_has_a_json_schema() -> None:
    schema = msgspec.json.schema(Comparison)
    assert {"WaferWay", "GpuWay", "HereWay"} <= set(schema["$defs"])
    msgspec.json.decode(as_json(compared(0.25)), type=Comparison)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert as_json(compare(run(), GpuSide(num_gpus=16, fixed=Layout(cp=1)))) == as_json(compared(0.25))


def test_by_default_the_gpus_cost_what_the_wafers_do() -> None:
    comparison = compared(num_gpus=None)
    wafers, gpus = comparison.wafer, comparison.gpu
    usd_per_server_h = 8 * gpus.usd_per_unit_h
    assert gpus.num_gpus % 8 == 0
    assert abs(wafers.num_csx * wafers.usd_per_unit_h - gpus.num_gpus * gpus.usd_per_unit_h) <= usd_per_server_h / 2
    assert "nearest to the price of the wafers: $216 an hour against $220" in comparison.notes[0]


def test_what_is_linked_as_a_rack_is_taken_in_servers_of_eight() -> None:
    """One CS-3 at 110 dollars an hour buys 18 GB200 at 6 dollars: two servers' worth, not a rack of 72."""
    assert compare(run(num_csx=1), GpuSide(gpu="gb200")).gpu.num_gpus == 16


def test_where_the_batch_is_too_small_for_the_price_fewer_gpus_are_taken() -> None:
    """Without tensor and pipeline parallelism a GPU needs a sequence: 20 are enough for two servers, 2 for two GPUs."""
    few = GpuSide(software="torch-eager")
    assert compare(run("111m", batch_size=20), few).gpu.num_gpus == 16
    assert compare(run("111m", batch_size=2), few).gpu.num_gpus == 2


def test_where_memory_is_too_small_for_the_price_more_gpus_are_taken() -> None:
    """At 20 dollars an hour, a server of eight A100 is dearer than the system, and too small for this many states."""
    dear = Sourced(value=20.0, kind="assumed", source="a test")
    small = Sourced(value=2e10, kind="assumed", source="a test")
    gpu = msgspec.structs.replace(load_gpu("a100-40"), price_usd_per_h=dear, memory_bytes=small)
    assert compare(run("1.3b", num_csx=1), GpuSide(gpu=gpu)).gpu.num_gpus == 8
    assert compare(run("13b", num_csx=1), GpuSide(gpu=gpu)).gpu.num_gpus == 16


def test_a_users_prices_and_power_count_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    units = {"h100.rental_usd_per_h": 2.0, "h100.power_w": 1000.0, "cs3.power_w": 30_000.0}
    tables = (
        f"[units.{name}]\nvalue = {value}\nkind = 'published'\nsource = 'ours'\n" for name, value in units.items()
    )
    path.write_text("".join(tables), encoding="utf-8")
    ours = compare(run(), GpuSide(num_gpus=16), economics=load_economics(str(path)))
    assert ours.gpu.usd_per_unit_h == 2.0
    assert ours.gpu.energy_j == pytest.approx(16 * 1000.0 * ours.gpu.run_time_s, rel=1e-12)
    assert ours.wafer.energy_j == pytest.approx(2 * 30_000.0 * ours.wafer.run_time_s, rel=1e-12)
    assert ours.wafer.energy_j_low == ours.wafer.energy_j == ours.wafer.energy_j_high


def test_a_users_own_gpu_keeps_its_name_and_has_no_upper_case(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_bytes(data_path("gpus", "h100.toml").read_bytes().replace(b'name = "h100"', b'name = "our-h100"'))
    ours = compare(run(), GpuSide(gpu=str(path), num_gpus=16, fixed=Layout(cp=1)))
    assert ours.gpu.name == "16 × our-h100 masked to 0.25"
    assert re.search(r"the work of [\d.]+ our-h100 ", ours.headline)
    assert ours.gpu.tokens_per_s == compared(0.25).gpu.tokens_per_s


def test_what_is_assumed_has_the_source_that_it_was_used_with(tmp_path: Path) -> None:
    """On bought machines, of a user's own GPU and program, at a price that the user assumes."""
    for folder, name in (("gpus", "h100"), ("gpu_software", "megatron")):
        content = data_path(folder, f"{name}.toml").read_text(encoding="utf-8")
        content = content.replace(f'name = "{name}"', f'name = "our-{name}"')
        content = content.replace('kind = "published"', 'kind = "assumed"')
        (tmp_path / f"{folder}.toml").write_text(content, encoding="utf-8")
    prices = tmp_path / "prices.toml"
    prices.write_text("[units.cs3.purchase_usd]\nvalue = 3e6\nkind = 'assumed'\nsource = 'an offer'\n")
    comparison = compare(
        run(),
        GpuSide(gpu=str(tmp_path / "gpus.toml"), software=str(tmp_path / "gpu_software.toml"), num_gpus=16),
        economics=load_economics(str(prices)).with_choices(price_basis="purchase"),
    )
    constants = comparison.assumed_constants
    assert set(constants) == {*comparison.wafer.assumed, *comparison.gpu.assumed}
    assert (constants["csx.purchase_usd"].value, constants["csx.purchase_usd"].source) == (3e6, "an offer")
    for name in ("economics.utilisation", "our-h100.memory_bytes", "our-megatron.exposed_tensor_parallel"):
        assert constants[name].source
    assert [constant for constant in constants.values() if constant.kind != "assumed"] == []


def test_failures_lengthen_both_wall_clocks_and_nothing_else() -> None:
    never = {"system_mtbf_s": float("inf"), "cluster_mtbf_s": float("inf")}
    without = compare(
        run(),
        GpuSide(num_gpus=16, fixed=Layout(cp=1)),
        operations=load_operations().with_values("a test", **never),
        gpu_operations=load_gpu_operations().with_values("a test", **never),
    )
    for safe, failing in ((without.wafer, compared(0.25).wafer), (without.gpu, compared(0.25).gpu)):
        assert safe.wall_clock_s < failing.wall_clock_s
        assert (safe.n_failures_expected, safe.run_time_s) == (0.0, failing.run_time_s)


def test_a_batch_that_does_not_divide_over_the_gpus_and_a_part_of_a_server_are_named() -> None:
    """12 × 2 sequences at a time: of 250 the fullest GPU has 21; 240 and 264 are multiples of 24, and of 2 systems."""
    fixed = Layout(tp=1, pp=1, cp=1, microbatch=2)
    words = " ".join(compare(run(batch_size=250), GpuSide(num_gpus=12, fixed=fixed)).notes)
    assert "12 H100 fill no whole number of servers of 8" in words
    assert (
        "250 sequences do not divide over dp 12 × microbatch 2, as most programs want it; counted is the copy of the "
        "model with most, 21 in 11 micro-batches, the last of 1; --batch-size 240 or 264 would divide"
    ) in words
    whole = compare(run(batch_size=264), GpuSide(num_gpus=8, fixed=Layout(tp=1, pp=1, cp=1, microbatch=3)))
    assert not [note for note in whole.notes if "divide" in note or "servers of" in note]


@pytest.mark.parametrize(("microbatch", "is_full"), [(1, False), (None, True)])
def test_memory_that_is_nearly_full_is_said_to_come_out_fast(microbatch: int | None, is_full: bool) -> None:
    side = GpuSide(num_gpus=8, fixed=Layout(tp=1, pp=1, cp=1, microbatch=microbatch, recompute="none"))
    comparison = compare(run(), side)
    assert (comparison.gpu.memory.needed_bytes > 0.9 * comparison.gpu.memory.available_bytes) is is_full
    assert any("up to 27 % fast here" in note for note in comparison.notes) is is_full


def test_no_carbon_has_no_ratio() -> None:
    green = compare(run(), GpuSide(num_gpus=16), economics=load_economics().with_choices(grid="0"))
    assert green.ratios.carbon is None
    assert green.ratios.energy is not None
    as_json(green)


def test_a_run_that_does_not_fit_onto_the_gpus_names_the_wall() -> None:
    with pytest.raises(SpecError, match=r"13b on 1 x a100-40: memory: needs \d+ GB, most of it states"):
        compare(run("13b"), GpuSide(gpu="a100-40", num_gpus=1))


def test_this_machine_is_a_way_that_nobody_pays_for() -> None:
    asked, without = run(), compared(0.25)
    comparison = with_here(without, asked, measured_here(without.gpu))
    assert list(comparison.ways)[-1] == "here"
    assert comparison.iso_time["here"].tokens == pytest.approx(1e-4 * comparison.iso_time["gpu"].tokens, rel=1e-12)
    to_loss = comparison.iso_loss["here"]
    assert to_loss.run_time_s == pytest.approx(1e4 * comparison.iso_loss["gpu"].run_time_s, rel=1e-9)
    assert (to_loss.energy_j, to_loss.cost_usd) == (None, None)
    of_ways = {"iso_time": {}, "iso_loss": {}, "loss_curves": {}}
    assert msgspec.structs.replace(comparison, here=None, **of_ways) == msgspec.structs.replace(without, **of_ways)


def test_gpus_at_half_the_rate_are_twice_as_many_for_one_system() -> None:
    """In one server, without stages, nothing but these four rates takes time."""
    side = GpuSide(num_gpus=8, fixed=Layout(pp=1, cp=1))
    slow = faster("h100", "matmul_flops_per_s", 0.5)
    for rate in ("memory_bytes_per_s", "nvlink_bytes_per_s", "network_bytes_per_s"):
        old = getattr(slow, rate)
        slow = msgspec.structs.replace(slow, **{rate: msgspec.structs.replace(old, value=old.value / 2)})
    usual, halved = (compare(run(), asked) for asked in (side, replace(side, gpu=slow)))
    assert halved.gpus_per_csx.value == pytest.approx(2.0 * usual.gpus_per_csx.value, rel=1e-9)
    assert halved.gpus_per_csx.low == pytest.approx(2.0 * usual.gpus_per_csx.low, rel=1e-9)
