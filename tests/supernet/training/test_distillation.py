"""What a teacher teaches, and trainings that learn from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.distillation import disagreement, taught_embeddings
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer


def cosines(embeddings):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return unit @ unit.T


def teacher_of(dimensions, images=96, seed=0):
    """Embeddings whose directions are of very different weight, with a common part, as trained networks have them."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(images, dimensions)) * np.geomspace(1, 0.02, dimensions) + rng.normal(size=dimensions) / 4


@pytest.mark.parametrize("dimensions", [2, 10])
def test_a_teacher_of_no_more_numbers_keeps_all_cosines(dimensions):
    teacher = teacher_of(dimensions)
    taught = taught_embeddings(7 * teacher, 10)
    assert taught.shape == (96, 10) and taught.dtype == np.float32
    assert np.allclose(cosines(taught), cosines(teacher), atol=1e-5)
    assert np.allclose(np.linalg.norm(taught, axis=1), 1, atol=1e-6)
    assert np.array_equal(taught, taught_embeddings(7 * teacher, 10))


def test_a_larger_teacher_keeps_them_better_than_any_other_projection():
    teacher = teacher_of(40)
    error = np.abs(cosines(taught_embeddings(teacher, 10)) - cosines(teacher)).mean()
    for seed in range(5):
        basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(40, 10)))
        assert error < 0.5 * np.abs(cosines(teacher @ basis) - cosines(teacher)).mean()
    assert error < 0.05


def test_numbers_are_of_like_weight():
    taught, teacher = (embeddings.std(axis=0) for embeddings in (taught_embeddings(teacher_of(10), 10), teacher_of(10)))
    assert taught.max() / taught.min() < 4 and teacher.max() / teacher.min() > 20


@pytest.mark.parametrize(("value", "message"), [(np.nan, "not finite"), (0.0, "of length 0")])
def test_embeddings_that_teach_nothing_are_refused(value, message):
    teacher = teacher_of(10)
    teacher[5] = value
    with pytest.raises(ValueError, match=message):
        taught_embeddings(teacher, 10)


def test_disagreement_is_by_the_angle_alone():
    ones = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    assert disagreement(ones, 5 * ones, 16) == pytest.approx(0, abs=1e-5)
    assert disagreement(ones, -ones, 16) == pytest.approx(32)
    assert disagreement(ones, ones.flip(1), 16) == pytest.approx(16)


def trainer_of(network, faces, teacher, space=None, **changes):
    how = {"step": changes.pop("step")} if "step" in changes else {}
    recipe = Recipe(**{"epochs": 2, "batch": 8, "lr": 0.05, "weight_decay": 0.0, "warmup": 0.0, **changes})
    return Trainer(network, faces, recipe, seed=0, space=space, teacher=teacher, **how)


def network_of(tiny):
    torch.manual_seed(0)
    return build("101-235-777:cosface", tiny, 12)


def relabelled(faces):
    """The same images, dealt to people otherwise."""
    return replace(faces, identities=np.tile([f"p{person:02d}" for person in range(12)], 8))


def test_with_all_of_the_loss_no_label_counts_and_the_student_comes_near(tiny, faces):
    teacher, weights = teacher_of(16), []
    for labelled in (faces, relabelled(faces)):
        trainer = trainer_of(network_of(tiny), labelled, teacher, teacher_share=1.0, epochs=6)
        losses = [step.loss for step in trainer.run()]
        assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])
        weights.append(trainer.network.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    drawn = network_of(tiny).state_dict()
    moved = [name for name in drawn if not torch.equal(drawn[name], weights[0][name])]
    assert "heads.cosface.weight" not in moved and "heads.cosface.neck.linear.weight" in moved


def test_with_half_of_it_labels_and_teacher_count(tiny, faces):
    def weights(labelled, teacher, **changes):
        trainer = trainer_of(network_of(tiny), labelled, teacher, **changes)
        [*trainer.run(until=2)]
        return trainer.network.state_dict()["heads.cosface.neck.linear.weight"]

    teacher = teacher_of(16)
    half = weights(faces, teacher)
    assert torch.equal(half, weights(faces, teacher, teacher_share=0.5))
    others = [(faces, None), (relabelled(faces), teacher), (faces, teacher_of(16, seed=1))]
    assert not any(torch.equal(half, weights(*other)) for other in others)
    assert not torch.equal(half, weights(faces, teacher, teacher_share=0.4))


@pytest.mark.parametrize("changes", [{"step": "graph"}, {"accumulate": 2}])
def test_a_supernet_learns_path_by_path_all_at_once_and_in_parts(tiny, faces, changes):
    space = dpn_space("dpn81", 3)

    def losses(**changes):
        torch.manual_seed(0)
        network = Supernet(tiny, 12, space.heads)
        return [step.loss for step in trainer_of(network, faces, teacher_of(16), space, **changes).run(until=3)]

    # Statistics of a part of a batch are others.
    assert losses(**changes) == pytest.approx(losses(), rel=1e-5 if "step" in changes else 0.2)
    assert losses(**changes, teacher_share=1.0) != pytest.approx(losses(**changes), rel=0.01)


def test_every_image_is_taught_its_own_embedding(tiny, faces):
    teacher = teacher_of(10)
    trainer = trainer_of(network_of(tiny), faces, teacher, flip=False, shift=0.0, brightness=0.0)
    taught = torch.from_numpy(taught_embeddings(teacher, 10))
    for _ in range(3):
        images, (labels, embeddings), _ = trainer._batch()
        numbers = (embeddings @ taught.T).argmax(dim=1).numpy()
        assert np.array_equal(labels.numpy(), faces.labels[numbers]) and len(set(numbers.tolist())) == 8
        assert torch.allclose(images, to_input(faces.read(numbers)), atol=1e-5)


def test_a_network_teaches_what_it_says_of_the_very_images_that_its_student_sees(tiny, faces):
    teacher, seen = network_of(tiny), {"teacher": [], "student": []}
    student = network_of(tiny)
    teacher.register_forward_hook(lambda _, inputs, output: seen["teacher"].append((inputs[0], output)))
    student.trunk.stem.register_forward_hook(lambda _, inputs, __: seen["student"].append(inputs[0]))
    trainer = trainer_of(student, faces, teacher, teacher_share=1.0, scale=3.0)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student.eval()
    with torch.no_grad():
        images, (_, taught), _ = trainer._batch()
        expected = disagreement(student(images), taught, 3.0)
    assert expected == pytest.approx(0, abs=1e-5) and not teacher.training
    student.train()
    [*trainer.run(until=3)]
    for images, (told, output) in zip(seen["student"][-3:], seen["teacher"][-3:], strict=True):
        assert torch.equal(images, told) and output.shape == (8, 10)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_a_teacher_of_other_images_is_refused(tiny, faces):
    with pytest.raises(ValueError, match=r"an embedding for each of the 96 images, .*; got 95, and sizes"):
        trainer_of(network_of(tiny), faces, teacher_of(16, images=95))
    with pytest.raises(ValueError, match="teacher_share must be above 0 and at most 1, got 0"):
        Recipe(teacher_share=0.0)
