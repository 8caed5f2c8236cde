"""Imputation: observed entries stand, holes are filled with plausible draws, known truths come back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures_small import small_cohort

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.errors import InputError
from haemosynth.core.files import load_model, save_model
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical import impute
from haemosynth.modalities.clinical.impute import encoding as coding
from haemosynth.modalities.clinical.impute.assess import DRAWS, assess, figure, hide_at_random
from haemosynth.modalities.clinical.impute.complete import complete
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.study.settings import expand_paths, merge, source
from haemosynth.study.split import split


def settings(algorithm, steps=200):
    miwae = {"steps": steps, "members": 2, "imputation_samples": 40}
    ridge = {"iterations": 4}
    fast = {
        "miwae": miwae,
        "chained_ridge": ridge,
        "diffusion": {"model": {"steps": min(steps, 200), "members": 2, "width": 32}},
        "ensemble": {"miwae": miwae, "chained_ridge": ridge | {"scale": "normal_scores"}},
    }
    return {**impute.load(algorithm).DEFAULTS, **fast[algorithm]}


@pytest.fixture(scope="module", params=impute.ALGORITHMS)
def algorithm(request):
    return request.param


@pytest.fixture(scope="module")
def train():
    return small_cohort()


@pytest.fixture(scope="module")
def fitted(algorithm, train):
    return impute.load(algorithm).fit(train, settings(algorithm), np.random.default_rng(1))


@pytest.fixture(scope="module")
def draws(algorithm, train, fitted):
    return impute.load(algorithm).impute(fitted, train, 3, np.random.default_rng(2))


def table_of(columns, **values):
    schema = Schema("made", columns)
    return Cohort(schema, set_types(pd.DataFrame(values), schema))


def test_observed_entries_never_change(train, draws):
    for draw in draws:
        for name in train.clinical:
            seen = train.clinical[name].notna()
            pd.testing.assert_series_equal(draw[name][seen], train.clinical[name][seen], check_categorical=False)


def test_nothing_imputable_stays_missing_and_nothing_else_is_filled(train, draws):
    names = coding.find_imputable(train)
    assert train.clinical[names].isna().any().any()
    for draw in draws:
        assert not draw[names].isna().any().any()
        for name in set(train.clinical) - set(names):
            assert (draw[name].isna() == train.clinical[name].isna()).all()


def test_imputed_values_keep_range_grain_and_levels(train, draws):
    for name in coding.find_imputable(train):
        column, missing = train.schema.columns[name], train.clinical[name].isna()
        for draw in draws:
            values = draw[name][missing]
            if not column.numeric:
                assert set(values.astype(str)) <= set(column.categories)
                continue
            observed = train.clinical[name].dropna()
            assert values.between(observed.min(), observed.max()).all()
            if column.grain:
                steps = values / column.grain
                assert np.allclose(steps, steps.round(), atol=1e-6)


def test_draws_differ_and_the_same_seed_gives_the_same_tables(algorithm, train, draws):
    assert not draws[0].equals(draws[1])
    module = impute.load(algorithm)
    models = [module.fit(train, settings(algorithm, steps=10), np.random.default_rng(1)) for _ in range(2)]
    one, other = (model.arrays for model in models)
    assert sorted(one) == sorted(other)
    for name, array in one.items():
        assert other[name].tobytes() == array.tobytes(), name
    for first, second in zip(*(module.impute(m, train, 3, np.random.default_rng(2)) for m in models), strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_a_saved_model_imputes_the_same(algorithm, train, fitted, draws, tmp_path):
    save_model(fitted.arrays, fitted.description, tmp_path / "m.safetensors", tmp_path / "m.json")
    arrays, description = load_model(tmp_path / "m.safetensors", tmp_path / "m.json")
    again = impute.load(algorithm).impute(
        Fitted(arrays, description, pd.DataFrame()), train, 3, np.random.default_rng(2)
    )
    pd.testing.assert_frame_equal(again[2], draws[2])


def test_completes_patients_it_has_not_seen_even_empty_and_strange_ones(algorithm, fitted):
    others = small_cohort(n=60, seed=2)
    clinical = others.clinical.copy()
    names = coding.find_imputable(others)
    clinical.iloc[0] = np.nan  # a patient of whom nothing is known
    level = next(name for name in names if not others.schema.columns[name].numeric)
    clinical[level] = clinical[level].cat.add_categories("unheard of")
    clinical.iloc[1, clinical.columns.get_loc(level)] = "unheard of"
    strange = replace(others, clinical=set_types(clinical, others.schema))
    (draw,) = impute.load(algorithm).impute(fitted, strange, 1, np.random.default_rng(0))
    assert not draw[names].isna().any().any()
    assert draw[level].iloc[1] == "unheard of"
    assert not (draw[level].iloc[2:] == "unheard of").any()


def test_a_cohort_without_the_genomic_modality_is_completed_too(algorithm, fitted):
    others = small_cohort(n=60, seed=2).record()
    (draw,) = impute.load(algorithm).impute(fitted, others, 1, np.random.default_rng(0))
    assert not draw[coding.find_imputable(others)].isna().any().any()


def biased_cohort(n=500, seed=0):
    """y depends on x, and is missing mostly where x is large: complete cases and mean imputation are biased."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    y = 10 + 2 * x + 0.5 * rng.standard_normal(n)
    hidden = rng.random(n) < 1 / (1 + np.exp(-2 * x))
    columns = {"x": Column("continuous"), "y": Column("continuous"), "z": Column("continuous")}
    return table_of(columns, x=x, y=np.where(hidden, np.nan, y), z=rng.standard_normal(n)), y


