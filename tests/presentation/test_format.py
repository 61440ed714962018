"""Numbers and names as people read them, and as strict JSON holds them."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from dualfair.presentation.format import decimals, number, ordinal, plain, quoted, with_error
from dualfair.supernet.files import on_one_line


def test_numbers_from_files_are_numbers_or_nothing():
    assert [number(value) for value in (1, "0.5", "inf", "nan", True, None, "x", [])] == [
        1.0, 0.5, float("inf"), None, None, None, None, None
    ]  # fmt: skip
    assert plain({"a": (float("nan"), float("inf"), 1)}) == {"a": [None, "inf", 1]}
    assert (decimals(None), decimals("inf"), decimals(12345.6)) == ("–", "infinite", "12,346")
    assert with_error(0.5, None) == "0.500"
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"
    ]  # fmt: skip


def test_whatever_of_the_user_stands_in_a_command_to_type_is_quoted():
    """Every option of a printed command that is filled in, in every source file."""
    filled = re.compile(r"dualfair [^\n`]*?(?:--[a-z]+|report|check|evaluate) \{(.*?)\}")
    sources = [path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "tools").rglob("*.py")]
    found = [value for source in sources for value in filled.findall(source)]
    assert len(found) >= 14 and all(value.startswith("quoted(") or value in ("faces", "images") for value in found)
    assert shlex.split(f"--run {quoted(Path('my run #1'))}", comments=True) == ["--run", "my run #1"]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "it's",
        'say "hi"',
        "$HOME",
        "`ls`",
        "a\nb's \\n",
        "tab\there",
        "\x1b[31m1",
        "é\u2028a",
        "bad\udce9b",
        "~",
        "!!",
    ],
)
def test_a_shell_reads_every_name_back_from_its_line(name):
    assert "\n" not in quoted(Path(name)) and quoted(Path(name)) == on_one_line(quoted(Path(name)))
    told = subprocess.run(["bash", "-c", f"printf %s {quoted(Path(name))}"], capture_output=True, check=True)
    assert os.fsdecode(told.stdout) == name


def test_a_path_that_begins_with_a_dash_is_no_option():
    assert (quoted(Path("-faces")), quoted("-faces"), quoted(Path("/-faces"))) == ("./-faces", "-faces", "/-faces")
    assert quoted(Path("-my\nfaces")) == "$'./-my\\x0afaces'"
