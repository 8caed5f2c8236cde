"""What a generator of measurements must do, what the references are, and what the simulated truth plants."""

import numpy as np
import pandas as pd
import pytest
from measured_cohorts import halves, simulated, values
from scipy.special import ndtr
from scipy.stats import spearmanr

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.generate import fitted
from haemosynth.modalities.metabolomics import measured, myeloma
from haemosynth.modalities.metabolomics.generators import absence, factor, margins
from haemosynth.modalities.metabolomics.measured import levels, limits_of, make, values_of
from haemosynth.modalities.metabolomics.part import keep_measurements, measured_of, read, write
from haemosynth.modalities.metabolomics.reference import reference
from haemosynth.modalities.metabolomics.simulate import FIELDS, simulate
from haemosynth.modalities.metabolomics.summary import summarise
from haemosynth.modalities.registry import algorithms

FITTED: dict = {}


def drawn():
    """(train, holdout, measurements for the training patients' records), fitted once."""
    train, holdout = halves()
    if not FITTED:
        FITTED["model"] = factor.fit(train, factor.DEFAULTS, stream(1), None)
        FITTED["made"] = factor.sample(FITTED["model"], train.replace(metabolomics=None), stream(2)).data
    return train, holdout, FITTED["made"]


def correlations(data):
    return pd.DataFrame(levels(data)).corr("spearman", min_periods=30).to_numpy()[np.triu_indices(data.n_vars, 1)]


def test_the_planted_table_is_whole_and_says_where_it_is_from():
    table = pd.DataFrame(myeloma.ANALYTES, columns=list(FIELDS))
    assert table["name"].is_unique
    assert len(table) >= 60
    assert set(table["panel"]) == set(myeloma.PANELS)
    for analyte, _, size, source in myeloma.EFFECTS:
        assert analyte in set(table["name"])
        assert size != 0
        assert "assumption" in source


def test_the_simulated_truth_is_found_in_the_measurements():
    cohort, data, told = simulated()
    level = pd.DataFrame(np.log(values_of(data)), index=data.obs_names, columns=data.var_names)
    carrier = cohort.alterations["t(4;14)"].reindex(data.obs_names) == 1
    assert level.loc[carrier, "FGFR3"].mean() > level.loc[~carrier, "FGFR3"].mean() + 1
    kappa = level.index.isin(told["kappa"])
    assert level.loc[kappa, "Kappa free light chains"].mean() > level.loc[~kappa, "Kappa free light chains"].mean() + 1
    known = cohort.clinical["beta2_microglobulin"].reindex(data.obs_names)
    both = known.notna() & level["Beta-2 microglobulin"].notna()
    assert spearmanr(known[both], level.loc[both, "Beta-2 microglobulin"]).statistic > 0.7
    module = pd.Series(told["modules"]["branched chains"]).reindex(data.obs_names)
    assert level.corrwith(module)[["Leucine", "Valine", "Isoleucine"]].min() > 0.7
    assert abs(level.corrwith(module)["IgE"]) < 0.2


def test_simulating_twice_gives_the_same_and_a_disease_without_a_table_is_told(tmp_path):
    cohort, data, _ = simulated(60)
    _, again, _ = simulated.__wrapped__(60)
    np.testing.assert_array_equal(data.X, again.X)
    with pytest.raises(InputError, match="no measurements are planted for leukaemia"):
        simulate("small", {}, cohort, {}, tmp_path / "leukaemia", stream(1))


def test_values_stand_in_the_steps_of_the_training_patients_and_within_their_limits():
    train, _, made_ = drawn()
    real, synthetic = values_of(measured_of(train)), values_of(made_)
    sides = limits_of(measured_of(train)), limits_of(made_)
    for j, (grain, unit) in enumerate(zip(made_.var["grain"], made_.var["unit"], strict=True)):
        own = synthetic[~np.isnan(synthetic[:, j]), j]
        assert grain > 0
        np.testing.assert_allclose(own / grain, np.rint(own / grain), atol=1e-6)
        assert (own > 0).all()
        assert unit != "%" or (own <= 100).all()
        for side, extreme in ((measured.LOW, np.min), (measured.HIGH, np.max)):
            at = sides[1][:, j] == side
            known = real[sides[0][:, j] == side, j]
            assert set(synthetic[at, j]) <= set(known)
            if at.any():
                assert extreme(own) == extreme(known)


def test_as_many_values_are_missing_and_at_their_limits_and_together():
    train, _, made_ = drawn()
    real = measured_of(train)
    for of in (lambda data: np.isnan(values_of(data)), lambda data: limits_of(data) != 0):
        shares = of(real).mean(axis=0), of(made_).mean(axis=0)
        assert np.abs(shares[0] - shares[1]).max() < 0.12
        assert np.abs(shares[0] - shares[1]).mean() < 0.03
    flow, metabolites = (list(real.var_names).index(name) for name in ("NK cells", "Leucine"))
    for data in (real, made_):
        missing = np.isnan(values_of(data))
        assert np.corrcoef(missing[:, flow], missing[:, flow + 1])[0, 1] > 0.7
        assert abs(np.corrcoef(missing[:, flow], missing[:, metabolites])[0, 1]) < 0.3
    assert abs(real.n_obs - made_.n_obs) < 0.1 * len(train)


