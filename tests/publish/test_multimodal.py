"""The published cohort opens with scanpy and mudata as it is."""

import anndata
import mudata
import numpy as np
import pytest
import scanpy as sc
from fixtures_expression import halves
from fixtures_small import small_cohort
from test_release import released

from haemosynth.modalities.expression.part import expression_of
from haemosynth.publish.multimodal import convert_to_mudata, write_mudata


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_mudata_holds_every_modality_of_the_same_patients(tmp_path):
    train, _ = halves()
    write_mudata(train, tmp_path / "cohort.h5mu")
    whole = mudata.read_h5mu(tmp_path / "cohort.h5mu")
    assert list(whole.obs_names) == list(train.patients)
    np.testing.assert_array_equal(whole["alterations"].X, train.alterations.to_numpy(dtype=np.float32))
    np.testing.assert_array_equal(whole["rna"].X, expression_of(train).X)
    assert list(whole["rna"].obs_names) == list(expression_of(train).obs_names)
    np.testing.assert_array_equal(whole.obs["age"], train.clinical["age"])
    assert list(whole.obs["sex"].astype(object).fillna("")) == list(train.clinical["sex"].astype(object).fillna(""))


def test_a_cohort_without_expression_has_no_rna():
    assert list(convert_to_mudata(small_cohort(60)).mod) == ["alterations"]


def test_a_release_with_expression_is_the_same_bytes_twice_and_opens_with_scanpy(tmp_path):
    cohort, _ = halves()
    for name in ("a", "b"):
        released(tmp_path / name, cohort, tmp_path)
    assert (tmp_path / "a/manifest.tsv").read_bytes() == (tmp_path / "b/manifest.tsv").read_bytes()
    assert "cohort.h5mu" in (tmp_path / "a/manifest.tsv").read_text()
    opened = sc.read_h5ad(tmp_path / "a/cohort/expression.h5ad")
    assert isinstance(opened, anndata.AnnData)
    sc.pp.normalize_total(opened, target_sum=float(opened.uns["library"]))
    sc.pp.log1p(opened)
    sc.pp.pca(opened, mask_var="highly_variable", n_comps=5)
    assert opened.obsm["X_pca"].shape == (expression_of(cohort).n_obs, 5)


def test_the_data_card_tells_how_many_have_expression():
    from haemosynth.publish.data_card import describe_further

    cohort, _ = halves()
    assert f"of {expression_of(cohort).n_obs} patients" in describe_further(cohort)[0]
    assert describe_further(small_cohort(60)) == []


@pytest.mark.parametrize(
    ("tier", "balanced", "stamp"),
    [("open", False, ""), ("agreement", False, ".agreement"), ("agreement", True, ".balanced.agreement")],
)
def test_every_exported_table_says_to_whom_it_may_go_and_whether_the_cohort_is_balanced(
    tmp_path, tier, balanced, stamp
):
    from fixtures_pictures import pictured

    from haemosynth.modalities.images.export import export_images
    from haemosynth.modalities.images.part import images_of
    from haemosynth.publish.data_card import describe_further

    export_images(images_of(pictured(20)), tmp_path, tier, balanced)
    assert {file.name for file in tmp_path.glob("images*") if file.is_file()} == {
        f"images{stamp}.tsv",
        f"images{stamp}.json",
    }
    assert f"`cohort{stamp}.h5mu`" in describe_further(halves()[0], tier, balanced)[0]
