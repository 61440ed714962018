"""`dualfair doctor`: each check finds what is wrong and says what to do; its file tells nothing of its user."""

import getpass
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch

from dualfair import conformance
from dualfair.doctor import checks
from dualfair.doctor.checks import FAILED, OK, WARNING, Finding, imports, networks, verdict

ROOT = Path(__file__).parents[2]


def test_a_sound_machine_passes_and_the_file_tells_nothing_of_its_user(dualfair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "hush-hush")
    looked = dualfair("doctor", "--device", "cpu", "--json", "doctor.json")
    lines = looked.out.splitlines()
    assert looked.status == 0, looked.out
    assert sum("self-test" in line and " ok " in line for line in lines) == 2
    assert lines[-1] == "Everything works." or lines[-1].startswith("Works, with ")
    assert "96 faces of 24 people" in looked.out and "subnets equal their standalone networks" in looked.out
    text = (tmp_path / "doctor.json").read_text()
    found = json.loads(text)
    assert found["verdict"] == lines[-1] and len(found["checks"]) == len(lines) - 1
    assert all(check["seconds"] >= 0 and check["state"] in (OK, WARNING, FAILED) for check in found["checks"])
    assert str(tmp_path) not in text and str(Path.home()) + "/" not in text and "hush" not in text
    assert not {file.name for file in tmp_path.iterdir()} - {"doctor.json"}


def test_a_device_that_is_not_there_fails_once_and_ends_in_1(dualfair):
    if torch.cuda.device_count() > 7:
        pytest.skip("this machine has so many devices")
    looked = dualfair("doctor", "--device", "cuda:7")
    lines = looked.out.splitlines()
    assert looked.status == 1 and looked.err == ""
    assert lines[-2].startswith("self-test: networks") and "FAILED" in lines[-2] and "is not available" in lines[-2]
    assert lines[-1].startswith("Does not work: self-test: networks: device 'cuda:7' is not available")


def test_a_promise_that_is_broken_fails_the_self_test(monkeypatch):
    monkeypatch.setattr(conformance, "check_space", lambda *arguments, **named: ["subnets differ", "scores differ"])
    assert networks("cpu") == Finding(FAILED, "subnets differ; scores differ")


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([OK, OK], "Everything works."),
        ([OK, WARNING], "Works, with 1 warning: b."),
        ([WARNING, WARNING], "Works, with 2 warnings: a, b."),
        ([WARNING, FAILED], "Does not work: b: it is so."),
        ([FAILED, FAILED], "Does not work: a: it is so (1 more failed)."),
    ],
)
def test_one_sentence_says_it_all(states, said):
    assert verdict([Finding(state, "it is so", name) for name, state in zip("ab", states, strict=True)]) == said


@pytest.fixture
def installed(monkeypatch):
    """Have the installed package ask for something."""

    def ask(*requires):
        package = SimpleNamespace(
            requires=list(requires),
            version="0.1.0",
            locate_file=metadata.distribution("dualfair").locate_file,
        )
        monkeypatch.setattr(checks, "installed_package", lambda: package)

    return ask


def test_libraries_are_held_against_what_the_package_asks_for(installed):
    have = metadata.version("numpy")
    installed("numpy>=2.0", "pillow", 'pytest>=999; extra == "test"')
    found = checks.libraries()
    assert found.state == OK and f"numpy {have}" in found.text and "pillow" in found.text and "pytest" not in found.text
    installed("numpy>=999")
    assert checks.libraries() == Finding(
        WARNING, f"numpy {have} is not the >=999 that is asked for: pip install 'numpy>=999'"
    )
    installed("numpy>=999", "no-such-library>=1")
    found = checks.libraries()
    assert found.state == FAILED and found.text.startswith(
        "no-such-library is missing: pip install 'no-such-library>=1'"
    )


