"""Does what you plug in keep its promises? Each check returns what is wrong, one sentence a fault; none means it fits.

For your own tests:

    assert check_disparity(my_disparity) == []

`functions` are disparities, objectives, margins of heads and samplers, and what `dualfair check` is named; `spaces` are
operations, and spaces with their skeletons.
"""

from dualfair.conformance.functions import check_disparity, check_head, check_objective, check_sampler
from dualfair.conformance.spaces import check_operation, check_space

__all__ = ["check_disparity", "check_head", "check_objective", "check_operation", "check_sampler", "check_space"]
