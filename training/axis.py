"""What the models of a check differ in: width, density or depth; all else is the same."""

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from wse_sim.errors import SpecError, choose
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number

Axis = Literal["width", "density", "depth"]
_NUMBERS = {"width": "d_model", "density": "density", "depth": "n_layers"}  # of a run, of which each axis is one


def checked_values(over: str, values: Iterable[float]) -> tuple[float, ...]:
    """The values of an axis from the one that transfers to the others: narrowest, densest or shallowest first.

    Raises
    ------
    SpecError
        When the axis is unknown, a value is out of its range, or there are fewer than two different ones.
    """
    choose(over, get_args(Axis), "axis")
    is_density = over == "density"
    for value in values:
        if not is_density and value % 1 != 0:
            raise SpecError(f"a {over} is {value:g}: it must be a whole number")
        check_number(_NUMBERS[over], value, f"a {over}")
    different = {value if is_density else int(value) for value in values}
    if len(different) < 2:
        raise SpecError(f"values of {over}: a check compares at least two different ones")
    return tuple(sorted(different, reverse=is_density))


def scaled(shape: ModelShape, density: float, over: Axis, value: float) -> tuple[ModelShape, float]:
    """Shape and density of the model with another width, density or depth.

    Another width keeps the size of a head, heads per key head, and the ratio of the feed-forward layer to the width.

    Raises
    ------
    SpecError
        When a width is not a whole number of heads.
    """
    if over == "density":
        return shape, value
    if over == "depth":
        return msgspec.structs.replace(shape, name=f"{shape.name}-depth-{value}", n_layers=int(value)), density
    d_model, d_head = int(value), shape.d_head
    if d_model % d_head:
        raise SpecError(f"width {d_model} is not a whole number of heads of {d_head}: use multiples of {d_head}")
    n_heads = d_model // d_head
    wide = msgspec.structs.replace(
        shape,
        name=f"{shape.name}-width-{d_model}",
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=None if shape.n_kv_heads is None else max(1, n_heads * shape.n_kv_heads // shape.n_heads),
        d_ff=round(shape.d_ff * d_model / shape.d_model),
    )
    return wide, density
