"""The GPUs that parameters describe."""

from typing import Any

from wse_sim.api.values import read_whole
from wse_sim.comparison import GpuSide
from wse_sim.errors import choose
from wse_sim.gpu.layout import LAYOUT_FIELDS, RECOMPUTES, SHARDINGS, Layout
from wse_sim.gpu.spec import PRECISIONS
from wse_sim.spec.ranges import check_number

_CHOICES = {"recompute": RECOMPUTES, "sharding": SHARDINGS}  # of a layout


def gpu_side_of(given: dict[str, Any]) -> GpuSide:
    """The GPUs to compare with; takes what it needs out of `given`.

    Raises
    ------
    SpecError
        When a part of the layout is below 1.
    """
    # The wafers' parameters come first: a part that both sides have is called otherwise here.
    names = {part: f"{part}_gpu" if f"{part}_gpu" in given else part for part in LAYOUT_FIELDS if part != "dp"}
    fixed: dict[str, Any] = {}
    for part, name in names.items():
        value = given.pop(name)
        if part in _CHOICES:
            fixed[part] = None if value is None else choose(value, _CHOICES[part], name)
        else:
            fixed[part] = read_whole(name, value)
        if isinstance(fixed[part], int):
            check_number(part, fixed[part], f"--{name.replace('_', '-')}")
    return GpuSide(
        gpu=str(given.pop("gpu")),
        num_gpus=read_whole("num_gpus", given.pop("num_gpus")),
        software=str(given.pop("gpu_software")),
        precision=choose(given.pop("precision"), PRECISIONS, "precision"),  # type: ignore[arg-type]  # it was chosen
        with_two_four=given.pop("two_four"),
        fixed=Layout(**fixed),
    )
