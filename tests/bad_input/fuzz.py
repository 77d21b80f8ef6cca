"""Coverage-guided fuzzing of one reader with atheris.

    python -m pip install '.[fuzz]'                atheris, where it has a wheel for this Python
    python -m tests.bad_input.fuzz toml_model      as in a campaign; more options are those of libFuzzer, -runs=N
    python -m tests.bad_input.fuzz toml_model keep     what it found to lead elsewhere, into corpus.jsonl

What breaks a reader lies in the folder of what was found, is named at the end, and is kept before all else: it stays in
the corpus once the reader is mended.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.bad_input.corpus import kept, write

_MOST_BYTES = 4096  # of an input, but for seeds that are longer
_TIMEOUT_S, _MOST_MB = 5, 1024
_KEPT_BYTES = 4 << 10  # of one reader
_INSTRUMENTED = ["wse_sim", "training", "models", "tomllib", "yaml"]
_SEED, _KEPT, _BREAKS = "seed-", "kept-", ("crash-", "timeout-", "oom-")


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
    for prefix, contents in ((_SEED, seeds), (_KEPT, kept(name))):
        for number, content in enumerate(contents):
            (found / f"{prefix}{number}").write_bytes(content)
    words = [
        f"-runs={harness.n_runs}",
        "-seed=1",
        f"-max_len={max(_MOST_BYTES, *map(len, seeds))}",
        f"-timeout={_TIMEOUT_S}",
        f"-rss_limit_mb={_MOST_MB}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        *options,
    ]
    atheris.Setup([sys.argv[0], *words, str(found)], harness)
    atheris.Fuzz()


def keep(name: str) -> None:
    """Put what the last run of the fuzzer found into the corpus: what broke the reader, then the smallest, as far as
    there is room."""
    chosen: list[bytes] = []
    found = [path for path in _found(name).iterdir() if not path.name.startswith(_SEED)]  # which are made
    for path in sorted(found, key=lambda path: (not path.name.startswith(_BREAKS), path.stat().st_size, path.name)):
        content = path.read_bytes()
        if path.name.startswith(_BREAKS) or sum(map(len, chosen)) + len(content) <= _KEPT_BYTES:
            chosen.append(content)
    write(name, chosen)


def _found(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"wse-sim-fuzz-{name}"


if __name__ == "__main__":
    if sys.argv[2:] == ["keep"]:
        keep(sys.argv[1])
    else:
        fuzz(sys.argv[1], sys.argv[2:])
