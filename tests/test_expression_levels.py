"""Levels, and what is learned of expression from training patients alone."""

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures_expression import halves, simulated

from haemosynth.cohort import read_expression, write_expression
from haemosynth.errors import InputError
from haemosynth.expression import learned, levels


def parts():
    _, expression, _ = simulated()
    return expression[:120].copy(), expression[120:].copy()


def test_what_is_learned_does_not_depend_on_the_holdout():
    train, holdout = learned(*parts(), genes=50, variable=20)
    changed = parts()[1]
    changed.X = changed.X * 7
    again, _ = learned(parts()[0], changed, genes=50, variable=20)
    assert list(train.var_names) == list(again.var_names) == list(holdout.var_names)
    assert train.n_vars == 50
    assert train.var["highly_variable"].sum() == 20
    assert holdout.uns["library"] == np.median(train.obs["library_size"])


def test_levels_of_counts_do_not_depend_on_the_library_size():
    train, _ = halves()
    deep = train.expression.copy()
    deep.X, deep.obs["library_size"] = deep.X * 5, deep.obs["library_size"] * 5
    np.testing.assert_allclose(levels(deep), levels(train.expression), atol=1e-4)


def test_programme_genes_are_among_the_variable_ones():
    train, _ = halves()
    assert {"FGFR3", "NSD2", "CCND1", "TOP2A"} <= set(train.expression.var_names[train.expression.var.highly_variable])


def test_too_few_patients_are_told():
    train, holdout = parts()
    with pytest.raises(InputError, match="9 training patients"):
        learned(train[:9].copy(), holdout, genes=None, variable=10)


def test_equal_expression_is_written_as_equal_bytes(tmp_path):
    train, _ = halves()
    for name in ("a", "b"):
        write_expression(train.expression.copy(), tmp_path / f"{name}.h5ad")
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()
    back = read_expression(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.X, train.expression.X)
    assert back.uns["values"] == "counts"


def test_log_values_stay_as_they_are():
    values = anndata.AnnData(np.array([[-1.5, 2.0]]), pd.DataFrame(index=["a"]), uns={"values": "log"})
    np.testing.assert_array_equal(levels(values), [[-1.5, 2.0]])
