"""The name of a training: network, changes of the recipe and seed, as text and as a folder, there and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualfair.runs.config import changed
from dualfair.runs.training_spec import (
    TrainingSpec,
    differences,
    folder_of_label,
    is_plain,
    label_of_folder,
)
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.sized import SizedGenotype
from dualfair.supernet.genotype import HEAD_NAMES, Genotype
from dualfair.supernet.training.recipe import Recipe

heads = st.sampled_from([*HEAD_NAMES, "my_head", "a__b"])
codes = st.lists(st.integers(0, 12), min_size=1, max_size=3).map(tuple)
genotypes = st.builds(Genotype, st.lists(codes, min_size=1, max_size=3).map(tuple), heads)
names = st.sampled_from(["dpn68b", "mobilenetv3_small_050", "swin_base_patch4_window7_224", "_x_"])
backbones = st.builds(Backbone, names | st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), heads)
CHANGES = {
    "epochs": st.floats(0.01, 1e6),
    "batch": st.integers(2, 4096),
    "optimizer": st.sampled_from(["adamw", "momentum", "lookahead_sgd"]),
    "lr": st.floats(1e-9, 10),
    "lr_heads": st.floats(0.1, 10),
    "loss": st.sampled_from(["ce", "focal"]),
    "flip": st.booleans(),
}
STEPS = {"schedule": "multistep", "milestones": "0.4615,0.7692,0.9231"}
changes = st.builds(
    lambda chosen, steps: tuple((chosen | steps).items()),
    st.fixed_dictionaries({}, optional=CHANGES),
    st.sampled_from([{}, STEPS]),
)
grown = st.builds(
    lambda depth, code, head: SizedGenotype.parse(f"mix-d{depth}-w8/{code}:{head}"),
    st.integers(3, 40),
    st.integers(0, 3),
    heads,
)
trainings = st.builds(TrainingSpec, genotypes | backbones | grown, changes, st.integers(0, 10**9 - 1))


@given(trainings)
def test_a_training_parses_back_from_its_text_and_from_its_folder(training):
    assert TrainingSpec.of_label(training.label, training.seed) == training
    assert TrainingSpec.of_folder(Path("run/retrain") / training.folder) == training
    assert label_of_folder(folder_of_label(training.label)) == training.label
    assert is_plain(training.label) == training.plain == (training.searched and not training.changes)
    assert len(training.folder.parts) == 2 and ":" not in str(training.folder)


@given(changes)
def test_the_changes_of_a_recipe_are_found_and_applied(chosen):
    recipe = changed(Recipe(), dict(chosen))
    assert changed(Recipe(), dict(differences(recipe, vars(Recipe())))) == recipe
    assert differences(Recipe(), vars(Recipe())) == ()


def test_milestones_come_with_their_schedule_and_go_without():
    stepped = changed(Recipe(), STEPS)
    training = TrainingSpec(Genotype.parse("101:cosface"), differences(stepped, vars(Recipe())))
    assert training.label == "101:cosface,schedule=multistep,milestones=0.4615+0.7692+0.9231"
    other = changed(stepped, {"milestones": "0.5"})
    assert differences(other, vars(stepped)) == (("schedule", "multistep"), ("milestones", "0.5"))
    back = TrainingSpec(Genotype.parse("101:cosface"), differences(Recipe(), vars(stepped)))
    assert back.label == "101:cosface,schedule=cosine,milestones=none"
    assert TrainingSpec.of_label(back.label) == back


def test_labels_are_short_and_in_the_recipes_order():
    changes = (("lr", 0.001), ("optimizer", "adamw"), ("epochs", 3.0), ("flip", False))
    label = TrainingSpec(Backbone("dpn68b", "cosface"), changes, 2).label
    assert label == "timm.dpn68b:cosface,epochs=3,optimizer=adamw,lr=0.001,flip=no"
    assert TrainingSpec(Genotype.parse("101-101:cosface")).folder == Path("101-101_cosface/seed-0")
    assert TrainingSpec(Genotype.parse("101:cosface"), (("lr", 1),)) == TrainingSpec(
        Genotype.parse("101:cosface"), (("lr", 1.0),)
    )


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("101:cosface,rate=3", "unknown recipe field 'rate'; known: epochs, batch"),
        ("101:cosface,lr=fast", "lr must be a float in a training's name, got 'fast'"),
        ("101:cosface,lr=-1", "lr must be above 0, got -1.0"),
        ("101:cosface,lr=nan", "lr must be a finite number"),
        ("101:cosface,lr=1,lr=2", "a recipe field is changed twice"),
        ("101:cosface,flip=1", "flip must be yes or no"),
        ("101:cosface,lr", "',lr' is no list of ,field=value"),
        ("timm.resnet18:Softmax,lr=1", "'Softmax' is no head name"),
        ("1x1:cosface", "block 1 is '1x1', position 2"),
    ],
)
def test_a_text_that_names_no_training_is_refused(label, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.").replace("?", r"\?")):
        TrainingSpec.of_label(label)


def test_a_value_that_could_leave_the_folder_is_refused():
    with pytest.raises(ValueError, match="cannot be part of a training's name"):
        TrainingSpec(Genotype.parse("101:cosface"), (("optimizer", "../../x"),))
