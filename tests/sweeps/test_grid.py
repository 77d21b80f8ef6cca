"""A grid is its product without the list of it, and rows come from a file as they were, whatever their order there."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_sim.sweeps.grid import Chosen, Grid, values_by_key
from wse_sim.sweeps.rows import StoredRows
from wse_sim.sweeps.sweep import Row, Sweep

NAMES = ("a", "b", "c", "d")
GRIDS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), min_size=1, max_size=4).map(
    lambda lists: Grid(dict(zip(NAMES, lists, strict=False)))
)


@given(grid=GRIDS)
def test_a_point_is_the_same_by_its_index_and_in_turn(grid: Grid) -> None:
    assert grid == list(grid)
    assert [grid[index] for index in range(-len(grid), 0)] == list(grid)
    assert grid[1:3] == list(grid)[1:3]
    with pytest.raises(IndexError):
        grid[len(grid)]
    listed = Sweep(kind="simulated", points=[{"model": "111m", **point} for point in grid], results=())
    gridded = Sweep(kind="simulated", points=Grid({"model": ["111m"], **grid.lists}), results=())
    assert (listed.keys, listed.varied, listed.digest) == (gridded.keys, gridded.varied, gridded.digest)


@given(grid=GRIDS, inner=st.sets(st.sampled_from(NAMES)))
def test_groups_are_all_points_once_and_alike_in_all_but_the_inner_keys(grid: Grid, inner: set[str]) -> None:
    groups = list(grid.groups(inner))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(grid)))
    outer = [{tuple((k, v) for k, v in grid[i].items() if k not in inner) for i in of.tolist()} for of in groups]
    assert all(len(of) == 1 for of in outer)
    assert len(set.union(*outer)) == len(groups)


def test_a_point_that_lacks_a_key_has_none_among_its_values() -> None:
    assert values_by_key([{"a": 1}, {"a": 1, "b": 2}]) == {"a": [1], "b": [2, None]}


@given(grid=GRIDS, data=st.data())
def test_the_chosen_points_are_those_and_no_others(grid: Grid, data: st.DataObject) -> None:
    is_chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(grid), max_size=len(grid))))
    chosen = Chosen(grid, is_chosen)
    assert dict(chosen) == {index: point for index, point in enumerate(grid) if is_chosen[index]}
    assert len(chosen) == is_chosen.sum()
    for index in np.flatnonzero(~is_chosen).tolist():
        assert index not in chosen


@given(order=st.permutations(range(40)), widths=st.lists(st.integers(0, 9000), min_size=40, max_size=40))
def test_rows_are_read_back_from_any_order_and_of_any_length(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], widths: list[int]
) -> None:
    path: Path = tmp_path_factory.mktemp("rows") / "rows"
    rows = [Row(index, "infeasible", "x" * widths[index]) for index in range(len(order))]
    path.touch()
    stored = StoredRows(os.open(path, os.O_RDONLY), len(rows))
    with path.open("wb") as file:
        for index in order:
            assert stored.is_missing[index]
            stored.place(index, file.tell())
            file.write(msgspec.json.encode(rows[index]) + b"\n")
    assert not stored.is_missing.any()
    assert stored == rows
    assert [stored[index] for index in order] == [rows[index] for index in order]
