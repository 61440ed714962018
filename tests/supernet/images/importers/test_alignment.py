import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers.alignment import TEMPLATE, align, similarity

CENTRES = np.array([[30.0, 40.0], [70.0, 42.0], [52.0, 61.0], [36.0, 80.0], [66.0, 81.0]])


def moved(points, scale, degrees, shift):
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


def dots(width, height, landmarks, radius):
    """A grey image with a bright Gaussian dot on every landmark, whole coordinates at pixel centres."""
    y, x = np.mgrid[:height, :width]
    glow = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * radius**2)) for u, v in landmarks)
    return Image.fromarray(np.repeat(np.uint8(40 + 200 * np.clip(glow, 0, 1))[..., None], 3, axis=2))


def centres(pixels, near, reach):
    """The centre of brightness around each of some places."""
    light = pixels[..., 0].astype(float) - 40
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    places = []
    for u, v in near:
        weight = np.where((x - u) ** 2 + (y - v) ** 2 <= reach**2, np.maximum(light, 0), 0)
        places.append((np.sum(weight * x) / weight.sum(), np.sum(weight * y) / weight.sum()))
    return np.array(places)


@pytest.mark.parametrize("scale", [0.05, 1.0, 7.5])
@pytest.mark.parametrize("degrees", [0, 33, -90, 180])
def test_a_turned_scaled_and_shifted_template_is_brought_back_exactly(scale, degrees):
    shift = np.array([250.5, -31.25])
    matrix = similarity(moved(TEMPLATE, scale, degrees, shift))
    back = moved(np.eye(2), 1 / scale, -degrees, 0).T
    np.testing.assert_allclose(matrix[:, :2], back, atol=1e-12 / scale)
    np.testing.assert_allclose(matrix[:, 2], -back @ shift, atol=1e-8)
    landmarks = moved(TEMPLATE, scale, degrees, shift)
    np.testing.assert_allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)


def by_least_squares(landmarks):
    """x' = a x - b y + u and y' = b x + a y + v at five points: ten equations, four unknowns."""
    rows, goals = [], []
    for (x, y), (p, q) in zip(landmarks, TEMPLATE, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        goals += [p, q]
    a, b, u, v = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
    return np.array([[a, -b, u], [b, a, v]])


def by_umeyama(landmarks):
    """Umeyama 1991, equations 40 to 42: the singular values of the covariance, the last turned where it reflects."""
    z, w = landmarks - landmarks.mean(0), TEMPLATE - TEMPLATE.mean(0)
    left, values, right = np.linalg.svd(w.T @ z / 5)
    sign = np.diag([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = np.trace(np.diag(values) @ sign) / (z**2).sum(1).mean() * left @ sign @ right
    return np.column_stack([turn, TEMPLATE.mean(0) - turn @ landmarks.mean(0)])


def test_random_landmarks_agree_with_least_squares_and_with_umeyama():
    rng = np.random.default_rng(0)
    for number in range(300):
        landmarks = rng.normal(100, 30, (5, 2))
        if number % 2:
            landmarks = moved(TEMPLATE, rng.uniform(0.2, 5), rng.uniform(-180, 180), rng.normal(0, 100, 2))
            landmarks += rng.normal(0, 3, (5, 2))
        matrix = similarity(landmarks)
        np.testing.assert_allclose(matrix, by_least_squares(landmarks), atol=1e-6)
        np.testing.assert_allclose(matrix, by_umeyama(landmarks), atol=1e-6)
        assert np.linalg.det(matrix[:, :2]) > 0


def test_a_mirrored_face_is_not_mirrored_back():
    matrix = similarity(TEMPLATE * (-1, 1))
    assert np.linalg.det(matrix[:, :2]) > 0
    left_over = np.linalg.norm((TEMPLATE * (-1, 1)) @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE, axis=1)
    assert left_over.max() > 10


@pytest.mark.parametrize("size", [112, 48, 224])
@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0), (0.7, 20), (1.9, -35), (3.4, 90), (6.3, 12)])
def test_dots_on_the_landmarks_land_on_the_template(size, scale, degrees):
    side = int(200 * scale)
    landmarks = moved(CENTRES - 56, scale, degrees, side / 2)
    # Least squares leaves these five points beside the template; their own images are what must be met.
    matrix = similarity(landmarks)
    goals = (landmarks @ matrix[:, :2].T + matrix[:, 2]) * size / 112
    image = dots(side, side, landmarks, radius=max(2.0, 2.5 * scale * 112 / size / 2))
    places = centres(align(image, landmarks, size), goals, reach=size / 14)
    assert np.linalg.norm(places - goals, axis=1).max() < 0.1
    exact = moved(TEMPLATE - 56, scale, degrees, side / 2)
    image = dots(side, side, exact, radius=max(2.0, 2.5 * scale * 112 / size / 2))
    template = TEMPLATE * size / 112
    assert np.linalg.norm(centres(align(image, exact, size), template, size / 14) - template, axis=1).max() < 0.1


