"""Training steps per second beside nanoGPT's, in turns: `python -m tests.benchmarks.against_nanogpt FOLDER_OF_NANOGPT`.

Its own `train.py` runs, with the shape, batch, sequence length, threads and bytes of `wse-sim bench trainer`, float32
on the CPU, without compilation, as its README says for CPUs; each step's time is read off its log. Both are started
anew each round, so that the machine's moods strike them alike.
"""

import argparse
import json
import os
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from training.data import STDLIB, load_corpus
from training.speed import Workload, workloads
from wse_sim.processes.limits import n_usable_cpus

N_WARMUP = 2  # steps that are not timed, on either side
_STEP = re.compile(r"^iter (\d+): loss .*, time ([0-9.]+)ms", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nanogpt", type=Path, help="a checkout of nanoGPT: train.py, model.py, configurator.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=n_usable_cpus())
    given = parser.parse_args()
    print(f"tokens/s, measured: float32, {given.threads} threads, {given.steps} steps a round, median of each round\n")
    print("| workload | round | nanoGPT | wse-sim | ratio | density 0.25 | over dense |")
    print("|---|---|---|---|---|---|---|")
    for name, workload in workloads().items():
        ratios, costs = [], []
        for number in range(1, given.rounds + 1):
            theirs = nanogpt_tokens_per_s(given.nanogpt, workload, given.steps, given.threads)
            dense, masked = our_tokens_per_s(name, given.steps, given.threads)
            ratios.append(dense / theirs)
            costs.append(masked / dense - 1)
            found = f"{theirs:,.0f} | {dense:,.0f} | {ratios[-1]:.3f} | {masked:,.0f} | {costs[-1]:+.1%}"
            print(f"| {name} | {number} | {found} |", flush=True)
        print(
            f"| {name} | median | | | {statistics.median(ratios):.3f} | | {statistics.median(costs):+.1%} |", flush=True
        )


def our_tokens_per_s(name: str, n_steps: int, n_threads: int) -> tuple[float, float]:
    """Of the dense model and of the one at density 0.25."""
    words = ("bench", "trainer", "--workload", name, "--steps", str(n_steps), "--threads", str(n_threads), "--json")
    done = subprocess.run([sys.executable, "-m", "wse_sim", *words], capture_output=True, text=True, check=True)
    dense, masked = json.loads(done.stdout)["steps"]
    return dense["tokens_per_s"], masked["tokens_per_s"]


def nanogpt_tokens_per_s(folder: Path, workload: Workload, n_steps: int, n_threads: int) -> float:
    """Of the median step of its training loop."""
    shape = workload.shape
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for file in ("train.py", "model.py", "configurator.py"):
            (home / file).write_text((folder / file).read_text(encoding="utf-8"), encoding="utf-8")
        data = home / "data" / "bytes"
        data.mkdir(parents=True)
        corpus = load_corpus(STDLIB)
        for split, part in (("train", corpus.train), ("val", corpus.val)):
            part.tokens(0, part.n_tokens).astype(np.uint16).tofile(data / f"{split}.bin")
        (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": shape.vocab_size}))
        settings = {
            "device": "cpu", "compile": False, "dtype": "float32", "dataset": "bytes", "bias": True, "dropout": 0.0,
            "n_layer": shape.n_layers, "n_head": shape.n_heads, "n_embd": shape.d_model,
            "block_size": workload.seq_len, "batch_size": workload.batch_size, "gradient_accumulation_steps": 1,
            "max_iters": N_WARMUP + n_steps, "eval_interval": 10**9, "eval_iters": 1, "log_interval": 1,
        }  # fmt: skip
        words = [f"--{key}={value}" for key, value in settings.items()]
        done = subprocess.run(
            [sys.executable, "train.py", *words],
            cwd=home,
            env={**os.environ, "OMP_NUM_THREADS": str(n_threads)},
            capture_output=True,
            text=True,
            check=True,
        )
    times_ms = [float(ms) for step, ms in _STEP.findall(done.stdout) if int(step) >= N_WARMUP]
    assert len(times_ms) >= n_steps, done.stdout
    return workload.batch_size * workload.seq_len / (statistics.median(times_ms) / 1e3)


if __name__ == "__main__":
    main()
