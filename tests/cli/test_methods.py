"""``deepsvdd fit --method``: all methods train and score; what is refused."""

import csv
import shlex

import click
import numpy as np
import pytest

from deepsvdd import DROCC, FCDD, GEOM, DeepSAD, DeepSVDD, load_detector
from deepsvdd.cli import main
from deepsvdd.cli.methods import METHODS, build
from deepsvdd.core.recipes import RECIPES
from tests.cli import fails, succeeds
from tests.toys import SHORT, make_images, make_vectors

pytestmark = pytest.mark.usefixtures("one_thread", "_clean", "_short")
IMAGES = make_images(60, (16, 16))
COMMON = {"network": "auto", "widths": None, "nu": 0.1, "random_state": 0}


@pytest.fixture
def _short(monkeypatch):
    for name in RECIPES["fast"]:
        monkeypatch.setitem(RECIPES["fast"], name, SHORT)


@pytest.fixture
def files():
    """Images, vectors, other images to learn from, labels: in the working folder."""
    np.save("x.npy", IMAGES)
    np.save("v.npy", make_vectors())
    np.save("wide.npy", make_images(60, (12, 16)))
    np.save("other.npy", make_images(30, (16, 16), seed=1))
    with open("labels.csv", "w") as file:
        file.write("sample,label\n0,-1\n1,1\n")


MORE = {
    "deep-sad": "--labels labels.csv",
    "hsc": "--outliers other.npy",
    "frozen": "--backbone squeezenet1_1 --weights random --side 32",
}


KEPT = ("geom-density", "geom-both", "frozen")  # with the features of what was fitted


@pytest.mark.parametrize("method", METHODS)
def test_a_model_scores_and_tells(method, files):
    words = MORE.get(method, "").split()
    succeeds("fit", "x.npy", "m", "--method", method, "--nu", 0.2, *words)
    cls, preset = METHODS[method]
    detector = load_detector("m")
    assert type(detector) is cls
    for name, value in preset.items():
        assert getattr(detector, name) == value
    succeeds("score", "m", "x.npy", "-o", "s.csv")
    with open("s.csv") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["score"]) for row in rows]
    np.testing.assert_allclose(scores, detector.anomaly_score(IMAGES), rtol=1e-5)
    n_normal = len(IMAGES) - (method == "deep-sad")  # one is a known anomaly
    flagged = np.delete(scores, 0) if method == "deep-sad" else np.array(scores)
    n_flagged, expected = (flagged > detector.threshold_).sum(), int(0.2 * n_normal)
    if method in KEPT:  # each is its own neighbor now, but was not for the threshold
        assert n_flagged < expected
    else:
        assert n_flagged == expected
    assert f"estimator    {cls.kind}" in succeeds("info", "m").stdout


@pytest.mark.parametrize("method", ["geom", "goad", "drocc"])
def test_vectors_too(method, files):
    succeeds("fit", "v.npy", "m", "--method", method)
    assert load_detector("m").input_shape_ == (5,)
    assert len(succeeds("score", "m", "v.npy").stdout.splitlines()) == 61
    said = succeeds("export", "m", "m.onnx").stdout
    assert f"m.onnx: {METHODS[method][0].kind}, 1 member(s)" in said


def test_options_of_some_methods_only(files):
    words = ("--method", "goad", "--transformations", "rotations+flips")
    succeeds("fit", "x.npy", "m", *words, "--n_members", 2)
    assert load_detector("m").represent(IMAGES[:1]).shape == (1, 8)
    said = succeeds("info", "m").stdout
    assert "objective    GOAD, transformations: rotations+flips\n" in said
    assert "members      2\n" in said
    succeeds("fit", "v.npy", "m", "--method", "drocc", "--radius", 0.5)
    said = "objective    DROCC, r = 0.5, γ = 2.0, μ = 1.0, 5 steps\n"
    assert said in succeeds("info", "m").stdout
    succeeds("fit", "v.npy", "m", "--method", "drocc")
    r = load_detector("m").radius_
    said = f"objective    DROCC, r = {r:.6g} (auto), γ = 2.0, μ = 1.0, 5 steps\n"
    assert said in succeeds("info", "m").stdout


