"""All checks of a machine, each when it is done, and one verdict on them. Nothing here asks the network."""

import getpass
import importlib
import math
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from dualfair.presentation.format import counted

OK, WARNING, FAILED = "ok", "warning", "FAILED"
IMPORTED_AS = {"pillow": "PIL"}
"""Libraries that are imported by another name than they are installed by."""
LITTLE_DISK, LITTLE_TEMPORARY, LITTLE_MEMORY = 2 * 2**30, 2**28, 2 * 2**30
"""Bytes below which the disk, the temporary folder and memory are warned about: a run of `nano` takes some hundred
megabytes, one of `paper` gigabytes."""
PEOPLE, IMAGES, SIZE = 24, 4, 32
"""Faces that the self-test generates: of so many people, so many of each, so many pixels wide."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its state is "ok", "warning" or "FAILED". Behind it come its name and the seconds
    that looking took."""

    state: str
    text: str
    name: str = ""
    seconds: float = 0.0

    def line(self) -> str:
        """The finding as a line of text."""
        lasted = f"  ({self.seconds:.1f} s)" if self.seconds >= 0.05 else ""
        return f"{self.name:<19} {self.state:<8} {self.text}{lasted}"


def checks(device: str) -> Iterator[Finding]:
    """Every check when it is done: first what is there, then whether DualFair computes what it promises on a device."""
    here = Path.cwd()
    looks: dict[str, Callable[[], Finding]] = {
        "imports": partial(imports, here),
        "libraries": libraries,
        "processors": processors,
        "accelerators": accelerators,
        "memory": memory,
        "disks": partial(disks, here),
        "self-test: faces": faces,
        "self-test: networks": partial(networks, device),
    }
    for name, look in looks.items():
        start = time.perf_counter()
        try:
            finding = look()
        except Exception as error:
            # Whatever is wrong with a machine is what this command is there to say.
            finding = Finding(FAILED, str(error) if isinstance(error, ValueError) else reason(error))
        seconds = time.perf_counter() - start
        yield replace(finding, name=name, text=" ".join(finding.text.split()), seconds=seconds)


def verdict(done: Sequence[Finding]) -> str:
    """One plain sentence on all checks."""
    failures = [check for check in done if check.state == FAILED]
    warnings = [check for check in done if check.state == WARNING]
    if failures:
        more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
        return f"Does not work: {failures[0].name}: {failures[0].text}{more}."
    if warnings:
        return f"Works, with {counted(len(warnings), 'warning')}: {', '.join(check.name for check in warnings)}."
    return "Everything works."


def shareable(done: Sequence[Finding]) -> dict[str, object]:
    """The verdict and all checks for a report of a fault: no user is named, and no absolute path is in it."""
    rows = [{**asdict(check), "text": anonymous(check.text), "seconds": round(check.seconds, 2)} for check in done]
    return {"verdict": anonymous(verdict(done)), "checks": rows}


def installed_package() -> metadata.Distribution:
    """DualFair as it was installed. Raises ValueError where it was not."""
    try:
        return metadata.distribution("dualfair")
    except metadata.PackageNotFoundError:
        raise ValueError("dualfair is not installed; run 'python -m pip install .' in its folder") from None


def imports(folder: Path) -> Finding:
    """Whether DualFair and its libraries are imported from where they were installed, and nothing in `folder`, the
    current one, hides them from `module:object` and from programs of one's own."""
    asked = [line for line in installed_package().requires or () if "extra ==" not in line]
    wrong, hiding = [], []
    for library in ["dualfair", *(re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in asked)]:
        name = IMPORTED_AS.get(library, library)
        origin, installed = _module_in(None, name), _installed(library, name)
        if origin and installed and origin != installed:
            wrong.append(
                f"{name} is {origin} instead of the installed {installed}; rename it, or leave PYTHONPATH empty"
            )
        if module := _module_in([str(folder)], name):
            hiding.append(f"./{module.name}")
    if hiding:
        wrong.append(
            f"{', '.join(hiding)} in the current folder would be imported instead of the installed package of that "
            "name, by module:object and by programs of your own; rename it"
        )
    if wrong:
        return Finding(WARNING, "; ".join(wrong))
    here = Path(__file__).resolve().parents[1]
    return Finding(OK, f"dualfair comes from {here}; nothing here is named like it or like a library")


def libraries() -> Finding:
    """Python, and the libraries that the installed package asks for: each has to be there, to be new enough, and to
    import."""
    from packaging.requirements import Requirement

    seen = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    seen, old, broken = [*seen, f"dualfair {installed_package().version}"], [], []
    for requirement in map(Requirement, installed_package().requires or ()):
        name, marker = requirement.name, requirement.marker
        if marker is not None and not marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(name)
            importlib.import_module(IMPORTED_AS.get(name, name))
        except metadata.PackageNotFoundError:
            broken.append(f"{name} is missing: pip install '{requirement}'")
        except Exception as error:
            # A library that was built for another machine may raise anything.
            broken.append(f"{name} {version} cannot be imported ({reason(error)})")
        else:
            seen.append(f"{name} {version}")
            if not requirement.specifier.contains(version, prereleases=True):
                wanted = f"{requirement.specifier} that is asked for: pip install '{name}{requirement.specifier}'"
                old.append(f"{name} {version} is not the {wanted}")
    if broken or old:
        return Finding(FAILED if broken else WARNING, "; ".join(broken + old))
    return Finding(OK, ", ".join(seen))


