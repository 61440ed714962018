import pytest
import torch

from dualfair.supernet.images.augmentation import augment, draw, mirror, resize, to_input


def test_augmentation_is_per_sample_seeded_and_bounded():
    images = torch.rand(200, 3, 12, 12) * 2 - 1
    first = augment(
        images, draw(len(images), torch.Generator().manual_seed(0)), 12, flip=True, shift=0.1, brightness=0.2
    )
    again = augment(
        images, draw(len(images), torch.Generator().manual_seed(0)), 12, flip=True, shift=0.1, brightness=0.2
    )
    assert torch.equal(first, again) and first.abs().max() <= 1 and first.shape == images.shape
    flipped = augment(
        images, draw(len(images), torch.Generator().manual_seed(0)), 12, flip=True, shift=0.0, brightness=0.0
    )
    mirrored = (flipped == mirror(images)).flatten(1).all(1)
    unchanged = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ unchanged).all() and 70 < mirrored.sum() < 130
    still = augment(
        images, draw(len(images), torch.Generator().manual_seed(0)), 12, flip=False, shift=0.0, brightness=0.0
    )
    assert torch.equal(still, images)


def test_shifts_are_whole_pixels_within_the_bound():
    image = torch.arange(144.0).reshape(1, 1, 12, 12).expand(300, 3, 12, 12) / 144
    moved = augment(
        image, draw(len(image), torch.Generator().manual_seed(1)), 12, flip=False, shift=0.2, brightness=0.0
    )
    seen = {divmod(round(float(value) * 144), 12) for value in moved[:, 0, 6, 6]}
    assert seen == {(row, column) for row in range(4, 9) for column in range(4, 9)}


@pytest.mark.parametrize(("shift", "rows"), [(0.0, range(3, 8)), (0.25, range(1, 10))])
def test_any_part_of_a_larger_image_may_be_taken(shift, rows):
    image = torch.arange(144.0).reshape(1, 1, 12, 12).expand(900, 3, 12, 12) / 144
    taken = augment(image, draw(len(image), torch.Generator().manual_seed(1)), 8, flip=False, shift=shift, brightness=0)
    seen = {divmod(round(float(value) * 144), 12) for value in taken[:, 0, 3, 3]}
    assert taken.shape == (900, 3, 8, 8) and seen == {(row, column) for row in rows for column in rows}


def test_a_square_around_any_pixel_becomes_grey_with_cutout():
    images = torch.full((4000, 3, 8, 8), 0.7)
    draws = draw(len(images), torch.Generator().manual_seed(0), 0.5)
    how = {"flip": False, "shift": 0.0, "brightness": 0.0}
    cut = augment(images, draws, 8, **how, cutout=0.5)
    grey = cut == 0
    assert ((cut == 0.7) | grey).all() and (grey == grey[:, :1]).all()
    rows, columns = grey[:, 0].any(2).sum(1), grey[:, 0].any(1).sum(1)
    assert (rows * columns == grey[:, 0].sum((1, 2))).all()
    # Around 8 pixels 4 are within 2 before and 1 behind: less at both edges.
    assert {(int(a), int(b)) for a, b in zip(rows, columns, strict=True)} == {
        (a, b) for a in (2, 3, 4) for b in (2, 3, 4)
    }
    shares = grey[:, 0].float().mean(0)
    assert shares[4, 4] == pytest.approx(1 / 4, abs=0.03) and shares[0, 0] == pytest.approx(9 / 64, abs=0.03)
    assert torch.equal(augment(images, draws[:5], 8, **how), images)


def test_pixels_become_input_between_minus_one_and_one():
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 1, 1, 3)
    assert to_input(pixels).flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])
    assert resize(torch.full((2, 9, 9, 3), 90, dtype=torch.uint8), 4).unique().tolist() == [90]
