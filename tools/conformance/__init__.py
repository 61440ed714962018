"""Does what you plug in keep its promises? Each check returns what is wrong, one sentence a fault; none means it fits.

For your own tests:

    assert check_disparity(my_disparity) == []

`disparities`, `heads`, `operations` and `spaces` have a check each; `plugged_in` runs them on what `dualfair check` is
named.
"""

from dualfair.conformance.disparities import check_disparity
from dualfair.conformance.heads import check_head
from dualfair.conformance.operations import check_operation
from dualfair.conformance.spaces import check_space

__all__ = ["check_disparity", "check_head", "check_operation", "check_space"]
