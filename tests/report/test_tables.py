"""Tables for terminals, and numbers as people read them."""

import io
from pathlib import Path

import pytest
from rich.console import RenderableType

from tests.report.run_directory import simulation, write_run
from wse_sim.cli.terminal import console
from wse_sim.report.headline import headline
from wse_sim.report.quantities import carbon, count, duration, energy, factor, money, percent, significant
from wse_sim.report.tables import comparison_cells, comparison_table, plain_table, simulation_table, summary_table


def printed(table: RenderableType, width: int = 100) -> str:
    drawn = console(io.StringIO())
    drawn.width = width
    with drawn.capture() as capture:
        drawn.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (significant(0.0), "0"),
        (significant(123_456.7), "123,000"),
        (significant(999.9), "1,000"),
        (significant(0.099_99), "0.100"),
        (significant(-3.14159), "-3.14"),
        (significant(1e-5), "1.00e-05"),
        (carbon(12_345.0), "12.3 t CO2e"),
        (carbon(863.0), "863 kg CO2e"),
        (carbon(0.0), "0 kg CO2e"),
        (duration(0), "0 s"),
        (duration(0.0042), "4.20 ms"),
        (duration(86_400), "24.0 h"),
        (duration(172_800), "2.00 days"),
        (duration(1_000 * 86_400), "1,000 days"),
        (duration(161_000 * 86_400), "441 years"),
        (count(2_651_553_280), "2.65B"),
        (count(999), "999"),
        (energy(3.6e9), "1.00 MWh"),
        (energy(3.6e6), "1.00 kWh"),
        (money(5_129.17), "$5,129"),
        (money(3.2), "$3.20"),
        (percent(0.205), "20.5 %"),
        (factor(2.234), "2.23×"),
    ],
)
def test_numbers_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected


def test_summary_table_says_where_each_figure_comes_from(tmp_path: Path) -> None:
    summary = write_run(tmp_path / "run", simulation())
    text = printed(summary_table(summary))
    for words in ("measured", "simulated", "projected", "2 × CS-2", "16 × H100", "speed-up over dense"):
        assert words in text
    assert all(len(line.rstrip()) <= 100 for line in text.splitlines())
    lines = [line for line in text.splitlines() if line.startswith(("tokens/s", "energy", "cost"))]
    assert len(lines) == 6
    assert all(line.rstrip().endswith("simulated") for line in lines)


def test_summary_table_of_nothing_is_only_a_title() -> None:
    assert "run" in printed(summary_table({}))


def test_simulation_table_fits_one_screen_and_names_what_is_assumed() -> None:
    text = printed(simulation_table(simulation().result))
    assert "simulated" in text.splitlines()[0]
    assert "swarmx.fan_out" in text
    assert len(text.splitlines()) <= 44


def test_a_summary_of_before_carbon_was_counted_still_shows_energy_and_cost(tmp_path: Path) -> None:
    summary = write_run(tmp_path / "run", simulation())
    del summary["simulated"]["carbon_kg"]
    lines = {line.split()[0] for line in printed(summary_table(summary)).splitlines() if line.strip()}
    assert {"energy", "cost"} <= lines
    assert "carbon" not in lines


def test_comparison_table_shows_a_dash_for_what_a_run_lacks(tmp_path: Path) -> None:
    summary = write_run(tmp_path / "run", simulation())
    rows = [
        {"run": "whole", "density": 0.25, "schedule": "cosine", "summary": summary},
        {"run": "bare", "density": 1.0, "schedule": "cosine", "summary": {}},
    ]
    lines = printed(comparison_table({"rows": rows})).splitlines()
    assert lines[-1].split() == ["1", "cosine", *"––––––––"]
    assert "measured: loss to bits/byte" in lines[0]
    assert "projected: full loss" in lines[0]


@pytest.mark.parametrize(
    ("loss", "flops", "note"),
    [
        (2.6, 2.6e18, ""),
        (2.6, 2.0e24, ""),  # extrapolated, as the caveats say
        (10.9, 2.6e18, "it would be 10.9 nats/token, more than a uniform guess has (ln 50,257 = 10.8)"),
        (3.9, 1e15, "1.0e+15 FLOPs, fitted from 2.6e+18 to 2.3e+22"),
        (1.2, 1e26, "1.0e+26 FLOPs, fitted from 2.6e+18 to 2.3e+22"),
    ],
)
def test_a_loss_that_no_law_knows_is_no_number(tmp_path: Path, loss: float, flops: float, note: str) -> None:
    summary = write_run(tmp_path / "run", simulation())
    summary["projected"] |= {"value": loss, "effective_flops": flops, "dense_value": loss - 0.1}
    line, dense = (line for line in headline(summary) if line.group == "Full-size loss on the Pile")
    if note:
        assert (line.value, line.note) == ("outside of the law", note)
    assert ("nats/token" in line.value) == (not note)
    assert ("nats/token" in dense.value) == (not note or loss - 0.1 < 10.82 < loss)
    shown = printed(comparison_table({"rows": [{"run": "a", "density": 1, "schedule": "s", "summary": summary}]}))
    assert shown.split()[-1] == ("outside" if note else "2.600")


def test_losses_of_several_runs_have_their_units(tmp_path: Path) -> None:
    summary = write_run(tmp_path / "run", simulation())
    rows = [{"run": "a", "density": 1, "schedule": "s", "summary": summary}]
    assert {"loss, nats/byte", "full loss, nats/token"} <= {*comparison_cells({"rows": rows})[0]}
    summary["measured"]["bits_per_byte"] = None
    assert "loss, nats/token" in comparison_cells({"rows": rows})[0]


def test_gpus_are_said_to_run_dense_and_with_their_servers(tmp_path: Path) -> None:
    summary = write_run(tmp_path / "run", simulation())
    of_gpus = {line.name: line for line in headline(summary) if "H100" in line.group}
    program = of_gpus["program"]
    assert (program.value, program.note) == ("megatron, bf16", "dense: single zeros save GPUs nothing")
    assert of_gpus["energy"].note.startswith("whole servers")
    assert of_gpus["tokens/s"].note.startswith("layout dp")


def test_text_in_a_table_is_never_markup() -> None:
    shown = printed(plain_table(("[bold]",), [("[red]x[/red]",), ("model[/a]:x:",)]))
    assert [line.strip() for line in shown.splitlines()] == ["[bold]", "[red]x[/red]", "model[/a]:x:"]
