"""What detectors owe to scikit-learn's users: names, searches, pipelines, new data."""

import copy
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from deepsvdd import DeepSAD, DeepSVDD, Phase, load_detector
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import Variant
from tests.toys import SHORT, STILL, Flat, make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------- settings by name


@pytest.mark.parametrize("kind", [DeepSVDD, DeepSAD])
def test_a_setting_of_a_named_recipe_by_its_name(kind, vectors):
    plain = kind(random_state=0).fit(vectors)
    detector = kind(random_state=0).set_params(
        recipe__training__lr=2e-3, recipe__training__n_epochs=3
    )
    assert detector.recipe == Variant(
        "fast", {"training__lr": 2e-3, "training__n_epochs": 3}
    )
    detector.fit(vectors)
    assert detector.recipe_.training.lr == 2e-3
    assert detector.recipe_.training.n_epochs == 3
    # The rest is still suited to sixty samples.
    assert detector.recipe_.training.batch_size == plain.recipe_.training.batch_size
    assert detector.recipe_.pretraining == plain.recipe_.pretraining
    assert len(detector.members_[0].history["training"]["loss"]) == 3


def test_get_params_gives_back_what_was_set():
    detector = DeepSVDD().set_params(recipe__pretraining__n_epochs=7)
    params = detector.get_params()
    assert params["recipe__pretraining__n_epochs"] == 7
    assert params["recipe__training__lr"] is None  # decided by the data
    assert "recipe__training__lr" not in detector.get_params(deep=False)
    for start in (detector, DeepSVDD(), DeepSVDD(recipe=SHORT)):
        again = clone(start).set_params(**start.get_params())
        assert again.get_params() == start.get_params()
        assert again.recipe == start.recipe
    assert detector.set_params(recipe__pretraining__n_epochs=None).recipe == "fast"


def test_settings_of_a_recipe_of_ones_own():
    detector = DeepSVDD(recipe=SHORT).set_params(
        recipe__training__lr=0.5, recipe__radius_every=3
    )
    assert (detector.recipe.training.lr, detector.recipe.radius_every) == (0.5, 3)
    assert detector.recipe.pretraining == SHORT.pretraining
    assert SHORT.radius_every == 1  # recipes are shared, and stay as they are
    assert detector.get_params()["recipe__training__lr"] == 0.5
    whole = {"recipe__training": Phase(lr=0.25), "recipe__training__n_epochs": 1}
    detector.set_params(**dict(reversed(whole.items())))
    assert detector.recipe.training == Phase(lr=0.25, n_epochs=1)


def test_a_recipe_and_its_settings_in_one_call():
    detector = DeepSVDD().set_params(recipe__training__lr=1.0, recipe="paper")
    assert detector.recipe == Variant("paper", {"training__lr": 1.0})
    assert detector.set_params(recipe="quick").recipe == "quick"


@pytest.mark.parametrize(
    "recipe", ["fast", SHORT, Variant("fast", {"radius_every": 2})]
)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("training__rate", 1.0, "recipe__training__rate is no setting; training has"),
        ("epochs", 1, "recipe__epochs is no setting; a recipe has pretraining, train"),
        ("test__lr", 1.0, "recipe__test__lr is no setting; a recipe has pretraining"),
        ("training__lr", -1, "lr must be a positive number; got -1"),
        ("training__n_epochs", 1.5, "n_epochs must be a whole number from 0 on"),
        ("first_layer", "gabor", "first_layer must be .*; got 'gabor'"),
    ],
)
def test_names_and_values_that_no_recipe_has(recipe, name, value, message):
    detector = DeepSVDD(recipe=recipe)
    with pytest.raises(ValueError, match=message) as caught:
        detector.set_params(**{f"recipe__{name}": value})
    assert "\n" not in str(caught.value)
    assert detector.recipe == recipe


def test_a_recipe_that_is_none():
    for wrong in (3, None, [], "slow"):
        with pytest.raises(ValueError, match=r"^recipe must be .*; got ") as caught:
            DeepSVDD(recipe=wrong).set_params(recipe__training__lr=1.0)
        assert str(caught.value).endswith(repr(wrong))


def test_the_control_and_the_file_of_a_variant(vectors, tmp_path):
    detector = DeepSVDD(random_state=0).set_params(recipe__training__n_epochs=1)
    detector.fit(vectors).save(tmp_path / "m")
    loaded = load_detector(tmp_path / "m")
    assert loaded.recipe == detector.recipe_  # resolved, as every named recipe is
    with pytest.raises(ValueError, match="first_layer must be 'random' for a network"):
        detector.set_params(
            network="mlp", recipe__first_layer="dictionary"
        ).check_parameters()


# --------------------------------------------------------------------------- searches


def auc(detector, X, y):
    return roc_auc(y, detector.anomaly_score(X))


