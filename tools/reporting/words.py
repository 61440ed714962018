"""Numbers as the page prints them."""

from __future__ import annotations

from dualfair.reporting.run_files import number

NOTHING = "\N{EN DASH}"
FEW_PEOPLE = 30
"""Below so many test people of a group its numbers are said to rest on few."""
FRONT = "the networks that no other one beats in one measure without losing in the other"
SUPERNET = "one trained network that contains all candidates"
"""What words of the field mean, in half a sentence."""


def decimals(value: object) -> str:
    """Three decimals; two digits for a number that would read 0.000, thousands from 1,000 on; a dash for none."""
    found = number(value)
    if found is None:
        return NOTHING
    if found in (float("inf"), float("-inf")):
        return "infinite" if found > 0 else "-infinite"
    if found and abs(found) < 0.0005:
        return f"{found:.1e}"
    return f"{found:,.0f}" if abs(found) >= 1000 else f"{found:.3f}"


def two(value: object) -> str:
    """Two decimals, for correlations; a dash for none."""
    found = number(value)
    return NOTHING if found is None else f"{found:.2f}"


def whole(value: object) -> str:
    """A count with separators of thousands; a dash for none."""
    found = number(value)
    return NOTHING if found is None or found in (float("inf"), float("-inf")) else f"{found:,.0f}"


def compact(value: object) -> str:
    """Two digits, with an exponent where the number is large; a dash for none."""
    found = number(value)
    return NOTHING if found is None else f"{found:.2g}"


def with_error(value: object, error: object) -> str:
    """A mean with its standard error, where it has one."""
    return decimals(value) + ("" if number(error) is None else f" ± {decimals(error)}")


def with_interval(value: object, low: object, high: object, to_text=decimals) -> str:
    """A number with its interval, where it has one."""
    if number(low) is None or number(high) is None:
        return to_text(value)
    return f"{to_text(value)} [{to_text(low)}, {to_text(high)}]"


def counted(n: int, singular: str, plural: str = "") -> str:
    """A number of things: 1 network, 2 networks."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def capital(text: str) -> str:
    """A sentence with its first letter large."""
    return text[:1].upper() + text[1:]


def spoken(name: str) -> str:
    """The name of a measure as it is read: rank disparity."""
    return name.replace("_", " ")


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