def test_bias_of_values_missing_at_random_is_removed(algorithm):
    cohort, truth = biased_cohort()
    module = impute.load(algorithm)
    chosen = settings(algorithm, steps=600)
    fitted = module.fit(cohort, chosen, np.random.default_rng(3))
    draws = module.impute(fitted, cohort, 5, np.random.default_rng(4))
    # Mean imputation has the mean of the complete cases.
    complete_cases = abs(cohort.clinical["y"].mean() - truth.mean())
    imputed = abs(np.mean([draw["y"].mean() for draw in draws]) - truth.mean())
    assert complete_cases > 0.5
    assert imputed < complete_cases / 2


def test_miwae_finds_what_no_linear_regression_can():
    # y is large at both ends of x: correlation 0, dependence strong.
    rng = np.random.default_rng(5)
    n = 500
    x = rng.uniform(-2, 2, n)
    y = x**2 + 0.2 * rng.standard_normal(n)
    columns = {"x": Column("continuous"), "y": Column("continuous"), "w": Column("continuous")}
    cohort = table_of(columns, x=x, y=y, w=x + 0.1 * rng.standard_normal(n))
    hidden = rng.random(n) < 0.2
    clinical = cohort.clinical.assign(y=cohort.clinical["y"].mask(hidden))
    holed = Cohort(cohort.schema, clinical)
    error, spread = {}, {}
    for name in ("miwae", "chained_ridge"):
        module = impute.load(name)
        fitted = module.fit(holed, settings(name, steps=600), np.random.default_rng(6))
        draws = np.array([d["y"].to_numpy()[hidden] for d in module.impute(fitted, holed, 5, np.random.default_rng(7))])
        error[name] = np.sqrt(np.mean((draws.mean(axis=0) - y[hidden]) ** 2))
        # conditional distribution: how far single draws are from the truth where x is near 0 and y must be small
        middle = np.abs(x[hidden]) < 0.7
        spread[name] = draws[:, middle].mean()
    assert error["miwae"] < 0.7 * error["chained_ridge"]
    assert abs(spread["miwae"] - y[hidden][np.abs(x[hidden]) < 0.7].mean()) < 0.5 * abs(
        spread["chained_ridge"] - y[hidden][np.abs(x[hidden]) < 0.7].mean()
    )


