"""Verification sets (.bin): a pickle of 2P encoded images and P flags, read without executing anything.

Two barriers, each enough alone to keep anything from being called. The opcodes are walked first: only those that build
lists and tuples of bytes, text and flags may occur, none may demand more memory than the file is long, and the one
global is `_codecs.encode`, which Python 3 writes for bytes below protocol 3. The unpickler that follows knows no global
but a local stand-in for it.

Shape legend: P pairs.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CODEC = ("_codecs", "encode")
EMPTY_BYTES = {("__builtin__", "bytes"), ("builtins", "bytes")}
"""What Python 3 writes for no bytes at all below protocol 3."""

NO_BYTES = "an image has no bytes; leave its pair out and save the set again"
MORE_TEXT = "refused more encoded text than the file holds"

_TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_STRINGS = _TEXTS | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_CONTAINERS = {"EMPTY_LIST", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_FLAGS = {"NEWTRUE", "NEWFALSE", "INT", "BININT1"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_FRAMEWORK = {"PROTO", "FRAME", "MARK", "APPEND", "APPENDS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "STOP"}
_ALLOWED = _STRINGS | _CONTAINERS | _FLAGS | _PUTS | _GETS | _FRAMEWORK
_LINES = {"STRING": 1, "GLOBAL": 2}
"""Opcodes read as raw lines: pickletools takes their bytes for ASCII, which a Python 2 image is not."""
_SPARE_CONTAINERS = 16
"""Lists and tuples beside one tuple for every string: a set needs four."""
_UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
)


@dataclass(frozen=True, eq=False)
class VerificationBin:
    """Pairs of images: pair p is `images[2p]` and `images[2p + 1]`, and `same[p]` whether they show one person."""

    images: tuple[bytes, ...]
    """2P encoded image files."""

    same: np.ndarray
    """(P,) bool."""


def read_bin(path: Path) -> VerificationBin:
    """Read a verification set of any pickle protocol, written by Python 2 or 3.

    Nothing in the file is executed, and work and memory are proportional to its length. Flags may be booleans or the
    numbers 0 and 1. Sets whose images or flags are numpy arrays are refused. Raises ValueError with one line naming
    the file and what was refused.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); expected a verification set (.bin)") from error
    try:
        _check_operations(data)
        return _to_pairs(_unpickle(data), len(data))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_operations(data: bytes) -> None:
    """Refuse a pickle that does more than build lists and tuples of bytes, text and flags."""
    puts = strings = containers = 0
    texts = ["?", "?"]
    for name, argument, place, rest in _operations(data):
        if name == "STACK_GLOBAL":
            _refuse_global(*texts)
        if name == "GLOBAL" and argument != CODEC:
            _refuse_global(*argument)
        if name in _TEXTS:
            texts = [texts[1], argument]
        if name in _PUTS:
            # Writers number the memo without gaps; the unpickler allocates up to the highest number.
            if argument is not None and not 0 <= argument <= puts + 1:
                raise ValueError(f"refused memo number {argument} at byte {place}; expected no more than {puts + 1}")
            puts += 1
        if name == "FRAME" and argument > rest:
            raise ValueError(f"refused a frame of {argument} bytes at byte {place}; {rest} bytes follow")
        strings += name in _STRINGS
        containers += name in _CONTAINERS
        if containers > strings + _SPARE_CONTAINERS:
            raise ValueError(f"refused {containers} lists and tuples for {strings} strings up to byte {place}")


def _operations(data: bytes) -> Iterator[tuple[str, object, int, int]]:
    """Name, argument and place of every opcode, and how many bytes follow it. Refuses what is not allowed or cut."""
    stream = io.BytesIO(data)
    name = ""
    while name != "STOP":
        place = stream.tell()
        code = stream.read(1)
        opcode = pickletools.code2op.get(code.decode("latin-1"))
        if opcode is None:
            seen = f"the byte 0x{code.hex()}" if code else "the end of the file"
            raise ValueError(f"no pickle: {seen} at byte {place}, expected an opcode")
        name, argument = opcode.name, None
        if name not in _ALLOWED:
            raise ValueError(f"refused the pickle opcode {name} at byte {place}; only images and flags are read")
        try:
            if name in _LINES:
                argument = tuple(_line(stream) for _ in range(_LINES[name]))
            elif opcode.arg is not None:
                argument = opcode.arg.reader(stream)
        except (ValueError, EOFError) as error:
            raise ValueError(f"damaged pickle: {name} at byte {place} ({_one_line(error)})") from None
        yield name, argument, place, len(data) - stream.tell()