def test_an_alteration_keeps_what_it_does_and_analytes_keep_their_correlations():
    train, holdout, made_ = drawn()
    carrier = train.alterations["t(4;14)"]
    effect = []
    for data in (measured_of(train), made_):
        own = carrier.reindex(data.obs_names).to_numpy()
        level = levels(data)[:, list(data.var_names).index("FGFR3")]
        effect.append(np.nanmean(level[own == 1]) - np.nanmean(level[own == 0]))
    assert effect[0] > 1.5
    assert 0.5 < effect[1] / effect[0] < 1.2
    true = correlations(measured_of(holdout))
    alone = reference("independent", train, train, stream(3)).data
    assert np.corrcoef(correlations(made_), true)[0, 1] > 0.5
    assert np.corrcoef(correlations(measured_of(train)), true)[0, 1] > 0.5
    assert abs(np.corrcoef(correlations(alone), true)[0, 1]) < 0.15


def test_distributions_are_those_of_the_training_patients():
    train, _, made_ = drawn()
    real, synthetic = levels(measured_of(train)), levels(made_)
    for share in (0.1, 0.5, 0.9):
        gap = np.nanquantile(real, share, axis=0) - np.nanquantile(synthetic, share, axis=0)
        assert np.abs(gap).mean() < 0.2
    np.testing.assert_allclose(np.nanstd(synthetic, axis=0).mean(), 1, atol=0.1)


def test_the_same_stream_draws_the_same_and_the_saved_model_too(tmp_path):
    train, _, made_ = drawn()
    files = tmp_path / "m.safetensors", tmp_path / "m.json"
    fitted.save(FITTED["model"], *files, tmp_path / "h.tsv")
    again = factor.sample(fitted.load(*files), train.replace(metabolomics=None), stream(2)).data
    np.testing.assert_array_equal(again.X, made_.X)
    for name in ("a.h5ad", "b.h5ad"):
        write(keep_measurements(again if name == "a.h5ad" else made_), tmp_path / name)
    back = read(tmp_path / "a.h5ad").data
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()
    np.testing.assert_array_equal(back.X, made_.X)
    assert list(map(str, back.var["unit"])) == list(map(str, made_.var["unit"]))


def planted_table(values_, limits=None, log=True):
    patients = pd.Index([f"P{i}" for i in range(len(values_))])
    names = pd.Index([f"A{j}" for j in range(values_.shape[1])])
    var = pd.DataFrame({"unit": "", "scale": "log" if log else "linear"}, index=names)
    zero = np.zeros(values_.shape) if limits is None else limits
    return measured.learn(*[make(values_, zero, var, patients) for _ in range(2)])[0]


def test_a_limit_is_no_value_for_the_correlation_behind_it():
    """Two normal scores with correlation 0.8, four in ten of one below its limit: the planted correlation is learned,
    which the correlation of values with the limit put in their place is not."""
    rng = np.random.default_rng(1)
    first = rng.standard_normal((600, 1))
    table = np.hstack([first, 0.8 * first + 0.6 * rng.standard_normal((600, 1))])
    limit = np.quantile(table[:, 0], 0.4)
    sides = np.zeros(table.shape)
    sides[table[:, 0] < limit, 0] = measured.LOW
    shown = table.copy()
    shown[:, 0] = np.maximum(table[:, 0], limit)
    data = planted_table(shown, sides, log=False)
    settings = {**factor.DEFAULTS, "sweeps": 40, "kept": 20, "most_factors": 1}
    _, rests = factor._augment(np.zeros((600, 0)), margins.scores(data), settings, 1, rng)
    learned = np.corrcoef(np.vstack(rests).T)[0, 1]
    assert learned == pytest.approx(0.8, abs=0.06)
    assert np.corrcoef(shown.T)[0, 1] < 0.75


def test_scores_beyond_limits_are_bounded_by_them_and_carried_back_to_them():
    rng = np.random.default_rng(2)
    table = np.exp(rng.standard_normal((500, 1)))
    sides = np.where(table < 0.5, measured.LOW, np.where(table > 3, measured.HIGH, 0))
    data = planted_table(np.clip(table, 0.5, 3), sides)
    score, low, high = margins.scores(data)
    assert np.isnan(score[sides != 0]).all()
    np.testing.assert_allclose(ndtr(high[sides == measured.LOW]), (sides == measured.LOW).mean())
    np.testing.assert_allclose(ndtr(low[sides == measured.HIGH]), 1 - (sides == measured.HIGH).mean())
    quantiles, limits = margins.learn(data, rng)
    known = {"limits": limits, "log": [True], "grain": [0.0], "digits": [0]}
    drawn_values, drawn_sides = margins.carry(rng.standard_normal((20_000, 1)), quantiles, known, rng)
    for side, at in ((measured.LOW, 0.5), (measured.HIGH, 3.0)):
        assert (drawn_sides == side).mean() == pytest.approx((sides == side).mean(), abs=0.01)
        assert set(drawn_values[drawn_sides == side]) == {at}
    inside = drawn_values[drawn_sides == 0]
    assert 0.5 <= inside.min() < inside.max() <= 3
    assert np.median(inside) == pytest.approx(np.median(table[sides == 0]), rel=0.08)