def test_the_former_name_of_the_option(files):
    succeeds("fit", "v.npy", "m", "--objective", "soft-boundary")
    assert load_detector("m").objective == "soft-boundary"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "v.npy --method geom --transformations rotations",
            "transformations must be 'linear' for vectors of shape (5,); got "
            "'rotations'",
        ),
        (
            "v.npy --method geom-shifts",
            "transformations must be 'linear' for vectors of shape (5,); got "
            "'rotations+shifts'",
        ),
        (
            "x.npy --method goad --transformations linear",
            "for images of shape (1, 16, 16); got 'linear'",
        ),
        (
            "wide.npy --method geom",
            "X must hold square images for rotations by 90°; got shape (1, 12, 16)",
        ),
        (
            "x.npy --method geom-shifts --transformations rotations",
            "transformations must go with geom, geom-density, geom-both or goad; got "
            "'rotations' with geom-shifts: leave it out",
        ),
        (
            "x.npy --transformations rotations",
            "transformations must go with geom, geom-density, geom-both or goad; got "
            "'rotations' with one-class",
        ),
        (
            "v.npy --method goad --radius 2",
            "radius must go with drocc or drocc-random; got 2.0 with",
        ),
        ("v.npy --method drocc --radius 0", "'auto' or a positive number; got 0.0"),
        ("v.npy --method drocc --radius far", "a positive number; got 'far'"),
        ("v.npy --method geom --eta 2", "eta must go with deep-sad; got 2.0 with geom"),
        (
            "x.npy --method drocc --outliers other.npy",
            "outliers must go with fcdd or hsc; got 'other.npy' with drocc",
        ),
        (
            "x.npy --method goad --labels labels.csv",
            "method must be one-class, deep-sad, fcdd or hsc with labels; got 'goad'",
        ),
        ("x.npy --method deep-sad", "labels must be given with deep-sad: name some"),
        (
            "x.npy --method hsc",
            "outliers must be given with hsc: a folder or file of something else than "
            "what is normal, or confetti; or labels that name some",
        ),
        ("x.npy --method geom --nu 0.7", "nu must be a number in (0, 0.5] with geom;"),
        ("x.npy --method frozen", "backbone must be a network of torchvision's with"),
        ("x.npy --method frozen --backbone lenet", "such as resnet18; got 'lenet'"),
        ("x.npy --backbone resnet18", "backbone must go with frozen; got 'resnet18'"),
        ("x.npy --side 32", "side must go with frozen; got 32 with one-class"),
        (
            "x.npy --method frozen --backbone resnet18 --n_members 2",
            "n_members must be 1 with frozen; got 2",
        ),
        (
            "x.npy --method drocc --recipe paper",
            "recipe must be a Recipe or one of ('fast', 'quick') for DROCC; got",
        ),
        (
            "x.npy --method fcdd --widths 8,4,16",
            "widths must go without fcdd, whose network has its own; got (8, 4, 16)",
        ),
    ],
)
def test_what_a_method_does_not_have_is_one_sentence(words, message, files):
    source, *rest = words.split()
    said = fails("fit", source, "m", *rest)
    assert message in said
    assert said.count("\n") == 1


def test_a_method_that_there_is_not(files):
    assert "'hsc:mnist' is not one of" in fails(
        "fit", "x.npy", "m", "--method", "hsc:mnist", code=2
    )


def test_labels_make_the_plain_method_deep_sad():
    assert type(build("one-class", True, COMMON | {"eta": 2.0})) is DeepSAD
    assert type(build("one-class", False, COMMON)) is DeepSVDD
    assert build("deep-sad", True, COMMON | {"eta": None}).eta == 1
    assert build("deep-sad", True, COMMON).contamination == 0.1


def test_presets_and_options_reach_the_estimators():
    assert build("geom-shifts", False, COMMON).transformations == "rotations+shifts"
    assert type(build("geom", False, COMMON | {"transformations": None})) is GEOM
    assert build("geom", False, COMMON).get_params(deep=False) == GEOM(
        random_state=0
    ).get_params(deep=False)
    assert build("drocc", False, COMMON | {"radius": "auto"}).radius == "auto"
    assert isinstance(build("drocc", False, COMMON), DROCC)
    made = build("fcdd", False, {"network": "auto", "nu": 0.2, "outliers": None})
    assert isinstance(made, FCDD)
    assert (made.outliers, made.contamination) == ("confetti", 0.2)
    assert build("fcdd", False, {"nu": 0.2, "outliers": "folder"}).outliers == "known"
    assert build("hsc", False, {"nu": 0.2, "outliers": "confetti"}).outliers == (
        "confetti"
    )
    assert build("hsc", True, {"nu": 0.2, "outliers": None}).outliers == "known"


def test_the_help_teaches_by_examples():
    command = main.get_command(click.Context(main), "fit")
    said = " ".join(succeeds("fit", "--help").stdout.split())
    assert all(name in said for name in METHODS)
    lines = [line.strip() for line in command.help.splitlines()]
    used = [line for line in lines if line.startswith("deepsvdd fit ")]
    examples = [shlex.split(line)[2:] for line in used]
    assert sum("--method" in words for words in examples) >= 2
    options = {opt for p in command.params for opt in p.opts}
    for words in examples:
        assert {w for w in words if w.startswith("-")} <= options
        if "--method" in words:
            assert words[words.index("--method") + 1] in METHODS
