"""By what latencies are kept."""

import platform

from dualfair.evaluation.latency import processor


def test_machines_of_one_kind_with_other_processors_are_told_apart(tmp_path):
    for number, model in enumerate(("Xeon 1", "Xeon 2")):
        listing = tmp_path / str(number)
        listing.write_text(f"processor\t: 0\nmodel name\t: {model}\nflags\t: fpu\nmodel name\t: {model}\n")
        assert processor(listing) == model
    assert processor(tmp_path / "none") == (platform.processor() or platform.machine())
