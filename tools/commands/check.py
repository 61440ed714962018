"""`dualfair check`: does what you plug in keep its promises?"""

import sys

import click

from dualfair.commands.console import say


@click.command()
@click.option("--space", default="", help="A space by name, or module:object of your own SearchSpace.")
@click.option("--skeleton", default="", help="Its skeleton, or module:object of your own Skeleton.  [default: nano]")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.")
@click.option("--size", type=int, default=0, help="Side of the network's input in pixels.")
@click.option("--heads", default="", help="Heads joined by ',', or module:function of your own.")
@click.option("--sampler", default="", help="A sampler of training paths by name, or module:object of your own.")
@click.option(
    "--disparity", "disparities", multiple=True, help="module:function of your own f(values, groups). Repeatable."
)
@click.option("--objective", "objectives", multiple=True, help="module:object of your own objective. Repeatable.")
def command(**plugged_in: object) -> None:
    """Tell what is wrong with a space, a skeleton, operations, heads, samplers, disparities or objectives of your own.

    Every operation is built wherever it may stand and its costs are counted; a small supernet is trained on random
    pixels, and subnets are compared with standalone networks. Takes seconds for small ones; exit status 1 on a fault.
    """
    from dualfair.conformance.functions import check_plugged_in

    faults_by_name = check_plugged_in(**plugged_in)
    for name, faults in faults_by_name.items():
        say(f"{name}: {'; '.join(faults) or 'conforms'}")
    if any(faults_by_name.values()):
        sys.exit(1)