@pytest.mark.parametrize("data", ["vectors", "images"])
def test_grid_search_over_settings_and_widths(data):
    x = make_vectors(80) if data == "vectors" else make_images(40)
    widths = [(16, 8), (8, 4, 4)] if data == "vectors" else [(4, 4, 16), (2, 2, 32)]
    labels = np.arange(len(x)) % 2  # for the score alone
    search = GridSearchCV(
        short(n_members=1),
        {"recipe__training__lr": [1e-3, 1e-2], "widths": widths},
        scoring=auc,
        cv=2,
        error_score="raise",
    ).fit(x, labels)
    assert len(search.cv_results_["params"]) == 4
    best = search.best_estimator_
    assert best.widths == search.best_params_["widths"]
    assert best.recipe_.training.lr == search.best_params_["recipe__training__lr"]
    assert best.represent(x).shape[1] == best.widths[-1]


def test_a_pipeline_passes_scores_and_settings_on(vectors):
    pipeline = Pipeline([("scale", StandardScaler()), ("svdd", short())])
    pipeline.set_params(svdd__recipe__training__n_epochs=2, svdd__widths=(8,))
    pipeline.fit(vectors)
    detector = pipeline["svdd"]
    assert len(detector.members_[0].history["training"]["loss"]) == 2
    expected = detector.anomaly_score(pipeline[:-1].transform(vectors))
    np.testing.assert_array_equal(-pipeline.score_samples(vectors), expected)
    assert not hasattr(pipeline, "anomaly_score")


# ----------------------------------------------------------------------------- widths


@pytest.mark.parametrize(
    ("network", "widths", "data"),
    [
        ("mlp", (7,), "vectors"),
        ("mlp_BN", [16, 8, 4], "vectors"),
        ("mnist_LeNet", (4, 2, 48), "images"),
        ("cifar10_LeNet", (2, 2, 16), "images"),
        ("gtsrb_LeNet", (4, 3), "images"),
        ("auto", (3, 16), "images"),
    ],
)
def test_widths_are_those_of_the_layers_and_of_the_file(
    network, widths, data, tmp_path
):
    x = make_images(40, (8, 8)) if data == "images" else make_vectors()
    detector = short(network=network, widths=widths).fit(x)
    encoder = detector.members_[0].encoder
    sizes = [weight.shape[0] for weight in encoder.parameters()]
    sizes = [size for size in sizes if size != 64 or network != "gtsrb_LeNet"]
    assert sizes == list(widths)
    detector.save(tmp_path / "m")
    loaded = load_detector(tmp_path / "m")
    assert loaded.widths == tuple(widths)
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))
    assert clone(loaded).fit(x).represent(x).shape == (len(x), widths[-1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"widths": ()}, r"widths must be None or whole numbers from 1 on.*got \(\)"),
        ({"widths": (8, 0)}, r"whole numbers from 1 on, \(64, 32\); got \(8, 0\)"),
        ({"widths": 8}, "whole numbers from 1 on.*; got 8"),
        ({"widths": (8, 30)}, "a multiple of 16; got"),
        ({"widths": (16,)}, "channels of at least one convolution"),
        ({"widths": (4, 4, 4, 16)}, "3 take images with sides of 8 to 64 pixels"),
        ({"widths": (4,), "network": Flat(16)}, "widths must be None for a network of"),
    ],
)
def test_widths_that_no_network_has(parameters, message):
    x = make_images(40, (4, 4))
    with pytest.raises(ValueError, match=message) as caught:
        short(**{"network": "auto", "pretrain": False} | parameters).fit(x)
    assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------- new data


def test_going_on_with_new_data(vectors):
    """As the notes of the estimator say: scale and center stay, thresholds follow."""
    old, new = vectors, make_vectors(40, seed=7) + 0.5
    detector = short().fit(old).calibrate(make_vectors(30, seed=2))
    before = copy.deepcopy(detector)
    detector.set_params(warm_start=True, pretrain=False)
    detector.set_params(recipe__training__n_epochs=2)
    both = np.concatenate([old, new])
    detector.fit(both)
    for name in ("minimum", "maximum"):
        kept = getattr(before.preprocessor_, name)
        assert torch.equal(getattr(detector.preprocessor_, name), kept)
    (now,), (then,) = detector.members_, before.members_
    assert torch.equal(now.center, then.center)
    assert not torch.equal(now.encoder[1].weight, then.encoder[1].weight)
    # Of all that this fit has seen, a tenth is outside: its scores, its threshold.
    assert (detector.predict(both) == -1).sum() == 10
    assert not hasattr(detector, "calibration_")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.calibrate(make_vectors(30, seed=3))


def test_a_threshold_that_was_set_stays(vectors):
    detector = short(threshold=0.25, warm_start=True, pretrain=False).fit(vectors)
    assert detector.fit(make_vectors(40, seed=7)).threshold_ == 0.25


def test_what_an_earlier_fit_was_trained_on_is_no_calibration_data(vectors):
    """The weights still know it."""
    new = make_vectors(40, seed=7)
    detector = short(recipe=STILL, warm_start=True, pretrain=False).fit(vectors)
    detector.fit(new)
    with pytest.raises(ValueError, match="60 of 60 samples that were trained on"):
        detector.calibrate(vectors)
    detector.set_params(warm_start=False).fit(new).calibrate(vectors)
