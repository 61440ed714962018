"""Numbers and names as people read them, and as strict JSON holds them."""

import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

NOTHING = "\N{EN DASH}"
FEW_PEOPLE = 30
"""Below so many test people of a group its numbers are said to rest on few."""
FRONT = "the networks that no other one beats in one measure without losing in the other"
SUPERNET = "one trained network that contains all candidates"
"""What words of the field mean, in half a sentence."""


def number(value: object) -> float | None:
    """A finite or infinite number that was read from a file, None for anything else, and for not-a-number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(read) else read


def quoted(word: object) -> str:
    """A path, or another word of a command that people are told to type, as a shell takes it.

    A path that begins with a dash is no option (./-faces); line breaks and what cannot be printed stand in $'...', as
    bash and zsh read it.
    """
    text = f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
    if text.isprintable():
        return shlex.quote(text)
    escaped = (
        letter
        if letter.isprintable() and letter not in "'\\"
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
        for letter in text
    )
    return f"$'{''.join(escaped)}'"


def plain(value: object) -> object:
    """A value as strict JSON has it: tuples become lists, not-a-number None, and infinities "inf" and "-inf"."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def decimals(value: object) -> str:
    """Three decimals; two digits for a number that would read 0.000, thousands from 1,000 on; a dash for none."""
    read = number(value)
    if read is None:
        return NOTHING
    if read in (float("inf"), float("-inf")):
        return "infinite" if read > 0 else "-infinite"
    if read and abs(read) < 0.0005:
        return f"{read:.1e}"
    return f"{read:,.0f}" if abs(read) >= 1000 else f"{read:.3f}"


def shown(value: object, specification: str) -> str:
    """A number by one of Python's format specifications, e.g. ".1%"; a dash for none."""
    read = number(value)
    return NOTHING if read is None else format(read, specification)


def two(value: object) -> str:
    """Two decimals, for correlations; a dash for none."""
    return shown(value, ".2f")


def whole(value: object) -> str:
    """A count with separators of thousands; a dash for none."""
    return shown(value, ",.0f")


def millions(value: object) -> str:
    """A count of parameters or operations in millions: 0.75 M, 12.3 M; a dash for none."""
    read = number(value)
    return NOTHING if read is None else f"{read / 1e6:,.{2 if abs(read) < 1e7 else 1}f} M"


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


def singular(units: str) -> str:
    """One of the units that images are counted in: a person, an image."""
    return {"people": "person"}.get(units, units.removesuffix("s"))


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def capital(text: str) -> str:
    """A sentence with its first letter large."""
    return text[:1].upper() + text[1:]


def spoken(name: str) -> str:
    """The name of a measure as it is read: rank disparity. One of the user's own, `module:object`, stays as it is."""
    return name if ":" in name else name.replace("_", " ")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
