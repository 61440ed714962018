"""What DualFair meets on a machine: libraries and where they come from, devices, memory and disks, a finding each.

Nothing here asks the network.
"""

import getpass
import importlib
import math
import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

OK, WARNING, FAILED = "ok", "warning", "FAILED"
IMPORTED_AS = {"pillow": "PIL"}
"""Libraries that are imported by another name than they are installed by."""
LITTLE_DISK, LITTLE_TEMPORARY, LITTLE_MEMORY, LITTLE_SHARED = 2 * 2**30, 2**28, 2 * 2**30, 2**30
"""Bytes below which the disk, the temporary folder, memory and shared memory are warned about: a run of `nano` takes
some hundred megabytes, one of `paper` gigabytes."""


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


def python() -> Finding:
    """The version of Python, beside what the installed package asks for, and the platform."""
    from packaging.specifiers import SpecifierSet

    seen = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    asked = SpecifierSet(installed_package().metadata["Requires-Python"] or "")
    if asked.contains(platform.python_version(), prereleases=True):
        return Finding(OK, f"{seen}; {asked} is asked for")
    return Finding(FAILED, f"{seen}; dualfair asks for {asked}")


def libraries() -> Finding:
    """The libraries that the installed package asks for: each has to be there, to be new enough, and to import. It is
    no fault to lack what only an export to ONNX needs."""
    from packaging.requirements import Requirement

    seen, old, broken, lacking = [f"dualfair {installed_package().version}"], [], [], []
    for requirement in map(Requirement, installed_package().requires or ()):
        name, marker = requirement.name, requirement.marker
        needed = marker is None or marker.evaluate({"extra": ""})
        if not needed and not marker.evaluate({"extra": "onnx"}):
            continue
        try:
            version = metadata.version(name)
            if needed:
                importlib.import_module(IMPORTED_AS.get(name, name))
        except metadata.PackageNotFoundError:
            if needed:
                broken.append(f"{name} is missing: pip install '{requirement}'")
            else:
                lacking.append(name)
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
    without = f'; only to export: {", ".join(lacking)}, pip install "dualfair[onnx]"' if lacking else ""
    return Finding(OK, ", ".join(seen) + without)


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


def cpu() -> Finding:
    """Threads that torch takes, beside the processors that this process may use."""
    import torch

    threads, allowed = torch.get_num_threads(), allowed_processors()
    seen = f"threads of torch: {threads}, processors allowed: {allowed:g}"
    if threads > math.ceil(allowed):
        remedy = f"set OMP_NUM_THREADS={max(1, int(allowed))}"
        return Finding(WARNING, f"{seen}: too many threads get in each other's way; {remedy}")
    return Finding(OK, seen)


def accelerators() -> Finding:
    """CUDA devices with their memory and bfloat16, MPS, and whether this build of torch can use what is there."""
    import torch

    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
    mps = "; MPS is there, try it by doctor --device mps" if torch.backends.mps.is_available() else ""
    if not torch.cuda.is_available():
        if not any(Path(place).exists() for place in ("/proc/driver/nvidia/version", "/dev/nvidiactl")):
            return Finding(OK, f"no CUDA device, {built}{mps}")
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
        bfloat16 = "bfloat16" if device.major >= 8 else "no bfloat16, so slower with --amp"
        seen.append(f"cuda:{number} {device.name}, {_bytes(free)} of {_bytes(whole)} free, {bfloat16}")
    if broken:
        return Finding(WARNING, f"{'; '.join(broken)}; {built}; install another build or driver; {'; '.join(seen)}")
    return Finding(OK, f"{'; '.join(seen)}; {built}{mps}")


def memory() -> Finding:
    """Memory that is free, in a container within its limit."""
    from dualfair.supernet.memory import available_ram

    free = available_ram()
    if free < LITTLE_MEMORY:
        return Finding(WARNING, f"{_bytes(free)} free: enough for small networks only")
    return Finding(OK, f"{_bytes(free)} free")


def disks(folder: Path) -> Finding:
    """Room in the current folder and the temporary one; shared memory where several GPUs would talk through it."""
    places = [("current folder", folder, LITTLE_DISK), ("temporary folder", tempfile.gettempdir(), LITTLE_TEMPORARY)]
    # Asked without torch, which may be what is broken. NCCL needs shared memory, between GPUs of one machine.
    if len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) > 1 and Path("/dev/shm").is_dir():
        places.append(("shared memory (/dev/shm)", "/dev/shm", LITTLE_SHARED))
    free = [(name, shutil.disk_usage(place).free, least) for name, place, least in places]
    seen = ", ".join(f"{name} {_bytes(room)} free" for name, room, _ in free)
    if not os.access(folder, os.W_OK):
        return Finding(WARNING, f"{seen}; the current folder cannot be written, name another one with --out")
    little = [name for name, room, least in free if room < least]
    return Finding(WARNING, f"{seen}: little room in the {' and the '.join(little)}") if little else Finding(OK, seen)


def allowed_processors() -> float:
    """Processors that this process may use: those it is bound to, or less where a container has a quota."""
    from dualfair.supernet.memory import control_group_files

    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for file in control_group_files("cpu.max"):
        quota, _, period = file.read_text(encoding="ascii").strip().partition(" ")
        if quota != "max":
            bound = min(bound, int(quota) / int(period or 100_000))
    return bound


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


def installed_package() -> metadata.Distribution:
    """DualFair as it was installed. Raises ValueError where it was not."""
    try:
        return metadata.distribution("dualfair")
    except metadata.PackageNotFoundError:
        raise ValueError("dualfair is not installed; run 'python -m pip install .' in its folder") from None


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