def test_levels_of_one_column_follow_a_predictor(algorithm):
    # Three levels cut from x: the imputed level must agree with x far more often than chance.
    rng = np.random.default_rng(8)
    x = rng.standard_normal(400)
    level = np.array(["low", "middle", "high"])[np.digitize(x, [-0.6, 0.6])]
    hidden = rng.random(400) < 0.25
    columns = {"x": Column("continuous"), "level": Column("ordinal", categories=("low", "middle", "high"))}
    cohort = table_of(columns, x=x, level=np.where(hidden, None, level))
    module = impute.load(algorithm)
    fitted = module.fit(cohort, settings(algorithm, steps=600), rng)
    (draw,) = module.impute(fitted, cohort, 1, rng)
    shares = pd.Series(level).value_counts(normalize=True)
    chance = (shares**2).sum()  # two independent draws agree this often
    error = np.sqrt(chance * (1 - chance) / hidden.sum())
    assert (draw["level"].astype(str)[hidden] == level[hidden]).mean() > chance + 3 * error


def test_structural_absence_is_not_filled():
    columns = {
        "age": Column("continuous"),
        "transplant_day": Column("continuous"),
        "transplanted": Column("binary", categories=("No", "Yes"), derived="present(transplant_day)"),
    }
    cohort = table_of(
        columns, age=[50.0, np.nan, 60], transplant_day=[3.0, np.nan, 5], transplanted=["Yes", "No", "Yes"]
    )
    assert coding.find_imputable(cohort) == ["age"]


def test_a_column_never_seen_stays_missing_and_is_named(algorithm):
    columns = {
        "x": Column("continuous"),
        "never": Column("continuous"),
        "level": Column("binary", categories=("a", "b")),
    }
    cohort = table_of(columns, x=[1.0, 2, np.nan, 4, 5, 6], never=[np.nan] * 6, level=["a", "b", "a", None, "b", "a"])
    module = impute.load(algorithm)
    fitted = module.fit(cohort, settings(algorithm, steps=20), np.random.default_rng(0))
    (draw,) = module.impute(fitted, cohort, 1, np.random.default_rng(0))
    member = fitted.description["members"]["miwae"] if algorithm == "ensemble" else fitted.description
    assert member["coding"]["impossible"] == ["never"]
    assert draw["never"].isna().all()
    assert not draw[["x", "level"]].isna().any().any()


def test_mistakes_are_told():
    with pytest.raises(InputError, match="no algorithm 'mean'"):
        impute.load("mean")
    with pytest.raises(InputError, match="unknown setting 'stepz'"):
        assess(small_cohort(), {"m": {"algorithm": "miwae", "stepz": 3}}, np.random.default_rng(0))
    nothing = table_of({"OS": Column("binary", categories=("No", "Yes"), derived="present(x)")}, OS=["No", "Yes"])
    with pytest.raises(InputError, match="no column that can be imputed"):
        coding.fit_encoding(nothing, 10)


def test_hiding_keeps_its_share_and_depends_only_on_what_stays_visible():
    rng = np.random.default_rng(1)
    n = 2000
    values = {name: rng.standard_normal(n) for name in ("age", "wbc", "platelets")}
    values["platelets"][:300] = np.nan
    cohort = table_of({name: Column("continuous") for name in values}, **values)
    everywhere = hide_at_random(cohort, "MCAR", np.random.default_rng(2))
    dependent = hide_at_random(cohort, "MAR", np.random.default_rng(2))
    assert sorted(everywhere) == ["age", "platelets", "wbc"]
    assert sorted(dependent) == ["platelets"]  # the columns that decide stay visible
    for mask in (everywhere, dependent):
        assert not mask["platelets"][:300].any()
        assert mask["platelets"][300:].mean() == pytest.approx(0.2, abs=0.03)
    hidden = dependent["platelets"]
    for name in ("age", "wbc"):
        assert values[name][hidden].mean() > values[name][~hidden].mean() + 0.3
    assert abs(np.corrcoef(values["platelets"][300:], hidden[300:])[0, 1]) < 0.1
    assert abs(np.corrcoef(values["age"], everywhere["platelets"])[0, 1]) < 0.1


