"""The fixture files, and what the published configurations say, typed from Cerebras ModelZoo's table of recipes."""

from pathlib import Path
from typing import NamedTuple

from wse_sim.spec.configuration import Configuration
from wse_sim.spec.read_configuration import Reading, read_configuration

FILES = Path(__file__).parent / "files"
TINY = (FILES / "tiny_rigl.yaml").read_text(encoding="utf-8")
BLOCK = TINY[TINY.index("    sparsity:\n") : TINY.index("    loop:")]


class Row(NamedTuple):
    """A row of the table; `steps` is what the schedule runs over, `run` what the file runs for."""

    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    batch: int
    steps: int
    warmup: int
    peak: float
    end: float
    decay: str
    eps: float = 1e-8
    run: int = 0


SP = {
    "111m": Row(768, 10, 12, 3072, 120, 9_037, 1_525, 6e-4, 6e-5, "linear"),
    "256m": Row(1088, 14, 17, 4352, 264, 9_468, 693, 6e-4, 6e-5, "linear"),
    "590m": Row(1536, 18, 12, 6144, 264, 21_836, 693, 2e-4, 2e-5, "linear"),
    "1p3b": Row(2048, 24, 16, 8192, 528, 24_334, 346, 2e-4, 2e-5, "cosine"),
    "2p7b": Row(2560, 32, 32, 10240, 528, 49_041, 346, 2e-4, 2e-5, "cosine"),
    "6p7b": Row(4096, 32, 32, 16384, 1040, 62_522, 176, 1.2e-4, 1.2e-5, "linear", 1e-9),
    "13b_bs720": Row(5120, 40, 40, 20480, 720, 174_335, 254, 1.2e-4, 1.2e-5, "cosine", 1e-9, run=57_000),
    "13b_bs1080": Row(5120, 40, 40, 20480, 1080, 116_223, 169, 1.2e-4, 1.2e-5, "cosine", 1e-9),
}
MUP = {f"{name}_mup": SP[name]._replace(peak=6e-3, end=6e-4) for name in ("111m", "256m", "590m", "1p3b", "2p7b")}
_125M = Row(768, 12, 12, 3072, 256, 4_778, 716, 6e-4, 6e-5, "cosine")
_IFT = Row(768, 12, 12, 3072, 512, 21_511, 2_151, 6e-4, 6e-5, "cosine")
SPARSE = {
    "125m_static75": _125M,
    "125m_set75": _125M,
    "125m_rigl75": _125M,
    "125m_ift_dense": _IFT,
    "125m_ift_static50": _IFT._replace(d_model=1092, d_ff=4368),
    "125m_ift_rigl75": _IFT._replace(d_model=1536, d_ff=6144),
    "6p7b_vspdf_phase1": Row(4096, 32, 32, 16384, 1040, 62_523, 177, 3.6e-4, 1.2e-5, "linear", 1e-9),
    "6p7b_vspdf_phase2": Row(4096, 32, 32, 16384, 1040, 9_379, 938, 3.6e-4, 1.2e-5, "linear", 1e-9),
}
ALL = SP | MUP | SPARSE
PAIR = ("6p7b_vspdf_phase1", "6p7b_vspdf_phase2")


def path_of(name: str) -> str:
    return str(FILES / f"{name}.yaml")


def reading(*names: str) -> Reading:
    return read_configuration([path_of(name) for name in names])


def configuration(*names: str) -> Configuration:
    return reading(*names).configuration


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> Reading:
    """The small file with some of its text replaced."""
    text = TINY
    for old, new in pairs:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    path = tmp_path / "params_small.yaml"
    path.write_text(text, encoding="utf-8")
    return read_configuration([str(path)])
