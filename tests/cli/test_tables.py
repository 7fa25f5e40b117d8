"""CSV and Parquet tables: numbers by columns with names."""

from pathlib import Path

import numpy as np
import pytest

from deepsvdd import DeepSVDD
from deepsvdd.cli.tables import read_table
from tests.cli import agrees, fails, invoke, succeeds, table_of

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")
pd = pytest.importorskip("pandas")


@pytest.fixture
def table():
    x = np.random.default_rng(0).normal(size=(60, 3))
    table = pd.DataFrame(x, columns=["width", "height", "weight"])
    table.to_csv("x.csv", index=False)
    return table


@pytest.fixture
def model(table):
    succeeds("fit", "x.csv", "m.safetensors", "--recipe", "quick")
    return DeepSVDD.load("m.safetensors")


def test_a_table_becomes_a_model_that_scores_it(table, model):
    assert list(model.feature_names_in_) == list(table.columns)
    result = succeeds("score", "m.safetensors", "x.csv")
    agrees(result, model.anomaly_score(table), model.threshold_)


def test_columns_are_found_by_their_names(table, model):
    other = table[["weight", "width", "height"]].assign(label="good", extra=1)
    other.to_csv("other.csv", index=False)
    result = succeeds("score", "m.safetensors", "other.csv")
    agrees(result, model.anomaly_score(table), model.threshold_)
    assert "2 columns of 'other.csv', such as 'label', are not the model's" in (
        result.stderr
    )
    table[["width"]].to_csv("other.csv", index=False)
    message = fails("score", "m.safetensors", "other.csv")
    assert "it lacks 'height' and 1 more" in message


def test_missing_values_are_named_and_left_out(table, model):
    table.iloc[4, 1] = np.nan
    table.to_csv("x.csv", index=False)
    result = invoke("score", "m.safetensors", "x.csv")
    assert result.exit_code == 3
    assert table_of(result.stdout)[4] == ["4", "", "unscored"]
    assert "'x.csv' has nan at row 4, column 'height'" in result.stderr
    result = invoke("fit", "x.csv", "new.safetensors", "--recipe", "quick")
    assert result.exit_code == 3
    assert "1 of 60 samples were left out" in result.stderr
    assert DeepSVDD.load("new.safetensors").n_features_in_ == 3


def test_a_column_without_a_name_holds_the_names_of_the_rows(table, model):
    table.index = [f"part {i}" for i in range(60)]
    table.to_csv("named.csv")
    names = list(table.index)
    result = succeeds("score", "m.safetensors", "named.csv")
    agrees(result, model.anomaly_score(table), model.threshold_, names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3,x\n", "got column 'b', which holds"),
        ("a,b\n1,2023-01-01\n", "got column 'b', which holds '2023-01-01'"),
        ("a;b\n1;2\n3;4\n", "got column 'a;b', which holds '1;2'"),
        ("1.5,2\n3,4\n", "must begin with a line of column names; got numbers, 1.5, 2"),
        ("a,b\n", "holds no numbers"),
        ("", "cannot read 'bad.csv': No columns"),
        ("a,b\n1,2\n1,2,3,4\n", "cannot read 'bad.csv': Error tokenizing"),
        (b"a,b\n1,\xff\n", "cannot read 'bad.csv': 'utf-8' codec"),
    ],
)
def test_tables_that_are_none(content, message):
    data = content if isinstance(content, bytes) else content.encode()
    Path("bad.csv").write_bytes(data)
    told = fails("fit", "bad.csv", "m.safetensors")
    assert message in told
    assert len(told) < 176


def test_a_byte_order_mark_is_no_part_of_a_name():
    Path("x.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert list(read_table(Path("x.csv"))) == ["a", "b"]


def test_tables_and_images_are_not_mixed_up(table, grey):
    _, path, _ = grey
    assert "this model takes images (1, 28, 28)" in fails("score", path, "x.csv")
    words = ("x.csv", "m.safetensors")
    assert "grey must go with image files" in fails("fit", *words, "--grey")
    assert "stream must go without .csv" in fails("fit", *words, "--stream")


def test_without_pandas(table, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    message = fails("fit", "x.csv", "m.safetensors")
    assert "pandas reads those: pip install 'deepsvdd[tables]'" in message


def test_without_pyarrow(monkeypatch):
    def read(*_, **__):
        raise ImportError("Unable to find a usable engine; tried using: 'pyarrow'")

    Path("x.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", read)
    message = fails("fit", "x.parquet", "m.safetensors")
    assert "pyarrow reads those: pip install 'deepsvdd[tables]'" in message


def test_parquet(table, model):
    pytest.importorskip("pyarrow")
    table.convert_dtypes().to_parquet("x.parquet")
    result = succeeds("score", "m.safetensors", "x.parquet")
    agrees(result, model.anomaly_score(table), model.threshold_)
    whole = pd.DataFrame({"width": [1, None], "height": [2, 3], "weight": [4, 5]})
    whole.convert_dtypes().to_parquet("x.parquet")
    assert invoke("score", "m.safetensors", "x.parquet").exit_code == 3
    whole.astype({"height": str}).to_parquet("x.parquet")
    assert "got column 'height'" in fails("score", "m.safetensors", "x.parquet")
    Path("x.parquet").write_bytes(b"PAR1 and no more")
    assert "cannot read 'x.parquet'" in fails("score", "m.safetensors", "x.parquet")
