"""What one GPU draws and costs."""

from msgspec.structs import replace

from wse_sim.gpu.spec import GpuSpec
from wse_sim.spec.economics import Economics
from wse_sim.spec.sourced import Sourced

_OF_BILL = {"power_w": "server_w_per_gpu", "rental_usd_per_h": "price_usd_per_h", "purchase_usd": "purchase_usd"}


def unit_constants(gpu: GpuSpec) -> dict[str, Sourced]:
    """Power and prices of one GPU, by argument of `spec.bill.bill`."""
    return {argument: getattr(gpu, name) for argument, name in _OF_BILL.items()}


def priced_gpu(gpu: GpuSpec, economics: Economics) -> GpuSpec:
    """`gpu` with the power and the prices that the user's file gives its kind."""
    return replace(gpu, **{_OF_BILL[argument]: known for argument, known in economics.known(gpu.name).items()})