def processors() -> Finding:
    """Threads that torch takes, beside the processors that this process may use."""
    import torch

    threads, allowed = torch.get_num_threads(), allowed_processors()
    seen = f"threads of torch: {threads}, processors allowed: {allowed:g}"
    if threads > math.ceil(allowed):
        remedy = f"set OMP_NUM_THREADS={max(1, int(allowed))}"
        return Finding(WARNING, f"{seen}: too many threads get in each other's way; {remedy}")
    return Finding(OK, seen)


def allowed_processors() -> float:
    """Processors that this process may use: those it is bound to, or less where a container has a quota."""
    from dualfair.supernet.memory import control_group_files

    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for file in control_group_files("cpu.max"):
        quota, _, period = file.read_text(encoding="ascii").strip().partition(" ")
        if quota != "max":
            bound = min(bound, int(quota) / int(period or 100_000))
    return bound


def accelerators() -> Finding:
    """CUDA devices with their memory and bfloat16, and whether this build of torch can use what is there."""
    import torch

    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
    if not torch.cuda.is_available():
        if not any(Path(place).exists() for place in ("/proc/driver/nvidia/version", "/dev/nvidiactl")):
            return Finding(OK, f"no CUDA device, {built}")
        hidden = "its driver is too old for it, or the device is hidden"
        remedy = hidden if torch.version.cuda else "install a build for CUDA"
        return Finding(WARNING, f"an NVIDIA driver is here, but torch cannot use it: {built}; {remedy}")
    seen, broken = [], []
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        try:
            free, whole = torch.cuda.mem_get_info(number)
            # A build without code for this device's generation is noticed by the first operation only.
            torch.ones(8, device=f"cuda:{number}").sum().item()
        except Exception as error:
            capability = f"compute capability {device.major}.{device.minor}"
            broken.append(f"cuda:{number} {device.name} ({capability}) does not compute ({reason(error)})")
            continue
        bfloat16 = "bfloat16" if device.major >= 8 else "no bfloat16, so slower in --train-precision bf16"
        seen.append(f"cuda:{number} {device.name}, {_bytes(free)} of {_bytes(whole)} free, {bfloat16}")
    remedy = ["install another build or driver"] if broken else []
    return Finding(WARNING if broken else OK, "; ".join([*broken, *seen, built, *remedy]))


def memory() -> Finding:
    """Memory that is free, in a container within its limit."""
    from dualfair.supernet.memory import available_ram

    free = available_ram()
    if free < LITTLE_MEMORY:
        return Finding(WARNING, f"{_bytes(free)} free: enough for small networks only")
    return Finding(OK, f"{_bytes(free)} free")


def disks(folder: Path) -> Finding:
    """Room in the current folder and the temporary one."""
    places = {"current folder": (folder, LITTLE_DISK), "temporary folder": (tempfile.gettempdir(), LITTLE_TEMPORARY)}
    free = {name: shutil.disk_usage(place).free for name, (place, _) in places.items()}
    seen = ", ".join(f"{name} {_bytes(room)} free" for name, room in free.items())
    if not os.access(folder, os.W_OK):
        return Finding(WARNING, f"{seen}; the current folder cannot be written, name another one with --out")
    little = [name for name, room in free.items() if room < places[name][1]]
    return Finding(WARNING, f"{seen}: little room in the {' and the '.join(little)}") if little else Finding(OK, seen)


def faces() -> Finding:
    """Generate faces into a folder and read them again."""
    from dualfair.stages.faces import generate
    from dualfair.supernet.images.store import open_store
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    with tempfile.TemporaryDirectory(prefix="dualfair-doctor-") as folder:
        generate(SyntheticFaces(identities=PEOPLE, images=IMAGES, size=SIZE), Path(folder))
        read = len(open_store(Path(folder)).pixels)
    return Finding(OK, f"{read} faces of {PEOPLE} people generated, written and read")


def networks(name: str) -> Finding:
    """Train a small supernet on the device of a name, and hold its subnets to what is promised of every space."""
    from dualfair.conformance import check_space
    from dualfair.runs.devices import choose_device, describe
    from dualfair.supernet.skeleton import skeleton_of
    from dualfair.supernet.space import dpn_space

    device = choose_device(name)
    faults = check_space(dpn_space("dpn81"), skeleton_of("nano").resized(SIZE), device=device)
    if faults:
        return Finding(FAILED, "; ".join(faults))
    return Finding(
        OK,
        "every operation was updated equally often, subnets equal their standalone networks bit for bit, scores do "
        f"not depend on their company, on {describe(device)}",
    )


def anonymous(text: str) -> str:
    """The text without absolute paths, of which the last part stays, and without the user's name."""
    folders = {os.getcwd(), tempfile.gettempdir(), os.path.expanduser("~"), *sys.path}
    for folder in sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True):
        text = text.replace(folder, "...")
    text = re.sub(r"(?<![\w.~/])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()]+)+[/\\]([^\s/\\:;,'\"()]+)", r".../\1", text)
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return text
    return re.sub(rf"\b{re.escape(user)}\b", "USER", text)


def reason(error: BaseException) -> str:
    """An error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _bytes(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB"


def _module_in(places: list[str] | None, name: str) -> Path | None:
    """What of some folders, or of sys.path, would be imported under a name; a folder without __init__.py gives way to
    any other."""
    spec = PathFinder.find_spec(name, places)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).resolve()
    return path.parent if path.name == "__init__.py" else path


def _installed(library: str, name: str) -> Path | None:
    """What a library's module was installed as; None where its files are elsewhere, as in development."""
    try:
        return _module_in([str(metadata.distribution(library).locate_file(""))], name)
    except metadata.PackageNotFoundError:
        return None
