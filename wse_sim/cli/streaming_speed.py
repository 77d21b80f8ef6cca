"""What `wse-sim bench streaming` measures and shows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wse_sim.progress import Watch

if TYPE_CHECKING:
    from rich.table import Table

    from training.config import TrainConfig


def measure(
    *,
    clips: Sequence[Any],
    batch_sizes: Sequence[int],
    n_threads: int | None,
    watch: Watch,
    **given: Any,
) -> dict[str, Any]:
    """Speed and memory for each way to clip and each batch size, and processor seconds as a line over tokens."""
    import msgspec

    from training.machine import machine_profile
    from training.streaming.speed import measure_streaming, step_cost
    from wse_sim.processes.limits import n_usable_cpus

    profile = machine_profile()
    threads = n_threads or n_usable_cpus()
    speeds = []
    costs = []
    watch.begin(len(clips) * len(batch_sizes), "configurations")
    for clip in clips:
        found = measure_streaming(
            [_config(clip=clip, batch_size=size, n_threads=threads, profile=profile, **given) for size in batch_sizes],
            watch=watch,
        )
        cost = step_cost(found)
        speeds += found
        costs += [] if cost is None else [{"clip": clip, **msgspec.to_builtins(cost)}]
    return {
        "kind": "measured",
        "model": given["model"],
        "density": given["density"],
        "seq_len": given["seq_len"],
        "n_threads": threads,
        "cpu": profile.cpu,
        "torch_version": profile.torch_version,
        "speeds": [msgspec.to_builtins(speed) for speed in speeds],
        "costs": costs,
    }


def tables(content: dict[str, Any]) -> list["Table | str"]:
    """Tables for a terminal."""
    from wse_sim.report.tables import plain_table

    speeds = content["speeds"]
    header = ("streaming, measured", *(f"{s['tokens']} tokens, clip {s['clip']}" for s in speeds))
    rows = [
        ("masks and weights built", *(f"{s['build_s']:.1f} s" for s in speeds)),
        ("a step", *(f"{s['step_s']:.1f} s" for s in speeds)),
        ("of all processors", *(f"{s['step_cpu_s']:.1f} s" for s in speeds)),
        *(
            (f"  {name}", *(f"{s['parts_cpu_s'][name]:.2f} s" for s in speeds))
            for name in speeds[0]["parts_cpu_s"]
            if any(s["parts_cpu_s"][name] for s in speeds)
        ),
        ("memory at its peak", *(f"{s['peak_rss_bytes'] / 2**30:.2f} GiB" for s in speeds)),
        ("  predicted", *(f"{s['predicted_bytes'] / 2**30:.2f} GiB" for s in speeds)),
        ("loss, first and last step", *(f"{s['losses'][0]:.3f}, {s['losses'][-1]:.3f}" for s in speeds)),
    ]
    lines = [
        f"clip {cost['clip']}: a step takes {cost['fixed_cpu_s']:.1f} processor seconds, "
        f"and {cost['cpu_s_per_token']:.4f} more for each token"
        for cost in content["costs"]
    ]
    title = (
        f"{content['model']} at density {content['density']:g}, sequences of {content['seq_len']}, "
        f"{speeds[0]['precision']}, {content['n_threads']} threads of {content['cpu']}"
    )
    return [plain_table(header, rows, right=header[1:]), title, *lines]


def _config(
    *,
    model: str,
    density: float,
    clip: Any,
    batch_size: int,
    n_steps: int,
    n_threads: int,
    profile: Any,
    seq_len: int,
    **execution: Any,
) -> "TrainConfig":
    import msgspec

    from training.described import resolve_job
    from training.host import Host
    from training.itself import config_of_itself

    host = Host(mode="full", steps=n_steps, batch_size=batch_size, clip=clip, device="cpu", **execution)
    job = resolve_job(model, density=density, batch_size=batch_size, seq_len=seq_len, host=host, tokens=1e9)
    return msgspec.structs.replace(config_of_itself(job, profile), n_threads=n_threads)
