"""Skeletons, spaces, heads and samplers by the names that users type: built in, or `module:object` of their own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from dualfair.runs.config import look_up, numbers
from dualfair.runs.options import TrainOptions
from dualfair.supernet.genotype import HEAD_NAMES, MARGIN_HEADS
from dualfair.supernet.skeleton import SKELETONS, OwnHead, Skeleton, sized_skeleton
from dualfair.supernet.space import LAYERS, SPACE_NAMES, SearchSpace, dpn_space, layer_space
from dualfair.supernet.training.sampling import SAMPLERS, SamplerFactory, check_sampler


def skeleton_of(options: TrainOptions) -> Skeleton:
    """The skeleton that training options name. Raises ValueError as `open_skeleton`, and for a neck without use."""
    skeleton = open_skeleton(
        options.skeleton, options.blocks, options.size, options.heads, options.neck, options.crop_from
    )
    if options.neck and {*(_split(options.heads) or skeleton.heads)} == {"softmax"}:
        raise ValueError("--neck is of margin heads, softmax has none; leave it out, or name other --heads")
    return skeleton


def open_skeleton(
    name: str, blocks: str = "", size: int = 0, heads: str = "", neck: str = "", crop_from: int = 0
) -> Skeleton:
    """A skeleton by its name, with `blocks` such as "1-1-2-1", images of `size` px, the own ones among `heads`, a
    `neck` of `skeleton.NECKS`, and images of `crop_from` px that those are crops of.

    "" and 0 keep what the skeleton has. One of the user's own is named by where it comes from, so that it is found
    again. Raises ValueError for an unknown name, and where something does not fit.
    """
    skeleton = sized_skeleton(name) or look_up(name, SKELETONS, "skeleton", Skeleton)
    counts = numbers(blocks, "-", int, "blocks") if blocks else None
    shape = skeleton.resized(size or None, counts)
    given = {"neck": neck or shape.neck, "crop_from": crop_from or shape.crop_from}
    shape = replace(shape, name=name, own_heads=(), **given)
    return with_heads(shape, _split(heads))


def with_heads(skeleton: Skeleton, heads: Iterable[str]) -> Skeleton:
    """A skeleton whose networks may also have these heads: one's own by `module:object`; the built-in ones they have.

    Raises ValueError for an unknown head, for one that training would stumble over, and for one that is called like
    another.
    """
    own_heads = {head.name: head for head in skeleton.own_heads}
    for text in heads:
        if text in HEAD_NAMES or text in own_heads:
            continue
        # The only need of torch here.
        from dualfair.supernet.heads import check_margin

        head = OwnHead(head_name(text), look_up(text, dict.fromkeys(HEAD_NAMES), "head", Callable), text)
        try:
            check_margin(head.margin)
        except ValueError as error:
            raise ValueError(f"head {text!r}: {error}") from error
        if head.name in HEAD_NAMES or own_heads.setdefault(head.name, head).source != text:
            raise ValueError(f"head {text!r} is called like another one, {head.name!r}; rename the function")
    return replace(skeleton, own_heads=tuple(own_heads.values()))


def open_space(name: str, skeleton: Skeleton, heads: str = "") -> SearchSpace:
    """A space by its name, "" for the skeleton's own, for the networks of a skeleton; `heads` are those to choose from,
    "" all of the space's.

    A built-in space chooses among all operations of the skeleton. Raises ValueError where a space and a skeleton do not
    fit each other, or a head is not to be had.
    """
    name = name or skeleton.space
    chosen = tuple(map(head_name, _split(heads)))
    places = skeleton.block_places()
    if name in SPACE_NAMES:
        positions = 1 if name == LAYERS else 3
        if any(len(row) != positions for row in places):
            raise ValueError(
                f"space {name} is of blocks of {positions} position{'s'[: positions - 1]}, those of skeleton "
                f"{skeleton.name} have {'-'.join(str(len(row)) for row in places)}; leave --space out, or give "
                "--space module:object"
            )
        operations = [operation.name for operation in skeleton.operations]
        chosen = chosen or skeleton.heads or MARGIN_HEADS
        if name == LAYERS:
            return layer_space(len(places), operations, chosen)
        return dpn_space(name, len(places), operations, chosen)
    space = look_up(name, dict.fromkeys(SPACE_NAMES), "space", SearchSpace)
    if space.blocks != len(places) or not space.heads:
        raise ValueError(
            f"space {name!r} has {space.blocks} blocks and {len(space.heads)} heads; the skeleton has {len(places)} "
            "blocks and needs a choice block named 'head'"
        )
    space = space.with_heads(chosen) if chosen else space
    try:
        for code in range(max(space.sizes)):
            skeleton.fit(space.decode([min(code, size - 1) for size in space.sizes]))
    except ValueError as error:
        raise ValueError(f"space {name!r} does not fit skeleton {skeleton.name}: {error}") from None
    head_names = {*HEAD_NAMES, *(head.name for head in skeleton.own_heads)}
    strange = [head for head in space.heads if head not in head_names]
    if strange:
        raise ValueError(
            f"space {name!r} has head {strange[0]!r}, which is not built in; name it with --heads module:{strange[0]}"
        )
    return space


def open_sampler(name: str, sizes: Sequence[int]) -> SamplerFactory:
    """What makes the sampler of a name, tried out on choice blocks of such sizes.

    Raises ValueError for an unknown name, and for one of the user's own that training would stumble over.
    """
    make = look_up(name, SAMPLERS, "sampler")
    try:
        check_sampler(make, sizes)
    except ValueError as error:
        raise ValueError(f"sampler {name!r}: {error}") from error
    return make


def head_name(text: str) -> str:
    """The name that a head has in genotypes: of "module:object" the object's."""
    return text.rpartition(":")[2]


def _split(heads: str) -> list[str]:
    names = [text.strip() for text in heads.split(",")] if heads else []
    short = [head_name(text) for text in names]
    if len(set(short)) < len(short) or not all(names):
        raise ValueError(f"heads must be different names joined by ',', got {heads!r}")
    return names
