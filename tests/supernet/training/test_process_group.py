import json
import threading
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
from torch import distributed
from torch._subclasses.fake_tensor import FakeTensorMode

from dualfair.supernet.training import process_group
from dualfair.supernet.training.process_group import ALONE, ProcessGroup, divide, join_ranks
from dualfair.supernet.training.synchronised_norm import SynchronisedNorms
from tests.supernet.training import ranks_at_work
from tests.support.ranks import run_ranks


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What ranks_at_work.py reports."""
    path = tmp_path_factory.mktemp("ranks") / "report.json"
    run_ranks(ranks_at_work.work, 4, path)
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranks", "how"),
    [
        ("2", "training"),
        ("3", "training"),
        ("2", "training_by_paths"),
        ("3", "training_by_paths"),
        ("4", "training_by_paths"),
        ("2", "training_in_parts"),
        ("3", "training_in_parts"),
    ],
)
def test_ranks_train_the_network_that_one_process_trains(report, ranks, how):
    """Sharing images, sharing paths, and two teams of two that share both."""
    training = report[ranks][how]
    assert training["weights"] < 1e-4 and max(training["losses"]) < 1e-4 and max(training["norms"]) < 1e-4
    assert training["updates"] == [ranks_at_work.STEPS] and training["ranks alike"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["2", "3"])
def test_statistics_are_those_of_the_whole_batch(report, ranks):
    assert report[ranks]["normalising"] < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["2", "3"])
def test_a_step_that_is_not_finite_on_one_rank_is_skipped_by_all(report, ranks):
    skipping = report[ranks]["skipping"]
    assert skipping["skipped"] == 1 and skipping["moved"] == 0
    assert "2 steps in a row had a non-finite loss" in skipping["stopped"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["2", "3"])
def test_ranks_that_were_dealt_different_paths_are_stopped(report, ranks):
    assert report[ranks]["other_paths"].startswith("the ranks do not agree on the paths of step 2; ")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ["2", "3"])
def test_text_reaches_all_ranks_and_disagreement_is_noticed(report, ranks):
    assert report[ranks]["talking"]["texts"] == ["", "101:cosface é"]
    assert report[ranks]["talking"]["said"].startswith("the ranks do not agree on the rank; ")


@pytest.mark.slow
def test_every_job_is_taken_by_one_rank(report):
    # Every rank adds a 0 to its list, so that none is empty.
    assert report["tickets"] == [5, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("items", [0, 1, 2, 6, 20])
def test_shares_are_consecutive_complete_and_even(size, items):
    shares = [list(ProcessGroup(rank, size).share(range(items))) for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_norm_without_weights_is_synchronised_too():
    images = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outputs, gradients, statistics = [], [], []
    for context in (nullcontext(), SynchronisedNorms(ALONE)):
        norm, x = torch.nn.BatchNorm2d(4, affine=False).double(), images.clone().requires_grad_()
        with context:
            output = norm(x)
        (output * images.square()).sum().backward()
        outputs.append(output.detach())
        gradients.append(x.grad)
        statistics.append(norm.running_var)
    for pair in (outputs, gradients, statistics):
        assert torch.allclose(*pair, atol=1e-12)


def test_alone_nothing_is_sent():
    values = torch.arange(3.0)
    assert ALONE.add(values) is values and ALONE.collect(values).shape == (1, 3) and ALONE.broadcast("x") == "x"
    ALONE.agree("anything", 1)
    assert list(ALONE.tickets("jobs", 3)) == [0, 1, 2] and ALONE.leads


@pytest.fixture
def sent(monkeypatch):
    """The device and the group of everything that is sent, as if all ranks sent the same."""
    sent = []

    def gather(parts, values, group):
        sent.append((values.device.type, group))
        if values.device.type == "cpu":
            parts.copy_(values.repeat(2))

    monkeypatch.setattr(distributed, "all_gather_into_tensor", gather)
    for name in ("all_reduce", "broadcast"):
        monkeypatch.setattr(
            distributed, name, lambda values, group, group_src=0: sent.append((values.device.type, group))
        )
    return sent


def test_no_text_travels_by_gpus_and_tensors_go_where_they_are(sent):
    """What ranks agree on, and tell each other while some have nothing to do, waits for no device."""
    processes = ProcessGroup(0, 2, "cuda", "patient", None, "devices")
    processes.agree("the paths", ["101"])
    processes.broadcast("101")
    processes.add(torch.ones(2))
    assert sent == [("cpu", "patient")] * 4
    with FakeTensorMode():
        processes.add(torch.ones(2, device="cuda"))
        processes.collect(torch.ones(2, device="cuda"))
    assert sent[4:] == [("cuda", "devices")] * 2


class Machine:
    """A machine with the GPUs of these UUIDs visible to each rank, by number of the rank; groups are recorded."""

    def __init__(self, monkeypatch, visible):
        self.visible, self.groups, self.local = visible, [], threading.local()
        self.store = distributed.HashStore()
        cuda = torch.cuda
        monkeypatch.setattr(cuda, "device_count", lambda: len(visible[self.local.rank]))
        monkeypatch.setattr(cuda, "set_device", lambda device: None)
        monkeypatch.setattr(
            cuda,
            "get_device_properties",
            lambda device: SimpleNamespace(uuid=visible[self.local.rank][device.index]),
        )
        monkeypatch.setattr(
            distributed, "rendezvous", lambda url, timeout: iter([(self.store, self.local.rank, len(visible))])
        )
        monkeypatch.setattr(distributed, "init_process_group", self.group)
        monkeypatch.setattr(distributed, "new_group", self.group)
        monkeypatch.setattr(process_group, "os", SimpleNamespace(environ=self))

    def group(self, *about, timeout, backend="gloo", **_):
        self.groups.append((self.local.rank, backend, timeout))
        return backend, *about

    def __getitem__(self, name):
        return {"LOCAL_RANK": str(self.local.rank)}[name]

    def get(self, name, default=None):
        return default

    def join(self):
        """What every rank gets from `join_ranks`, or the error in words."""
        joined = [None] * len(self.visible)

        def work(rank):
            self.local.rank = rank
            try:
                joined[rank] = join_ranks(torch.device("cuda"))
            except ValueError as error:
                joined[rank] = str(error)

        threads = [threading.Thread(target=work, args=[rank], daemon=True) for rank in range(len(joined))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return joined


@pytest.mark.parametrize("visible", [["a", "b"], ["ab", "ab"]])
def test_a_rank_has_the_gpu_of_its_number_or_the_only_one_that_it_sees(monkeypatch, visible):
    machine = Machine(monkeypatch, visible)
    indices = [processes.device.index for processes in machine.join()]
    assert indices == ([0, 0] if visible == ["a", "b"] else [0, 1])


def test_ranks_that_see_the_same_single_gpu_are_all_refused(monkeypatch):
    refusals = Machine(monkeypatch, ["a", "b", "a"]).join()
    assert len(set(refusals)) == 1 and refusals[0].startswith("ranks 0 and 2 have no device of their own: both see one")


def test_more_ranks_than_gpus_are_refused(monkeypatch):
    Machine(monkeypatch, ["ab", "ab", "ab"]).local.rank = 2
    with pytest.raises(ValueError, match="rank 2 of this machine has no device of its own: there are 2; start fewer"):
        join_ranks(torch.device("cuda"))


def test_what_gpus_send_has_minutes_and_what_idle_ranks_wait_for_has_days(monkeypatch):
    machine = Machine(monkeypatch, ["a", "b"])
    leader, _ = machine.join()
    days, minutes = timedelta(days=7), timedelta(minutes=10)
    assert sorted(machine.groups) == [
        (rank, *group) for rank in range(2) for group in (("gloo", days), ("nccl", minutes))
    ]
    assert leader.handle is None and leader.device_handle == ("nccl", range(2))


def test_teams_have_groups_of_both_kinds_and_single_ranks_need_none(monkeypatch):
    groups = []

    def group(ranks, timeout, backend="gloo"):
        groups.append((backend, ranks))
        return groups[-1]

    monkeypatch.setattr(distributed, "new_group", group)
    second = divide(ProcessGroup(2, 4, "cuda", None, None, "devices"), 2)
    assert (second.rank, second.handle, second.device_handle) == (0, ("gloo", range(2, 4)), ("nccl", range(2, 4)))
    assert groups == [(kind, each) for kind in ("gloo", "nccl") for each in (range(2), range(2, 4))]
    groups.clear()
    assert divide(ProcessGroup(2, 4, "cuda", None, None, "devices"), 1).size == 1 and not groups
    divide(ProcessGroup(2, 4), 2)
    assert [kind for kind, _ in groups] == ["gloo", "gloo"]
