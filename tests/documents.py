"""What documents tell a reader to type: blocks of Python, and lines of shell as lists of words."""

import re
import shlex
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Block:
    """A block of Python, or a line of shell, and the line of the document that it begins in."""

    kind: str
    text: str
    line: int
    fenced: bool = False
    """Whether the document says that it is shell; an indented line may be anything."""


def blocks_of(path):
    """The blocks of a document in their order."""
    fence, found, before, lines = None, [], "", path.read_text().split("\n")
    for number, line in enumerate(lines, 1):
        opening = re.match(r"```(\w*)\s*$", line)
        if fence is None and opening:
            fence, start, held = opening[1] or "text", number + 1, []
        elif fence is not None and line.startswith("```"):
            if fence == "python":
                found.append(Block("python", "\n".join(held) + "\n", start))
            elif fence in ("bash", "sh", "shell", "console"):
                found += shell_lines(held, start)
            fence = None
        elif fence is not None:
            held.append(line)
        elif line.startswith("    ") and (not before.strip() or before.startswith("    ")):
            found += [Block("shell", text.text, number) for text in shell_lines([line.strip()], number)]
        elif row := re.match(r"\| `(faces import [^`]+)` \|", line):
            source = row[1].split()[2]
            found.append(Block("shell", f"dualfair {row[1]} --out imported-{source}", number))
        before = line
    return found


def shell_lines(lines, start):
    """Lines without comments and blank ones; those that end in a backslash are joined."""
    found, text, first = [], "", start
    for number, line in enumerate(lines, start):
        first = first if text else number
        text += line.rstrip().removesuffix("\\")
        if line.rstrip().endswith("\\"):
            continue
        if commands_in(text):
            found.append(Block("shell", text, first, fenced=True))
        text = ""
    return found


def commands_in(line):
    """The commands of a line, as lists of words: parts of `&&`, `;` and pipes; assignments in front are left out."""
    try:
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&;|<>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return []
    commands = [[]]
    for word in words:
        if set(word) <= set("&;|"):
            commands.append([])
        elif commands[-1] or not re.fullmatch(r"\w+=.*", word):
            commands[-1].append(word)
    return [command for command in commands if command]


def subcommand(words):
    """The subcommand and its words behind it, of a list that may hold another program in front; None without one."""
    if "dualfair" not in words:
        return None
    words = words[words.index("dualfair") + 1 :]
    words = words[1:] if words[:1] == ["--debug"] else words
    return " ".join(words[: 2 if words[:1] in (["faces"], ["images"]) else 1]), words


def values_of(words, option):
    """The values that a list of words gives to an option."""
    return [value for name, value in pairwise(words) if name == option]