def _line(stream: io.BytesIO) -> str:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise ValueError("no end of line")
    return line[:-1].decode("latin-1")


def _refuse_global(module: str, name: str) -> None:
    seen = _one_line(f"{module}.{name}")
    if module.partition(".")[0] == "numpy":
        raise ValueError(
            f"refused the pickle global {seen}: images or flags are numpy arrays; save it again with every image as "
            "image.tobytes() and every flag as bool(flag)"
        )
    if (module, name) in EMPTY_BYTES:
        raise ValueError(NO_BYTES)
    raise ValueError(f"refused the pickle global {seen}; only images and flags are read")


def _one_line(text: object) -> str:
    """Short and printable, whatever a file put in it."""
    return ascii(str(text)[:120])[1:-1]


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, encode: Callable[[str, str], bytes]) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="bytes")
        self._encode = encode

    def find_class(self, module: str, name: str) -> Callable[[str, str], bytes]:
        if (module, name) != CODEC:
            _refuse_global(module, name)
        return self._encode


def _unpickle(data: bytes) -> object:
    encoded = 0

    def encode(text: str, codec: str) -> bytes:
        nonlocal encoded
        if type(text) is not str or codec not in ("latin1", "latin-1"):
            raise ValueError("refused a call of _codecs.encode with anything but text and latin1")
        # One text may be encoded again and again: all results together stay below the file's length.
        encoded += len(text)
        if encoded > len(data):
            raise ValueError(MORE_TEXT)
        return text.encode("latin-1")

    try:
        return _Unpickler(data, encode).load()
    except _UNPICKLING_ERRORS as error:
        message = str(error)
        raise ValueError(
            message if message.startswith("refused") else f"damaged pickle ({_one_line(message)})"
        ) from None


def _to_pairs(content: object, length: int) -> VerificationBin:
    if type(content) not in (tuple, list) or len(content) != 2:
        raise ValueError(f"holds {_kind(content)}, expected (list of images, list of flags)")
    images, flags = content
    if type(images) not in (tuple, list) or type(flags) not in (tuple, list):
        raise ValueError(f"holds {_kind(images)} and {_kind(flags)}, expected a list of images and a list of flags")
    if not flags or len(images) != 2 * len(flags):
        raise ValueError(
            f"{len(images)} images for {len(flags)} flags; expected two images for each of 1 or more flags"
        )
    for number, flag in enumerate(flags):
        if type(flag) not in (bool, int) or flag not in (0, 1):
            raise ValueError(f"flag {number} is {_kind(flag)}, expected True or False")
    return VerificationBin(tuple(_to_bytes(images, length)), np.array(flags, dtype=bool))


def _to_bytes(images: list | tuple, length: int) -> Iterator[bytes]:
    budget = length
    for number, image in enumerate(images):
        if type(image) is str:
            # Sets saved again by Python 3 hold Python 2's bytes as latin-1 text; one text may stand in many places.
            budget -= len(image)
            if budget < 0:
                raise ValueError(MORE_TEXT)
            try:
                image = image.encode("latin-1")
            except UnicodeEncodeError:
                raise ValueError(f"image {number} is text beyond latin-1, expected bytes") from None
        if type(image) is not bytes:
            raise ValueError(f"image {number} is {_kind(image)}, expected bytes")
        if not image:
            raise ValueError(NO_BYTES)
        yield image


def _kind(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, (tuple, list, bytes, str)) else ""
    return f"a value of type {type(value).__name__}{size}"
