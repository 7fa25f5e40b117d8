"""Tables, CSV or Parquet, whose rows are samples and whose columns have names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepsvdd.cli.left_out import warn
from deepsvdd.errors import OldDependencyError, reason_of

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
INSTALL = "pip install 'deepsvdd[tables]'"


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table of numbers.

    Parameters
    ----------
    path : Path
        ``.csv``, with a line of column names, or ``.parquet``. A first column without a
        name, as pandas writes it, holds the names of the rows.
    columns : list of str, optional
        Those to read, in this order; others are left out, and named in a warning.

    Returns
    -------
    DataFrame of shape (n, d)
        float64; missing values are NaN. Its index names the rows.

    Raises
    ------
    ValueError
        If the table cannot be read, lacks columns, or holds what is no number.
    ImportError
        If pandas, or pyarrow for Parquet, is not installed.
    """
    table = _read(path)
    if columns is not None:
        table = _aligned(path, table, columns)
    if table.empty:
        raise ValueError(f"'{path}' holds no numbers: got a table of {table.shape}")
    wrong = [name for name in table if not _is_numeric(table[name])]
    if wrong:
        values = table[wrong[0]].dropna()
        example = f", which holds {values.iloc[0]!r:.40}" if len(values) else ""
        more = f", and {len(wrong) - 1} more columns" if wrong[1:] else ""
        raise ValueError(
            f"'{path}' must hold numbers only; got column {wrong[0]!r}{example}{more}: "
            "leave such columns out"
        )
    return table.astype(np.float64)


def _read(path: Path) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise OldDependencyError(
            f"'{path}' is a table, and pandas reads those: {INSTALL}"
        ) from None
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    except ImportError:
        raise OldDependencyError(
            f"'{path}' is a Parquet file, and pyarrow reads those: {INSTALL}"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # pandas and pyarrow have a dozen types
        raise ValueError(f"cannot read '{path}': {reason_of(error)}") from None
    table.columns = [str(name) for name in table.columns]
    if path.suffix.lower() == ".csv":
        return _with_names(path, table)
    return table


def _with_names(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Refuse a CSV without a line of names; take row names out of its columns."""
    if len(table.columns) and all(map(_is_number, table.columns)):
        raise ValueError(
            f"'{path}' must begin with a line of column names; got numbers, "
            f"{', '.join(table.columns)[:40]}: add such a line"
        )
    if len(table.columns) > 1 and table.columns[0] == "Unnamed: 0":
        return table.set_index(table.columns[0])
    return table


def _aligned(path: Path, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Choose a model's columns by their names."""
    missing = [name for name in columns if name not in table]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ValueError(
            f"'{path}' must have the columns that the model was trained on; it lacks "
            f"{missing[0]!r}{more}"
        )
    others = [name for name in table if name not in columns]
    if others:
        warn(
            f"{len(others)} columns of '{path}', such as {others[0]!r}, are not the "
            "model's, and are left out"
        )
    return table[columns]


def _is_numeric(column: pd.Series) -> bool:
    return column.dtype.kind in "biuf"  # of pandas' nullable numbers, too


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