def test_assessment_orders_the_methods_and_draws_a_figure():
    cohort, _ = biased_cohort(300)
    complete = Cohort(cohort.schema, cohort.clinical.assign(y=biased_cohort(300)[1]))
    methods = {"ridge": {"algorithm": "chained_ridge", "iterations": 3}}
    table = assess(complete, methods, np.random.default_rng(0))
    assert list(table.columns) == ["mechanism", "method", "metric", "value", "n", "status", "reason"]
    found = table.set_index(["mechanism", "method", "metric"])["value"]
    for mechanism in ("MCAR", "MAR"):
        assert found[mechanism, "ridge", "nrmse"] < found[mechanism, "marginal", "nrmse"]
    assert found["MAR", "ridge", "bias"] < found["MAR", "marginal", "bias"]
    assert found["MCAR", "marginal", "coverage"] == pytest.approx((DRAWS - 1) / (DRAWS + 1), abs=0.07)
    pd.testing.assert_frame_equal(table, assess(complete, methods, np.random.default_rng(0)))
    assert len(figure(table).axes) >= 4


POOR = {  # what the record holds, and which mechanisms can be assessed
    "nothing": ({}, {}, set()),
    "levels": ({"sex": Column("binary", categories=("F", "M"))}, {"sex": ["F", "M"] * 60}, {"MCAR"}),
    "a number": ({"age": Column("continuous")}, {"age": np.arange(120.0)}, {"MCAR"}),
    "a number and levels": (
        {"age": Column("continuous"), "sex": Column("binary", categories=("F", "M"))},
        {"age": np.arange(120.0), "sex": ["F", "M"] * 60},
        {"MCAR", "MAR"},
    ),
    "a few values": ({"age": Column("continuous")}, {"age": [1.0, 2.0, 4.0, *[np.nan] * 117]}, set()),
}


@pytest.mark.parametrize("record", POOR)
def test_a_poor_record_is_completed_and_what_cannot_be_assessed_says_why(record, algorithm):
    columns, values, possible = POOR[record]
    cohort = table_of(columns, **values)
    if not columns:
        cohort = Cohort(cohort.schema, pd.DataFrame(index=pd.Index([f"P{i}" for i in range(120)], name="patient_id")))
    chosen = settings(algorithm, steps=5)
    fit_rng, draw_rng = np.random.default_rng(0).spawn(2)
    model, draws = complete(impute.load(algorithm), cohort, chosen, 3, (fit_rng, draw_rng))
    assert len(draws) == 3
    for draw in draws:
        pd.testing.assert_frame_equal(
            draw.where(cohort.clinical.notna()), cohort.clinical, check_dtype=False, check_categorical=False
        )
    assert ("not_applicable" in model.description) == (record == "nothing")
    changed = {"miwae": chosen["miwae"]} if algorithm == "ensemble" else chosen
    table = assess(cohort, {"one": {"algorithm": algorithm, **changed}}, np.random.default_rng(0))
    assert set(table.loc[table["status"] == "ok", "mechanism"]) == possible
    left = table[table["status"] == "not_applicable"]
    assert sorted(left["mechanism"]) == sorted({"MCAR", "MAR"} - possible)
    assert left["reason"].str.len().gt(10).all()
    assert figure(table).axes


@pytest.mark.slow
@pytest.mark.parametrize("study", ["beataml", "amlsg"])
def test_the_ensemble_beats_chained_ridge_on_error_and_distribution(real_data, study):
    """On real cohorts, values hidden at random and given observed ones: both errors, mean over three splits."""
    root = Path(__file__).parents[3]
    config = merge(
        *(yaml.safe_load((root / file).read_text()) for file in ("config/config.yaml", f"config/studies/{study}.yaml"))
    )
    chosen = source(config, study)
    cohort = ingest(study, expand_paths(chosen, study))
    methods = {name: {"algorithm": name} for name in ("ensemble", "chained_ridge")}
    parts = []
    for seed in (3, 4, 5):
        half, _ = split(cohort, 0.6, None, chosen["panel"], stream(seed, "split"))
        parts.append(assess(half, methods, stream(seed, "assess")))
    means = pd.concat(parts).groupby(["metric", "mechanism", "method"])["value"].mean()
    for metric in ("nrmse", "wasserstein"):
        for mechanism in ("MCAR", "MAR"):
            assert means[metric, mechanism, "ensemble"] < means[metric, mechanism, "chained_ridge"]
