"""Which operations and heads the front uses, and how often the supernet's training updated each."""

from collections.abc import Collection, Sequence

from dualfair.presentation.table import Column, table
from dualfair.reporting.setting import Setting
from dualfair.runs.run_files import RunFiles
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.operations import OPERATION_NAMES
from dualfair.supernet.space import HEAD, SearchSpace
from dualfair.supernet.training.checkpoint import checkpoints, load_checkpoint, read_record
from dualfair.supernet.training.counters import UpdateCounters

_KINDS = {"place": "text", "code": "whole", "choice": "text", "networks": "whole", "of": "whole", "expected": "number"}


def usage_section(networks: Sequence[Genotype], setting: Setting) -> dict | None:
    """How many networks of a front use each choice, and how many would if all were chosen alike.

    {"n", "operations", "heads": tables of place, code (its digit in a genotype), choice, networks, of,
    expected}. None without a network. Expected is
    n / number of choices at that place of the run's space; without the space every operation and head counts.
    """
    if not networks:
        return None
    n = len(networks)
    allowed = choices_by_place(setting.space) if setting.space else {}
    rows = []
    for block, codes in enumerate(networks[0].blocks):
        for position in range(len(codes)):
            names = allowed.get((block, position), dict(enumerate(OPERATION_NAMES)))
            used = [network.blocks[block][position] for network in networks]
            place = f"block {block + 1}, position {position + 1}"
            rows += [[place, code, name, used.count(code), n, n / len(names)] for code, name in names.items()]
    heads = setting.space.heads if setting.space else tuple(sorted({network.head for network in networks}))
    chosen = [network.head for network in networks]
    head_rows = [[HEAD, None, head, chosen.count(head), n, n / len(heads)] for head in heads]
    columns = [Column(name, kind) for name, kind in _KINDS.items()]
    return {"n": n, "operations": table(columns, rows), "heads": table(columns, head_rows)}


def updates_section(files: RunFiles, setting: Setting) -> dict | None:
    """How often training updated every operation and head: the counters in the supernet's newest checkpoint.

    {"step", "steps", "sampler", "skipped", "equal": whether all operations of all places have the same count, and
    heads, whose number need not divide that of the paths, the same but for one, "least", "most" over operations,
    "operations": table of place, choices, least, most, equal, "heads": table}. None without a checkpoint. Raises
    ValueError where it cannot be read.
    """
    paths = checkpoints(files.layout.train.folder)
    if not paths:
        return None
    record, counters = read_record(paths[-1]), UpdateCounters.of_checkpoint(load_checkpoint(paths[-1]))
    allowed = choices_by_place(setting.space) if setting.space else {}
    rows, counts = [], []
    for block, positions in enumerate(counters.operations.tolist()):
        for position, updates in enumerate(positions):
            codes = allowed.get((block, position), dict(enumerate(OPERATION_NAMES)))
            at_place = [updates[code] for code in codes]
            counts += at_place
            least, most = min(at_place), max(at_place)
            rows.append([f"block {block + 1}, position {position + 1}", len(at_place), least, most, least == most])
    columns = [
        Column("place", "text"),
        *(Column(name, "whole") for name in ("choices", "least updates", "most updates")),
    ]
    columns.append(Column("equal", "mark"))
    heads = [[head, updates] for head, updates in counters.heads.items()]
    return {
        "step": record.step,
        "steps": record.steps,
        "sampler": setting.options.sampler if setting.options else None,
        "skipped": counters.skipped,
        "least": min(counts),
        "most": max(counts),
        "equal": min(counts) == max(counts) and _equal_but_for_a_rest(counters.heads.values()),
        "operations": table(columns, rows, "Updates of the operations at each place"),
        "heads": table([Column("head", "text"), Column("updates", "whole")], heads, "Updates of the heads"),
    }


def _equal_but_for_a_rest(updates: Collection[int]) -> bool:
    """Whether counts are equal, or differ by one where their number does not divide their sum."""
    return not updates or max(updates) - min(updates) <= (1 if sum(updates) % len(updates) else 0)


def choices_by_place(space: SearchSpace) -> dict[tuple[int, int], dict[int, str]]:
    """The operations of a space by (block, position): names by code."""
    return {
        gene: dict(zip(choice_block.codes, choice_block.choices, strict=True))
        for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True)
        for gene in genes
    }
