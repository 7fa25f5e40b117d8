"""``deepsvdd fit --labels``: which samples get which label, and what is refused."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from deepsvdd import DeepSAD, load_detector
from deepsvdd.cli.labels import labels_of, read_labels
from tests.cli import fails, invoke, succeeds
from tests.toys import make_images, make_vectors

pytestmark = pytest.mark.usefixtures("one_thread", "_clean", "brief")


def table(path, *rows, head="sample,label"):
    path.write_text("\n".join([head, *rows, ""]))
    return path


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_labels_as_people_write_them(tmp_path):
    path = table(
        tmp_path / "l.csv",
        *("a.png,3.5,1", "b.png,2,-1", "sub/c.png,,anomaly", '"d,e.png",0,Normal'),
        *("f.png,9,", "g.png,1,0", "h.png,,+1", "b.png,2,-1"),
        head="\ufeffsample,score,label",
    )
    assert read_labels(path) == {
        "a.png": 1,
        "b.png": -1,
        "sub/c.png": -1,
        "d,e.png": 1,
        "f.png": 0,
        "g.png": 0,
        "h.png": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample,label\na,2\n", "must have 1 (normal), -1 (anomaly) or 0 (unlabeled)"),
        ("sample,label\na,bad\n", "as label; got 'bad' in line 2"),
        ("sample,label\na,1\na,-1\n", "one label; got 1 and -1 for 'a'"),
        ("sample,label\na\n", ""),  # no label is none
        ("file,class\na,1\n", "must have the columns sample and label"),
        ("sample,label\n", "and rows; got no rows"),
        ("", "got no rows"),
        (b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_tables_that_are_none(text, message, tmp_path):
    path = tmp_path / "l.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if not message:
        assert read_labels(path) == {"a": 0}
        return
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        read_labels(path)
    assert str(path) in str(raised.value)


def test_labels_of_samples_that_are_not_there(tmp_path, capsys):
    names, path = ["a", "b", "c"], tmp_path / "l.csv"
    np.testing.assert_array_equal(labels_of(names, {"b": -1, "x": 1}, path), [0, -1, 0])
    assert "1 labels of" in capsys.readouterr().err
    with pytest.raises(
        ValueError, match="must name samples of INPUT, such as 'a'; got"
    ):
        labels_of(names, {"x": 1}, path)


@pytest.mark.parametrize("stream", [(), ("--stream", "--n_workers", 0)])
def test_a_folder_with_labels(tmp_path, stream):
    images = make_images(40, (28, 28))
    folder = tmp_path / "parts"
    (folder / "sub").mkdir(parents=True)
    for index, image in enumerate(images):
        name = f"{index:03}.png" if index else "sub/first.png"
        Image.fromarray(image).save(folder / name)
    (folder / "010.png").write_bytes(b"broken")
    labels = table(tmp_path / "l.csv", "sub/first.png,-1", "005.png,1", "010.png,-1")
    words = ("--size", 28, "--grey", "--labels", labels, "--eta", 2, *stream)
    result = invoke("fit", folder, "m", *words)
    assert result.exit_code == 3, result.output
    assert "labels: 1 normal, 1 anomaly, 37 unlabeled" in result.output
    assert "1 labels of" in result.stderr
    detector = load_detector("m")
    assert type(detector) is DeepSAD
    assert detector.eta == 2
    kept = np.delete(images, 10, axis=0)
    order = np.r_[1:39, 0]  # as the files' names have them
    y = np.zeros(39)
    y[[4, 38]] = 1, -1
    ours = DeepSAD(eta=2, random_state=0).fit(kept[order], y)
    scores = detector.anomaly_score(images)
    np.testing.assert_allclose(scores, ours.anomaly_score(images), rtol=1e-4)
    said = succeeds("info", "m").stdout
    assert "estimator    DeepSAD" in said
    assert "objective    Deep SAD, η = 2.0, ε = 1e-06" in said
    assert "1 anomaly, 1 normal, 37 unlabeled" in said
    assert "trained on   39 samples" in said


def test_the_output_of_score_with_labels_put_right_is_a_table_of_labels(tmp_path):
    np.save("x.npy", make_vectors())
    succeeds("fit", "x.npy", "m")
    succeeds("score", "m", "x.npy", "-o", "scores.csv")
    rows = rows_of("scores.csv")
    n_anomalies = sum(row["label"] == "anomaly" for row in rows)
    said = succeeds("fit", "x.npy", "n", "--labels", "scores.csv", "--nu", 0.2).stdout
    assert f"labels: {60 - n_anomalies} normal, {n_anomalies} anomaly, 0" in said
    assert load_detector("n").contamination == 0.2


def test_what_does_not_go_with_labels(tmp_path):
    np.save("x.npy", make_vectors())
    labels = table(tmp_path / "l.csv", "0,-1")
    words = ("fit", "x.npy", "m", "--labels", labels)
    message = fails(*words, "--objective", "soft-boundary")
    assert (
        "one-class, deep-sad, fcdd or hsc with labels; got 'soft-boundary'" in message
    )
    message = "eta must be a positive number or 'balanced'; got {}"
    assert message.format(0.0) in fails(*words, "--eta", 0)
    assert message.format("'all'") in fails(*words, "--eta", "all")
    assert "nu must be a number in (0, 0.5] with deep-sad; got 0.9" in fails(
        *words, "--nu", 0.9
    )
    assert "eta must go with deep-sad; got 2.0 with one-class: leave it out" in fails(
        "fit", "x.npy", "m", "--eta", 2
    )
    everything = table(tmp_path / "all.csv", *(f"{i},-1" for i in range(60)))
    assert "must leave at least 2 samples that are no known anomalies" in fails(
        "fit", "x.npy", "m", "--labels", everything
    )
    assert "must name samples of INPUT" in fails(
        "fit", "x.npy", "m", "--labels", table(tmp_path / "o.csv", "a.png,-1")
    )
    fails("fit", "x.npy", labels, "--labels", labels)  # would be written over
    assert read_labels(labels) == {"0": -1}


# -------------------------------------------------------------------------- calibration


def test_calibration_and_p_values(tmp_path):
    for name, seed in (("x", 0), ("held_out", 1), ("new", 2)):
        np.save(f"{name}.npy", make_vectors(70, seed=seed))
    said = succeeds("fit", "x.npy", "m", "--calibrate", "held_out.npy").stdout
    assert "calibrated on 70 samples of 'held_out.npy'" in said
    assert (
        "calibration  70 samples, smallest p-value 0.0141"
        in succeeds("info", "m").stdout
    )
    rows = list(
        csv.reader(succeeds("score", "m", "new.npy", "--p_values").stdout.split())
    )
    assert rows[0] == ["sample", "score", "p_value", "label"]
    detector = load_detector("m")
    new = np.load("new.npy")
    expected = detector.p_values(new)
    np.testing.assert_allclose([float(row[2]) for row in rows[1:]], expected, rtol=1e-5)
    said = succeeds("score", "m", "new.npy", "-o", "s.csv", "--false_alarms", 0.05)
    limit = detector.threshold_for(0.05)
    assert f"above the threshold {limit:.6g}" in said.stdout
    labels = [row["label"] == "anomaly" for row in rows_of("s.csv")]
    np.testing.assert_array_equal(labels, detector.anomaly_score(new) > limit)


def test_promises_of_a_model_that_cannot_make_them(tmp_path):
    np.save("x.npy", make_vectors())
    np.save("few.npy", make_vectors(9, seed=1))
    succeeds("fit", "x.npy", "m")
    for words in (("--p_values",), ("--false_alarms", 0.1)):
        assert "is not calibrated: call calibrate" in fails(
            "score", "m", "x.npy", *words
        )
    assert "calibration  none" in succeeds("info", "m").stdout
    assert "must be held out; got 60 of 60" in fails(
        "fit", "x.npy", "n", "--calibrate", "x.npy"
    )
    succeeds("fit", "x.npy", "m", "--calibrate", "few.npy")
    assert "takes at least 299 calibration samples; got 9" in fails(
        "score", "m", "x.npy", "--false_alarms", 0.01
    )
    assert "threshold must go without false_alarms" in fails(
        "score", "m", "x.npy", "--false_alarms", 0.5, "--threshold", 1
    )


def test_calibration_of_a_folder_leaves_out_what_cannot_be_read(tmp_path):
    images = make_images(40, (28, 28))
    for name, part in (("good", images[:30]), ("held_out", images[30:])):
        (tmp_path / name).mkdir()
        for index, image in enumerate(part):
            Image.fromarray(image).save(tmp_path / name / f"{index:03}.png")
    (tmp_path / "held_out/003.png").write_bytes(b"broken")
    words = ("--size", 28, "--grey", "--calibrate", "held_out")
    result = invoke("fit", "good", "m", *words)
    assert result.exit_code == 3, result.output
    assert "calibrated on 9 samples" in result.output
    assert "1 of 40 files were left out" in result.stderr
    expected = np.sort(
        load_detector("m").anomaly_score(np.delete(images[30:], 3, axis=0))
    )
    np.testing.assert_allclose(
        load_detector("m").calibration.scores, expected, rtol=1e-5
    )


def test_calibration_of_a_table_by_the_names_of_its_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    for name, seed, columns in (("x", 0, "abcde"), ("held_out", 1, "edcba")):
        frame = pandas.DataFrame(make_vectors(seed=seed), columns=list("abcde"))
        frame[list(columns)].to_csv(f"{name}.csv", index=False)
    succeeds("fit", "x.csv", "m", "--calibrate", "held_out.csv")
    detector = load_detector("m")
    frame = pandas.DataFrame(make_vectors(seed=1), columns=list("abcde"))
    scores = np.sort(detector.anomaly_score(frame))
    np.testing.assert_allclose(detector.calibration.scores, scores)