def test_a_limit_of_few_patients_is_not_released():
    values_ = np.array([0.6] * 20 + [0.7] * 8 + [0.613])
    assert margins._find_limits(values_) == [[0.6, 20 / 28], [0.7, 8 / 28]]
    assert margins._find_limits(np.array([0.613])) == [[0.613, 1.0]]


def test_missing_together_is_drawn_together_and_depends_on_the_record_where_it_did():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((600, 2))
    panel = rng.random(600) < ndtr(1.5 * features[:, 0] - 0.5)
    missing = np.column_stack([panel, panel, panel, rng.random(600) < 0.3])
    known = absence.learn(features, missing, 1)
    found = absence.draw(known, features, 4, rng)
    assert (found[:, 0] == found[:, 1]).mean() > 0.98
    assert abs(np.corrcoef(found[:, 0], found[:, 3])[0, 1]) < 0.12
    np.testing.assert_allclose(found.mean(axis=0), missing.mean(axis=0), atol=0.06)
    assert np.corrcoef(found[:, 0], features[:, 0])[0, 1] > 0.4
    patterns = absence.learn(features, np.zeros((600, 3), dtype=bool), 1)
    assert not absence.draw(patterns, features, 3, rng).any()


@pytest.mark.parametrize(
    ("shown", "expected"), [([1.5, 2.0, 0.5], (0.5, 0)), ([0.1234, 12.34, 1.234e-5], (0.0, 4)), ([np.pi], (0.0, 0))]
)
def test_steps_and_digits_are_found_and_kept(shown, expected):
    table = np.array(shown * 40)
    assert measured.find_resolution(table) == expected
    np.testing.assert_allclose(measured.round_as_recorded(table, *expected), table, rtol=1e-12)
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(
        measured.round_as_recorded(measured.spread_evenly(table, *expected, rng), *expected), table, rtol=1e-9
    )


def test_what_the_holdout_shows_changes_nothing_that_is_learned():
    _, data, _ = simulated()
    half = data.n_obs // 2
    one = measured.learn(data[:half].copy(), data[half:].copy())[0]
    other = measured.learn(data[:half].copy(), data[half : half + 20].copy())[0]
    pd.testing.assert_frame_equal(one.var, other.var)
    assert np.abs(np.nanmean(levels(one), axis=0)).max() < 1e-9


def test_an_analyte_that_train_hardly_knows_leaves_and_too_few_patients_are_told():
    table = np.exp(np.random.default_rng(1).standard_normal((40, 3)))
    table[5:, 2] = np.nan
    assert list(planted_table(table).var_names) == ["A0", "A1"]
    with pytest.raises(InputError, match="a model needs 10"):
        planted_table(table[:8])
    train, _ = halves()
    with pytest.raises(InputError, match="0 training patients"):
        factor.fit(train.replace(metabolomics=None), factor.DEFAULTS, stream(1), None)


def test_references_are_what_they_are_called():
    train, _, _ = drawn()
    real, alone, uniform = (
        reference(kind, train, train, stream(4)).data for kind in ("real", "independent", "uniform")
    )
    assert real is measured_of(train)
    for j in range(real.n_vars):
        assert set(values_of(alone)[:, j][~np.isnan(values_of(alone)[:, j])]) <= set(values_of(real)[:, j])
    assert not np.isnan(values_of(uniform)).any()
    assert not limits_of(uniform).any()
    assert np.nanstd(levels(uniform), axis=0).mean() > 1.2
    with pytest.raises(InputError, match="no reference"):
        reference("none", train, train, stream(4))


def test_few_patients_and_no_genomic_modality_are_enough():
    train = halves()[0]
    train = (
        train.take(np.flatnonzero(train.patients.isin(measured_of(train).obs_names))[:14])
        .record()
        .replace(metabolomics=keep_measurements(measured_of(train)[:14].copy()))
    )
    model = factor.fit(train, factor.DEFAULTS, stream(1), None)
    made_ = factor.sample(model, train.replace(metabolomics=None), stream(2)).data
    known = values_of(made_)
    assert made_.n_obs == 14
    assert np.isfinite(known[~np.isnan(known)]).all()


def test_a_summary_places_those_who_have_measurements_and_nobody_else():
    train, holdout, _ = drawn()
    assert algorithms("metabolomics") == ("factor",)
    assert summarise([train.replace(metabolomics=None)], 20, 5) is None
    names, numbers = summarise([train], 20, 5)(holdout)
    assert len(names) == numbers.shape[1] == 5
    own = holdout.patients.isin(measured_of(holdout).obs_names)
    assert (np.isnan(numbers).any(axis=1) == ~own).all()
    assert values(holdout, "IgG").notna().any()
