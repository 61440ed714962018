"""Where training starts from another network's weights: all of them but the class weights, which are other people's."""

from collections.abc import Mapping

from torch import Tensor

from dualfair.supernet.network import Network, Supernet


def start_from(network: Supernet | Network, weights: Mapping[str, Tensor]) -> None:
    """Give a supernet, or a network by itself, the weights and BN statistics that `fitting` says.

    Raises ValueError as that does; the network is as it was then.
    """
    network.load_state_dict(fitting(network, weights))


def fitting(network: Supernet | Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a supernet, or of a network by itself, with another's weights in it, by their names.

    The trunk, its operations and the necks of the heads are taken over, class weights are the network's own. `weights`
    may hold more than it has: a supernet's start each of its networks. Raises ValueError where they lack a head or a
    layer of it, or have one of another shape or another neck.
    """
    own = network.state_dict()
    anew = {
        f"heads.{head}.{name}" for head, of in network.heads.items() for name, _ in of.named_parameters(recurse=False)
    }
    for head in network.heads:
        if not any(name.startswith(f"heads.{head}.") for name in weights):
            known = dict.fromkeys(name.split(".")[1] for name in weights if name.startswith("heads."))
            raise ValueError(f"they have no head {head!r}, but {', '.join(known) or 'none'}")
        lost = next((name for name in weights if name.startswith(f"heads.{head}.neck.") and name not in own), None)
        if lost:
            raise ValueError(f"they have {lost}, for which there is no place here")
    taken = {name: own[name] if name in anew else weights.get(name) for name in own}
    for name, value in taken.items():
        if value is None:
            raise ValueError(f"they have no {name}")
        if value.shape != own[name].shape:
            raise ValueError(f"{name} is of shape {tuple(value.shape)} there, and of {tuple(own[name].shape)} here")
    return taken
