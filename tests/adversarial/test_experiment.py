"""The experiment: detectors trained on a class, tested on its adversarial examples."""

import numpy as np
import pytest
import torch

from deepsvdd import Dataset, DeepSVDD, Phase, Recipe
from deepsvdd.adversarial.experiment import (
    adversarial_split,
    plain_noise,
    run_experiment,
    score_function,
)
from deepsvdd.reproduction.results import ResultsFile
from deepsvdd.reproduction.tasks import Settings, tasks_of
from tests.toys import few_images as dataset
from tests.toys import made_up_examples as examples

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("seed", range(3))
def test_a_split_has_the_class_and_its_adversarial_examples(seed):
    data = dataset(seed=seed)
    split = adversarial_split(data, examples(data))
    assert np.array_equal(split.x_train, data.x_train[data.y_train == 2])
    assert split.y_test.tolist() == [0] * 10 + [1] * 3
    assert np.array_equal(split.x_test[:10], data.x_test[data.y_test == 2])
    assert np.array_equal(split.x_test[10:], examples(data).x)
    assert split.x_test.dtype == np.float32  # nothing is rounded
    assert split.normal_classes == (2,)


def test_examples_of_other_images_are_refused():
    with pytest.raises(ValueError, match="must be made from test images of this"):
        adversarial_split(dataset(seed=1), examples(dataset(seed=0)))
    far = examples(dataset(), rows=(2, 6, 38))
    short = dataset()
    short = Dataset(
        *("mnist", short.x_train, short.y_train),
        *(short.x_test[:20], short.y_test[:20], short.classes),
    )
    with pytest.raises(ValueError, match="must be made from test images of this"):
        adversarial_split(short, far)


def test_originals_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="its normal_class, 2; got originals of other"):
        adversarial_split(dataset(), examples(dataset(), rows=(2, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": "slow"}, "recipe must be one of paper, fast, quick"),
        ({"recipe": ""}, "recipe must be one of paper, fast, quick"),
        ({"settings": Settings(network="no_such")}, "network must be one of"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.setattr("deepsvdd.adversarial.experiment.run_on", lambda *_: 1 / 0)
    data = dataset()
    with (
        pytest.raises(ValueError, match=message),
        ResultsFile(tmp_path / "r.jsonl") as file,
    ):
        run_experiment(data, examples(data), file, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(3))
def test_plain_noise_is_as_large_as_the_attack_and_no_larger(seed):
    data = dataset()
    data.x_test[...] = 128  # the noise ends at no limit
    adversarial = examples(data)
    noisy = plain_noise(adversarial, seed=seed)
    way = (noisy.astype(np.float64) - adversarial.original) / 255
    distance = np.linalg.norm(way.reshape(len(way), -1), axis=1)
    np.testing.assert_allclose(distance, adversarial.distance, rtol=1e-3)
    assert not np.array_equal(noisy, plain_noise(adversarial, seed=seed + 1))
    data.x_test[...] = 250
    noisy = plain_noise(examples(data), seed=seed)
    assert noisy.min() >= 0
    assert noisy.max() <= 255
    assert np.linalg.norm(noisy[0] - 250.0) < 255


def test_every_run_is_a_line_and_none_is_repeated(tmp_path):
    data = dataset("drawn signs", (3, 32, 32))
    path, lines = tmp_path / "r.jsonl", []

    def run(seeds):
        with ResultsFile(path) as file:
            run_experiment(
                *(data, examples(data), file),
                recipe="fast:1+1",
                seeds=seeds,
                on_run=lines.append,
            )

    run([0])
    assert [line["method"] for line in lines] == ["one-class", "soft-boundary", "dcae"]
    for line in lines:
        assert line["dataset"] == "drawn signs"  # never gtsrb
        assert (line["network"], line["preprocessing"]) == ("gtsrb_LeNet", "minmax")
        assert (line["normal_class"], line["seed"]) == (2, 0)
        assert 0 <= line["auc"] <= 1
        assert 0 <= line["untrained_auc"] <= 1
        assert 0 <= line["control_auc"] <= 1
        assert (line["n_normal"], line["n_adversarial"]) == (10, 3)
        assert line["median_distance"] == 2
        assert line["provenance"]["versions"]["torch"]
    run([0, 1])
    assert [line["seed"] for line in lines] == [0] * 3 + [1] * 3


def test_runs_of_other_examples_or_networks_are_not_taken_for_done(tmp_path):
    data, path = dataset(), tmp_path / "r.jsonl"

    def run(adversarial, **settings):
        with ResultsFile(path) as file:
            run_experiment(
                *(data, adversarial, file),
                methods=["dcae"],
                recipe="fast:0+0",
                seeds=[0],
                settings=Settings(**settings),
            )

    run(examples(data))
    before = path.read_text()
    run(examples(data))
    other_attack = examples(data)
    other_attack.metadata["attack"] = {"name": "another"}
    for name, other, settings in (
        ("n_adversarial", examples(data, rows=(2, 6)), {}),
        ("attack", other_attack, {}),
        ("network", examples(data), {"network": "mlp"}),
    ):
        message = f"r.jsonl' and this command must have one {name} for mnist, class 2,"
        with pytest.raises(ValueError, match=message):
            run(other, **settings)
    assert path.read_text() == before


@pytest.mark.parametrize("rows", [(2,), (2, 6, 10)])
def test_the_labeled_tenth_has_an_adversarial_example_however_few(tmp_path, rows):
    data = dataset()
    with ResultsFile(tmp_path / "r.jsonl") as file:
        run_experiment(
            *(data, examples(data, rows=rows), file),
            methods=["ocsvm-paper"],
            seeds=range(5),
        )
        assert len(file.lines) == 5


def test_baselines_are_tasks_of_their_own_and_run_once_if_there_is_no_chance():
    split = adversarial_split(dataset(), examples(dataset()))
    methods = ("one-class", "kde", "iforest", "dcae")
    normal = {"mnist": split.normal_classes}
    tasks = tasks_of(normal, methods, ["fast"], (3, 4), Settings())
    assert [(task.methods, task.recipe, task.seeds) for task in tasks] == [
        (("one-class", "dcae"), "fast", (3,)),
        (("kde",), None, (3,)),
        (("iforest",), None, (3,)),
        (("one-class", "dcae"), "fast", (4,)),
        (("iforest",), None, (4,)),
    ]


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_the_score_has_gradients_and_is_the_detectors(threes, objective):
    phase = Phase(n_epochs=1, batch_size=50)
    detector = DeepSVDD(
        objective=objective,
        recipe=Recipe(phase, phase, warm_up_epochs=0, radius_every=1),
        random_state=0,
    ).fit(threes.x_train[:200])
    score = score_function(detector)
    images = threes.x_test[:8]
    x = (torch.tensor(images) / 255).requires_grad_()
    scores = score(x)
    np.testing.assert_allclose(
        scores.detach(), detector.anomaly_score(images), rtol=1e-3, atol=1e-5
    )
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    # A short way against the gradient the score is lower, a short way along it higher.
    way = 1e-2 * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    with torch.no_grad():
        assert (score(x - way) < scores).all()
        assert (score(x + way) > scores).all()


def test_an_ensemble_has_no_single_score_function(threes):
    nothing = Phase(n_epochs=0)
    detector = DeepSVDD(
        recipe=Recipe(nothing, nothing), pretrain=False, n_members=2, random_state=0
    ).fit(threes.x_train[:50])
    with pytest.raises(ValueError, match="detector must have one member"):
        score_function(detector)
