"""Growing a network: which depth, width, operations and kernels are tried next, after all that was tried.

Macro-micro search with architecture-aware training (algorithm 1 of that study; where its text and its program differ,
as the program has it). Networks grow deeper, then narrower, then single layers change their operation and their kernel
at no more parameters. What is compared is a score in percent, such as the accuracy on validation images; a candidate
is trained from scratch, longer than the one before where it is deeper or narrower.

Everything is a generator that gives candidates and is sent what they came to, so what comes next follows from what was
sent: a search is repeated, or continued, by sending it again (`replay`).
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace

DEPTH, WIDTH, OPERATIONS, KERNELS = STAGES = ("depth", "width", "operations", "kernels")
SEPARABLE, CONVOLUTION = "sep", "conv"
OTHER = {SEPARABLE: CONVOLUTION, CONVOLUTION: SEPARABLE}
"""Operations of layers; layer by layer the other one is tried."""
SMALL, LARGE = 3, 5
"""Kernels."""
FAILURES = 3
"""Failures since the last candidate that was kept end the search for depth, and that for width."""
GAIN, LOSS = 0.10, 0.05
"""Of the search for depth, in percent: from which gain on a deeper network is kept, and up to which loss it is no
failure."""
ENOUGH, LEARNT = 99.9, 99.5
"""In percent, of the best network: the score from which on none is made deeper, and the score on training images above
which none is."""
SLACK = 10_000
"""Parameters that a network with another operation or kernel may have more than the one it began with."""
ROUNDED = 4
"""Digits of a percent that gains of deeper networks are rounded to, so that no rest of a floating-point number decides
between GAIN and LOSS."""


@dataclass(frozen=True)
class Structure:
    """A network of layers one behind the other: the operation and kernel of each, first to last, and the channels of
    the first."""

    width: int
    operations: tuple[str, ...]
    kernels: tuple[int, ...]

    @property
    def depth(self) -> int:
        """How many layers."""
        return len(self.operations)

    @classmethod
    def plain(cls, depth: int, width: int, operation: str = SEPARABLE) -> "Structure":
        """All layers alike, with small kernels."""
        return cls(width, (operation,) * depth, (SMALL,) * depth)

    def with_layer(self, layer: int, *, operation: str = "", kernel: int = 0) -> "Structure":
        """With another operation or kernel at a layer, counted from 0."""
        operations, kernels = list(self.operations), list(self.kernels)
        operations[layer], kernels[layer] = operation or operations[layer], kernel or kernels[layer]
        return replace(self, operations=tuple(operations), kernels=tuple(kernels))


@dataclass(frozen=True)
class Candidate:
    """A network to train from scratch for so many epochs, and which of STAGES asks for it."""

    stage: str
    structure: Structure
    epochs: int


@dataclass(frozen=True)
class Outcome:
    """What a candidate came to, both in percent: its score, larger is better, and that on its training images."""

    score: float
    training_score: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GrowthOptions:
    """Bounds of depth and width, the step by which width falls, epochs: of the first network, and of every one whose
    layers change (0 leaves these as they are), and the operation of all layers until then."""

    least_depth: int = 10
    most_depth: int = 100
    least_width: int = 16
    most_width: int = 64
    width_step: int = 2
    epochs: int = 10
    layer_epochs: int = 2
    operation: str = SEPARABLE

    def __post_init__(self) -> None:
        for low, high in (("least_depth", "most_depth"), ("least_width", "most_width")):
            if not 1 <= getattr(self, low) <= getattr(self, high):
                raise ValueError(
                    f"{low} must be 1 or more and at most {high}, {getattr(self, high)}; got {getattr(self, low)}"
                )
        for name, least in (("width_step", 1), ("epochs", 1), ("layer_epochs", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Grown:
    """What a search came to. `structure` has the width that was found, and the operations and kernels that were found
    at `shrunken_width`, or less, in its place."""

    structure: Structure
    shrunken_width: int


Parameters = Callable[[Structure], int]
"""Learnt weights of a network, by formula."""
Search = Generator[Candidate, Outcome, "Grown"]


def grow(options: GrowthOptions, parameters: Parameters) -> Search:
    """Gives candidates, is sent an `Outcome` for each, and returns a `Grown`."""
    structure, score, epochs = yield from _deeper(options)
    structure = yield from _narrower(options, structure, score, epochs)
    if not options.layer_epochs:
        return Grown(structure, structure.width)
    first = Candidate(OPERATIONS, structure, options.layer_epochs)
    score = (yield first).score
    with_operations = yield from _layer_by_layer(first, score, parameters, operation=OTHER[options.operation])
    first = Candidate(KERNELS, with_operations[0], options.layer_epochs)
    changed, _ = yield from _layer_by_layer(first, with_operations[1], parameters, kernel=LARGE)
    return Grown(replace(changed, width=structure.width), changed.width)


def replay(options: GrowthOptions, parameters: Parameters, outcomes: Iterable[Outcome]) -> Candidate | Grown:
    """What comes next after these outcomes, in their order: the next candidate, or what the search came to.

    Raises ValueError for outcomes behind its end.
    """
    search = grow(options, parameters)
    following = next(search)
    for number, outcome in enumerate(outcomes):
        if isinstance(following, Grown):
            raise ValueError(f"the search ends after {number} candidates; there are more outcomes")
        try:
            following = search.send(outcome)
        except StopIteration as end:
            following = end.value
    return following


def _deeper(options: GrowthOptions) -> Generator[Candidate, Outcome, tuple[Structure, float, int]]:
    """A layer and an epoch more with every candidate: the best network, its score, and the epochs of the last."""
    epochs, depth, failures = options.epochs, options.least_depth, 0
    structure = Structure.plain(depth, options.most_width, options.operation)
    best = yield Candidate(DEPTH, structure, epochs)
    while depth < options.most_depth and failures < FAILURES and best.score < ENOUGH and best.training_score <= LEARNT:
        depth, epochs = depth + 1, epochs + 1
        deeper = Structure.plain(depth, options.most_width, options.operation)
        outcome = yield Candidate(DEPTH, deeper, epochs)
        gain = round(outcome.score - best.score, ROUNDED)
        if gain >= GAIN:
            structure, best, failures = deeper, outcome, 0
        elif gain < -LOSS:
            failures += 1
    return structure, best.score, epochs


def _narrower(
    options: GrowthOptions, structure: Structure, score: float, epochs: int
) -> Generator[Candidate, Outcome, Structure]:
    """A step of width less and two epochs more with every candidate: the last one that was no worse than the one kept
    before it."""
    width, failures = structure.width, 0
    while width - options.width_step >= options.least_width and failures < FAILURES:
        width, epochs = width - options.width_step, epochs + 2
        outcome = yield Candidate(WIDTH, replace(structure, width=width), epochs)
        if outcome.score >= score:
            structure, score, failures = replace(structure, width=width), outcome.score, 0
        else:
            failures += 1
    return structure


def _layer_by_layer(
    first: Candidate, score: float, parameters: Parameters, **change: str | int
) -> Generator[Candidate, Outcome, tuple[Structure, float]]:
    """One layer after the other changed, in a network so narrow that it has no more parameters: what is better stays.
    The network in the width of the last one that stayed, and its score."""
    kept, width, bound = first.structure, first.structure.width, parameters(first.structure) + SLACK
    for layer in range(kept.depth):
        candidate = replace(kept, width=first.structure.width).with_layer(layer, **change)
        while parameters(candidate) > bound and candidate.width > 1:
            candidate = replace(candidate, width=candidate.width - 1)
        outcome = yield replace(first, structure=candidate)
        if outcome.score > score:
            kept, width, score = candidate, candidate.width, outcome.score
    return replace(kept, width=width), score
