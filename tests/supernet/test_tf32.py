import pytest
import torch

from dualfair.supernet.tf32 import tensor_float32


def settings():
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision


@pytest.fixture(autouse=True)
def as_before():
    before = settings()
    yield
    torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision = before


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("convolutions", [False, True])
@pytest.mark.parametrize("outside", [("ieee", "tf32"), ("tf32", "ieee"), ("none", "none")])
def test_both_are_as_asked_within_and_as_they_were_after_even_an_error(products, convolutions, outside):
    torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision = outside
    with pytest.raises(KeyError), tensor_float32(products=products, convolutions=convolutions):
        assert settings() == ("tf32" if products else "ieee", "tf32" if convolutions else "ieee")
        raise KeyError
    assert settings() == outside


@pytest.mark.parametrize("allowed", [False, True])
def test_older_switches_of_a_program_are_no_hindrance_and_read_as_before(allowed):
    """They cannot be read where the newer ones say something else."""

    def older():
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    for other in (True, False):
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = allowed, other
        with tensor_float32(products=not other, convolutions=not allowed):
            assert settings() == ("ieee" if other else "tf32", "ieee" if allowed else "tf32")
        assert older() == (allowed, other)
