"""All checks of a machine, each when it is done, and one verdict on them."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from dualfair.doctor import environment
from dualfair.doctor.environment import FAILED, OK, WARNING, Finding, anonymous, reason
from dualfair.presentation.format import counted

PEOPLE, IMAGES, SIZE = 24, 4, 32
"""Faces that the self-test generates: of so many people, so many of each, so many pixels wide."""


def checks(device: str) -> Iterator[Finding]:
    """Every check when it is done: first what is there, then whether DualFair computes what it promises on a device."""
    here = Path.cwd()
    looks: dict[str, Callable[[], Finding]] = {
        "Python": environment.python,
        "imports": partial(environment.imports, here),
        "libraries": environment.libraries,
        "processors": environment.cpu,
        "accelerators": environment.accelerators,
        "memory": environment.memory,
        "disks": partial(environment.disks, here),
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
