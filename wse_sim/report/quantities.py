"""Numbers as people read them: three significant digits and a unit at hand."""

from wse_sim.units import H_PER_YEAR, J_PER_KWH, S_PER_DAY, S_PER_HOUR

_NOTHING = 5e-4  # of a fraction: a tenth of a percent rounds it to zero
_LEAST = {"days": 2, "years": 3}  # below it the next smaller unit is the usual one
_TIMES = (
    (S_PER_HOUR * H_PER_YEAR, "years"),
    (S_PER_DAY, "days"),
    (S_PER_HOUR, "h"),
    (60.0, "min"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "µs"),
)
_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_MASSES = ((1e6, "kt"), (1e3, "t"), (1.0, "kg"), (1e-3, "g"))
_ENERGIES = ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"), (1e-3, "Wh"))


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and thousands separated; digits before the point stay zeros."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    if not 1e-4 <= abs(rounded) < 1e15:
        return f"{value:.{digits - 1}e}"
    exponent = int(f"{rounded:e}".split("e")[1])
    decimals = max(0, digits - 1 - exponent)
    return f"{rounded:,.{decimals}f}"


def duration(seconds: float) -> str:
    """A time in the unit in which it is at least 1; days from two days on, years from three years on."""
    for size, unit in _TIMES:
        if seconds >= _LEAST.get(unit, 1) * size:
            return f"{significant(seconds / size)} {unit}"
    return f"{significant(seconds * 1e9)} ns" if seconds else "0 s"


def count(number: float) -> str:
    """A number of parameters or tokens: 111M, 2.65B."""
    return _scaled(number, _LARGE, "") or f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """How many there are of something: 1 candidate, 54,848 candidates."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def named_density(density: float) -> str:
    """What a column or a curve is called: dense, density 0.25."""
    return "dense" if density == 1 else f"density {density:g}"


def of_density(density: float) -> str:
    """What follows the name of a model: " dense", " at density 0.25"."""
    return " dense" if density == 1 else f" at density {density:g}"


def data_size(n_bytes: float) -> str:
    return _scaled(n_bytes, _BYTES, " ") or f"{n_bytes:,.0f} bytes"


def energy(joules: float) -> str:
    kwh = joules / J_PER_KWH
    return _scaled(kwh, _ENERGIES, " ") or f"{significant(joules)} J"


def carbon(kg: float) -> str:
    """A mass of CO2 equivalent: 12.3 t CO2e."""
    return f"{_scaled(kg, _MASSES, ' ') or f'{significant(kg)} kg'} CO2e"


def money(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 100 else f"${usd:,.2f}"


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal: 20.5 %."""
    return f"{100 * fraction:.1f} %"


def signed_percent(fraction: float) -> str:
    return f"{100 * fraction:+.1f} %"


def change(fraction: float) -> str:
    """A relative change in percent, without a sign where it rounds to nothing."""
    return "0 %" if abs(fraction) < _NOTHING else signed_percent(fraction)


def factor(ratio: float) -> str:
    """A ratio: 2.23x, with the multiplication sign."""
    return f"{significant(ratio)}×"


def _scaled(value: float, scales: tuple[tuple[float, str], ...], space: str) -> str:
    for size, unit in scales:
        if abs(value) >= size:
            return f"{significant(value / size)}{space}{unit}"
    return ""
