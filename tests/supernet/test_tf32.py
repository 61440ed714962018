import pytest
import torch

from dualfair.supernet.tf32 import tensor_float32


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("convolutions", [False, True])
@pytest.mark.parametrize("outside", [("high", False), ("medium", True)])
def test_both_are_as_asked_within_and_as_they_were_after_even_an_error(products, convolutions, outside):
    def settings():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    def switch(precision, allowed):
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = allowed

    before = settings()
    switch(*outside)
    try:
        with pytest.raises(KeyError), tensor_float32(products=products, convolutions=convolutions):
            assert settings() == ("high" if products else "highest", convolutions)
            raise KeyError
        assert settings() == outside
    finally:
        switch(*before)