def test_landmarks_on_the_template_leave_the_image_as_it_is():
    """Any shift by a fraction of a pixel, such as a wrong convention, would blur."""
    pixels = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    aligned = align(Image.fromarray(pixels), TEMPLATE, 112)
    # Pillow cuts fractions off: rounding errors of the matrix may cost one level.
    assert aligned.dtype == np.uint8 and np.abs(aligned.astype(int) - pixels).max() <= 1
    shifted = align(Image.fromarray(pixels), TEMPLATE + np.array([10, -20]), 112)
    assert np.abs(shifted[20:, :102].astype(int) - pixels[:92, 10:]).max() <= 1
    assert not shifted[:20].any() and not shifted[:, 102:].any()


def test_bilinear_samples_are_those_of_the_formula():
    pixels = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    aligned = align(Image.fromarray(pixels), TEMPLATE + np.array([0.25, 0.5]), 112).astype(float)
    grid = pixels.astype(float)
    row = 0.5 * grid[:-1] + 0.5 * grid[1:]
    expected = 0.75 * row[:, :-1] + 0.25 * row[:, 1:]
    assert np.abs(aligned[:-1, :-1] - expected).max() <= 1


@pytest.mark.parametrize("scale", [3, 8, 17.3])
def test_fine_stripes_become_grey_and_do_not_alias(scale):
    side = int(112 * scale)
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[:, ::2] = 255
    aligned = align(Image.fromarray(stripes), (TEMPLATE + 0.5) * scale - 0.5, 112)
    assert np.abs(aligned[2:-2, 2:-2].astype(float) - 127.5).max() < 30
    flat = align(Image.new("RGB", (side, side), (200, 200, 200)), (TEMPLATE + 0.5) * scale - 0.5, 112)
    assert flat.shape == (112, 112, 3) and (flat[1:-1, 1:-1] == 200).all()


def test_a_face_far_larger_or_far_smaller_than_the_image_needs_no_memory():
    image = Image.fromarray(np.full((40, 30, 3), 90, np.uint8))
    # The image lies within the first pixel of the face, but not at its centre, and covers next to nothing of it.
    assert not align(image, TEMPLATE * 1e6 - 7e5, 48).any()
    assert (align(image, 15 + TEMPLATE * 1e-6, 48) == 90).all()
    assert not align(image, TEMPLATE + 5000, 48).any()
    assert align(image, TEMPLATE, 1).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.full((5, 2), 33.3), r"landmarks must not coincide, got \(33.3,33.3\)"),
        (np.zeros((5, 2)), "landmarks must not coincide"),
        (
            np.where(np.eye(5, 2) > 0, np.nan, TEMPLATE),
            r"landmarks must be finite pixel coordinates, got \(nan,51.6963\)",
        ),
        (np.where(np.eye(5, 2) > 0, np.inf, TEMPLATE), "landmarks must be finite pixel coordinates"),
        (TEMPLATE * 1e300, "landmarks must be finite pixel coordinates"),
        (TEMPLATE[:4], r"landmarks must be five points \(5, 2\), got shape \(4, 2\)"),
        (np.zeros(10), r"got shape \(10,\)"),
    ],
)
def test_landmarks_without_a_similarity_are_refused(landmarks, message):
    with pytest.raises(ValueError, match=message):
        similarity(landmarks)


def test_landmarks_that_no_turn_brings_nearer_are_refused():
    """Points whose complex covariance with the template vanishes: the best scale is zero."""
    w = (TEMPLATE - TEMPLATE.mean(0)) @ (1, 1j)
    z = np.array([1.0, 2.0, -1.5, 0.5j, 3.0 + 1j])
    z -= z.mean()
    z -= w * np.vdot(w, z) / np.vdot(w, w)
    with pytest.raises(ValueError, match="landmarks must resemble two eyes, a nose and two mouth corners"):
        similarity(np.column_stack([z.real, z.imag]))


def test_a_size_below_one_pixel_is_refused():
    with pytest.raises(ValueError, match="aligned faces need a size of 1 px or more, got 0"):
        align(Image.new("RGB", (9, 9)), TEMPLATE, 0)
