"""Simulated expression carries its truth: programmes, dispersion, and who has any."""

import numpy as np
import pandas as pd
import pytest
from fixtures_expression import simulated
from fixtures_small import RESOURCES, small_cohort

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.modalities.expression.simulate import simulate_expression


def test_only_a_part_of_the_patients_has_expression_and_counts_add_up():
    cohort, expression, _ = simulated()
    assert 0.3 < expression.n_obs / len(cohort) < 0.9
    assert set(expression.obs_names) < set(cohort.patients)
    np.testing.assert_array_equal(expression.X, np.rint(expression.X))
    np.testing.assert_allclose(expression.X.sum(axis=1), expression.obs["library_size"], rtol=1e-6)


def test_planted_fold_changes_are_found_again():
    _, expression, truth = simulated(1500, 250)
    share = np.log2(1e6 * expression.X / expression.obs["library_size"].to_numpy()[:, None] + 1)
    activity = pd.DataFrame(truth["activity"]).loc[expression.obs_names]
    design = np.column_stack([np.ones(len(activity)), activity])
    slope = np.linalg.lstsq(design, share, rcond=None)[0][1:]
    for k, programme in enumerate(activity):
        planted = truth["programmes"][programme]
        if activity[programme].abs().gt(0.3).sum() >= 50:
            found = [slope[k, expression.var_names.get_loc(gene)] for gene in planted]
            assert np.corrcoef(found, list(planted.values()))[0, 1] > 0.9, programme


def test_a_driver_that_the_cohort_lacks_is_told():
    cohort, _, _ = simulated()
    truth = {"subgroups": {"of_patient": dict.fromkeys(cohort.patients, "none"), "frequency": {}}}
    with pytest.raises(InputError, match="driver"):
        simulate_expression(cohort, truth | {"alterations": {"frequency": {}}}, 300, RESOURCES / "myeloma", stream(1))


def test_fewer_genes_than_programmes_are_refused():
    cohort = small_cohort(60)
    with pytest.raises(InputError, match="programmes alone"):
        simulate_expression(cohort, {}, 20, RESOURCES / "myeloma", stream(1))