def test_a_library_that_does_not_import_is_named(installed, tmp_path, monkeypatch):
    (tmp_path / "fragile.py").write_text("raise OSError('libgone.so: cannot open')")
    (tmp_path / "fragile-1.0.dist-info").mkdir()
    (tmp_path / "fragile-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: fragile\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed("fragile>=0.5")
    assert checks.libraries() == Finding(FAILED, "fragile 1.0 cannot be imported (OSError: libgone.so: cannot open)")


@pytest.fixture
def only_one(monkeypatch):
    """Have no other DualFair installed than the one that runs, which may be a checkout beside an installed one."""
    installed = checks._installed
    monkeypatch.setattr(
        checks, "_installed", lambda library, name: None if name == "dualfair" else installed(library, name)
    )


def test_a_checkout_that_runs_in_place_of_the_installed_package_is_warned_about(tmp_path, monkeypatch):
    place = tmp_path / "site/dualfair"
    monkeypatch.setattr(checks, "_installed", lambda library, name: place if name == "dualfair" else None)
    running = tmp_path / "checkout/dualfair/__init__.py"
    running.parent.mkdir(parents=True)
    running.write_text("")
    monkeypatch.syspath_prepend(str(running.parents[1]))
    found = imports(tmp_path)
    assert found.state == WARNING
    assert found.text.startswith(f"dualfair is {running.parent} instead of the installed {place}; ")
    shared = checks.anonymous(found.text)
    assert str(tmp_path) not in shared


@pytest.mark.parametrize("name", ["dualfair", "torch", "timm", "numpy", "PIL"])
def test_a_file_named_like_a_library_or_a_package_is_warned_about(tmp_path, name, only_one):
    assert imports(tmp_path).state == OK
    (tmp_path / f"{name}.py").write_text("")
    found = imports(tmp_path)
    assert found.state == WARNING and found.text.startswith(f"./{name}.py in the current folder would be imported")


def test_a_folder_shadows_only_with_an_init(tmp_path, only_one):
    (tmp_path / "dualfair").mkdir()
    assert imports(tmp_path).state == OK
    (tmp_path / "dualfair/__init__.py").write_text("")
    found = imports(tmp_path)
    assert found.state == WARNING and found.text.startswith("./dualfair in")


def test_a_library_that_pythonpath_shadows_fails_with_both_places(tmp_path):
    (tmp_path / "mine/timm").mkdir(parents=True)
    (tmp_path / "mine/timm/__init__.py").write_text("")
    code = (
        "import sys; from pathlib import Path; from dualfair.doctor.checks import imports; "
        f"sys.path.insert(0, {str(tmp_path / 'mine')!r}); found = imports(Path.cwd()); print(found.state, found.text)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    installed = Path(timm.__file__).parent
    assert run.stdout.startswith("warning ") and (
        f"timm is {tmp_path}/mine/timm instead of the installed {installed}; rename it, or leave PYTHONPATH empty"
        in run.stdout
    ), run.stderr


def test_little_memory_is_warned_about(monkeypatch):
    monkeypatch.setattr("dualfair.supernet.memory.available_ram", lambda: 2 * 2**30)
    assert checks.memory() == Finding(OK, "2.0 GiB free")
    monkeypatch.setattr("dualfair.supernet.memory.available_ram", lambda: 2 * 2**30 - 1)
    assert checks.memory().text.endswith("enough for small networks only")


def test_more_threads_than_processors_are_warned_about(tmp_path, monkeypatch):
    quotas = {"inner": "max 100000\n", "outer": "150000 100000\n"}
    for name, quota in quotas.items():
        (tmp_path / name).write_text(quota)
    monkeypatch.setattr("dualfair.supernet.memory.control_group_files", lambda name: [tmp_path / n for n in quotas])
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert checks.allowed_processors() == 1.5
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert checks.processors().state == OK
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    found = checks.processors()
    assert found.state == WARNING and found.text.endswith("set OMP_NUM_THREADS=1")


def test_little_room_is_warned_about(tmp_path, monkeypatch):
    room = {"free": checks.LITTLE_DISK}
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: SimpleNamespace(**room))
    assert checks.disks(tmp_path).state == OK
    room["free"] -= 1
    found = checks.disks(tmp_path)
    assert found.state == WARNING and found.text.endswith("little room in the current folder")


@pytest.fixture
def gpu(monkeypatch):
    """A graphics card that torch says is there."""
    card = SimpleNamespace(name="Card", major=7, minor=5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: card)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (2**30, 8 * 2**30))
    return card


def test_a_device_is_told_with_its_memory_and_precision(gpu, monkeypatch):
    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(*shape))
    found = checks.accelerators()
    assert found.state == OK
    assert found.text.startswith(
        "cuda:0 Card, 1.0 GiB of 8.0 GiB free, no bfloat16, so slower in --train-precision bf16; torch is "
    )
    gpu.major = 8
    assert "free, bfloat16; torch is" in checks.accelerators().text


def test_a_device_that_a_build_has_no_code_for_is_warned_about(gpu, monkeypatch):
    def refuse(*shape, device):
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "ones", refuse)
    found = checks.accelerators()
    assert found.state == WARNING and "install another build or driver" in found.text
    assert found.text.startswith(
        "cuda:0 Card (compute capability 7.5) does not compute (RuntimeError: no kernel image is available"
    )


def test_texts_for_others_name_no_user_and_no_place(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    said = checks.anonymous("cannot read '/home/alice/private/torch.py' (C:\\Users\\alice\\x.dll) of alice; ./a/b, 3/4")
    assert said == "cannot read '.../torch.py' (.../x.dll) of USER; ./a/b, 3/4"
    assert checks.anonymous(f"{os.getcwd()}/x y") == ".../x y"
