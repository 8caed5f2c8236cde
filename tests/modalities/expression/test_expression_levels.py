"""Levels, and what is learned of expression from training patients alone."""

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures_expression import halves, simulated

from haemosynth.core.errors import InputError
from haemosynth.modalities.expression.part import expression_of
from haemosynth.modalities.expression.part import read as read_expression
from haemosynth.modalities.expression.part import write as write_expression
from haemosynth.modalities.expression.profiles import _spread, learn, levels


def parts():
    _, expression, _ = simulated()
    return expression[:120].copy(), expression[120:].copy()


def test_what_is_learned_does_not_depend_on_the_holdout():
    train, holdout = learn(*parts(), genes=50, variable=20)
    changed = parts()[1]
    changed.X = changed.X * 7
    again, _ = learn(parts()[0], changed, genes=50, variable=20)
    assert list(train.var_names) == list(again.var_names) == list(holdout.var_names)
    assert train.n_vars == 50
    assert train.var["highly_variable"].sum() == 20
    assert holdout.uns["library"] == np.median(train.obs["library_size"])


def test_levels_of_counts_do_not_depend_on_the_library_size():
    train, _ = halves()
    deep = expression_of(train).copy()
    deep.X, deep.obs["library_size"] = deep.X * 5, deep.obs["library_size"] * 5
    np.testing.assert_allclose(levels(deep), levels(expression_of(train)), atol=1e-4)


def test_programme_genes_are_among_the_variable_ones():
    train, _ = halves()
    assert {"FGFR3", "NSD2", "CCND1", "TOP2A"} <= set(
        expression_of(train).var_names[expression_of(train).var.highly_variable]
    )


def test_variable_genes_are_much_those_of_scanpy_and_no_single_patient_makes_them():
    """Of ten genes of one patient raised 64 times, scanpy takes all."""
    import scanpy as sc
    from scipy.stats import spearmanr

    def rank_by_scanpy(level):
        table = anndata.AnnData(level * np.float32(np.log(2)))  # expects natural logarithms
        return sc.pp.highly_variable_genes(table, flavor="seurat", inplace=False)["dispersions_norm"].to_numpy()

    train, _ = halves()
    level = levels(expression_of(train))
    ours, theirs = _spread(level, counts=True), rank_by_scanpy(level)
    assert spearmanr(ours, theirs).statistic > 0.75
    quiet = np.argsort(ours)[:100:10]
    odd = level.copy()
    odd[3, quiet] += 6
    found = [np.isin(quiet, np.argsort(-rank)[:60]).sum() for rank in (_spread(odd, True), rank_by_scanpy(odd))]
    assert found[0] <= 5
    assert found[1] == 10


def test_too_few_patients_are_told():
    train, holdout = parts()
    with pytest.raises(InputError, match="9 training patients"):
        learn(train[:9].copy(), holdout, genes=None, variable=10)


def test_equal_expression_is_written_as_equal_bytes(tmp_path):
    train, _ = halves()
    for name in ("a", "b"):
        write_expression(expression_of(train).copy(), tmp_path / f"{name}.h5ad")
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()
    back = read_expression(tmp_path / "a.h5ad").data
    np.testing.assert_array_equal(back.X, expression_of(train).X)
    assert back.uns["values"] == "counts"


def test_log_values_stay_as_they_are():
    values = anndata.AnnData(np.array([[-1.5, 2.0]]), pd.DataFrame(index=["a"]), uns={"values": "log"})
    np.testing.assert_array_equal(levels(values), [[-1.5, 2.0]])
