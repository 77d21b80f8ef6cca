"""Coverage-guided fuzzing of one reader with atheris.

    python -m pip install '.[fuzz]'                atheris, where it has a wheel for this Python
    python -m tests.bad_input.fuzz toml_model      as in a campaign; more options are those of libFuzzer, -runs=N
    python -m tests.bad_input.fuzz toml_model keep     what it found to lead elsewhere, smallest first, into corpus/

What breaks a reader is written to `corpus/NAME/crash-*`, and is there to stay once the reader is mended.
"""

import shutil
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_MOST_BYTES = 4096  # of an input, but for seeds that are longer
_TIMEOUT_S, _MOST_MB = 5, 1024
_KEPT_BYTES = 24 << 10  # of one reader
_INSTRUMENTED = ["wse_sim", "training", "models", "tomllib", "yaml", "json"]


def fuzz(name: str, options: list[str]) -> None:
    """Give a reader what the fuzzer makes; does not return."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.bad_input.harnesses import HARNESSES

        harness = HARNESSES[name]
        seeds = harness.seeds()
        for seed in seeds:
            harness(seed)  # which imports what it needs
    found = _found(name)
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    for number, seed in enumerate(seeds):
        (found / f"seed-{number}").write_bytes(seed)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    words = [
        f"-runs={harness.n_runs}",
        "-seed=1",
        f"-max_len={max(_MOST_BYTES, *map(len, seeds))}",
        f"-timeout={_TIMEOUT_S}",
        f"-rss_limit_mb={_MOST_MB}",
        f"-artifact_prefix={CORPUS / name}/",
        "-print_final_stats=1",
        *options,
    ]
    atheris.Setup([sys.argv[0], *words, str(found), str(CORPUS / name)], harness)
    atheris.Fuzz()


def keep(name: str) -> None:
    """Copy what the last run of the fuzzer found, the smallest first, as far as there is room."""
    n_bytes = 0
    for path in sorted(_found(name).iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        n_bytes += path.stat().st_size
        if n_bytes > _KEPT_BYTES:
            return
        if not path.name.startswith("seed-"):  # which are made
            shutil.copy(path, CORPUS / name / path.name)


def _found(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"wse-sim-fuzz-{name}"


if __name__ == "__main__":
    if sys.argv[2:] == ["keep"]:
        keep(sys.argv[1])
    else:
        fuzz(sys.argv[1], sys.argv[2:])
