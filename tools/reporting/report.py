"""The report of some runs: one page for everybody, and its numbers beside it as JSON and CSV."""

from collections.abc import Sequence
from pathlib import Path

from dualfair.presentation.format import plain
from dualfair.reporting.collect import collect, csv_files
from dualfair.reporting.cost import Factors
from dualfair.reporting.page import page
from dualfair.runs.records.codec import encode
from dualfair.runs.run_files import open_runs
from dualfair.supernet.files import write_bytes, write_csv, write_json


def report(runs: Sequence[Path], out: Path, factors: Factors | None = None) -> dict:
    """Write the report of some run directories; returns its data, {"runs": [...], "comparison": table or None}.

    `out` is the page; its numbers go into a JSON file and CSV files of the same name beside it. Runs are only read, and
    may be unfinished. Energy and emissions are told by `factors`, by default those of the DPN study. Raises ValueError
    for no run, one that is given twice or has no supernet, and an `out` that does not end in .html.
    """
    if out.suffix != ".html":
        raise ValueError(f"out must be a file that ends in .html, got {str(out)!r}")
    collected = collect(open_runs(runs), factors or Factors())
    data = plain(encode(collected))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out.with_suffix(".json"), data)
    for name, rows in csv_files(collected).items():
        write_csv(out.with_name(f"{out.stem}-{name}.csv"), rows)
    write_bytes(out, page(data).encode())
    return data
