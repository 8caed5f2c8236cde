"""What every clinical generator promises."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import load_model, save_model
from haemosynth.core.streams import stream
from haemosynth.generate.constraints import check
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.reference import reference
from haemosynth.modalities.registry import load_algorithm

QUICK = {
    "vae": {
        "steps": 250, "decoders": 3, "width": 48, "refresh": {"trees": 8},
        "refinement": {"trees": 40, "depth": 3, "rate": 0.1, "leaf": 15},
    },
    "forest": {"trees": 10},
    "gan": {"steps": 300, "width": 32, "critic_width": 32},
    "diffusion": {"steps": 250, "members": 2, "width": 48},
}  # fmt: skip
# Where it does not matter how well patients were learned.
BRIEF = {"vae": {"steps": 20}, "forest": {}, "gan": {"steps": 20}, "diffusion": {"steps": 20}}
EACH = pytest.mark.parametrize("algorithm", ["vae", "forest", "gan", "diffusion"])


@cache
def sides() -> tuple[Cohort, Cohort]:
    cohort = small_cohort(n=600, seed=2)
    return cohort.take(np.arange(0, 600, 2)), cohort.take(np.arange(1, 600, 2))


def fit(algorithm: str, train: Cohort, checkpoint=None, **chosen) -> Fitted:
    module = load_algorithm("clinical", algorithm)
    settings = generate.settings_of(module, QUICK[algorithm] | chosen, "test")
    return module.fit(train, settings, stream(1, "fit"), checkpoint)


@cache
def fitted(algorithm: str) -> Fitted:
    return fit(algorithm, sides()[0])


def sample(algorithm: str, model: Fitted, n: int, seed: int = 1) -> pd.DataFrame:
    return load_algorithm("clinical", algorithm).sample(model, sides()[0].schema, n, stream(seed, "sample"))


def numbers(table: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    plain = {}
    for name, column in cohort.schema.columns.items():
        if column.derived is None:
            values = table[name]
            plain[name] = values if column.numeric else values.cat.codes.astype(float).mask(values.isna())
    return pd.DataFrame(plain)


@EACH
@pytest.mark.parametrize("n", [1, 2, 9, 700])
def test_any_number_of_patients_and_every_row_keeps_the_constraints(algorithm, n):
    train, _ = sides()
    table = sample(algorithm, fitted(algorithm), n)
    assert list(table.columns) == list(train.schema.columns)
    assert list(table.index) == [f"S{i:06d}" for i in range(1, n + 1)]
    plain = {name: column for name, column in train.schema.columns.items() if column.derived is None}
    schema = replace(train.schema, columns=plain, alterations={})
    assert check(Cohort(schema, table[list(plain)])) == []
    derived = [name for name in table if name not in plain]
    assert table[derived].isna().all().all()


@EACH
def test_same_stream_same_patients_and_through_files(algorithm, tmp_path):
    first, model = (fit(algorithm, sides()[0], **BRIEF[algorithm]) for _ in range(2))
    drawn = sample(algorithm, first, 50)
    save_model(model.arrays, dict(model.description), tmp_path / "m.safetensors", tmp_path / "m.json")
    arrays, description = load_model(tmp_path / "m.safetensors", tmp_path / "m.json")
    again = sample(algorithm, Fitted(arrays, description, pd.DataFrame()), 50)
    pd.testing.assert_frame_equal(drawn, again)
    assert not sample(algorithm, first, 50, seed=2).equals(drawn)
    assert description["parameters"] > 0


@EACH
def test_only_such_patients(algorithm):
    train, _ = sides()
    asked = {"where": {"sex": "Female", "age": 60, "OS_event": 1}, "condition": ["isotype"]}
    model = fit(algorithm, train, **BRIEF[algorithm], **asked)
    table = sample(algorithm, model, 40)
    assert (table["sex"] == "Female").all()
    assert (table["age"] == 60).all()
    assert (table["OS_event"] == 1).all()
    assert len(table) == 40


@EACH
def test_completed_has_no_missing_values(algorithm):
    train, _ = sides()
    plain = [name for name, column in train.schema.columns.items() if column.derived is None]
    assert train.clinical[plain].isna().any().any()
    model = fit(algorithm, train, missing="completed", **BRIEF[algorithm])
    assert not sample(algorithm, model, 200)[plain].isna().any().any()
    learned = sample(algorithm, fitted(algorithm), 2000)[plain].isna().mean()
    np.testing.assert_allclose(learned, train.clinical[plain].isna().mean(), atol=0.06)


@EACH
@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"where": {"sexx": "Female"}}, "sexx"),
        ({"where": {"sex": "Unknown"}}, "Female, Male"),
        ({"where": {"age": 200}}, "outside the range"),
        ({"where": {"age": "old"}}, "not a number"),
        ({"where": {"ISS": "I"}}, "derived"),
        ({"where": {"OS_time": 12}}, "time"),
        ({"condition": ["height"]}, "height"),
        ({"condition": ["OS_event"]}, "outcomes"),
        ({"missing": "none"}, "learned or completed"),
    ],
)
def test_mistakes_are_told(algorithm, chosen, words):
    with pytest.raises(InputError, match=words):
        fit(algorithm, sides()[0], **chosen)


@EACH
def test_no_more_copies_than_fresh_patients(algorithm):
    train, holdout = sides()
    known = set(map(tuple, numbers(train.clinical, train).fillna(-1).to_numpy()))

    def copies(table: pd.DataFrame) -> float:
        return float(np.mean([tuple(row) in known for row in numbers(table, train).fillna(-1).to_numpy()]))

    assert copies(train.clinical) == 1
    assert copies(sample(algorithm, fitted(algorithm), 1000)) <= copies(holdout.clinical)


@EACH
def test_conditioning_follows_the_patients(algorithm):
    """Asked-for levels shift what depends on them: myeloma patients who are old are seldom transplanted."""
    train, _ = sides()
    old = sample(algorithm, fit(algorithm, train, where={"age": 80}), 300)
    young = sample(algorithm, fit(algorithm, train, where={"age": 50}), 300)
    assert (young["transplant"] == "Yes").mean() > (old["transplant"] == "Yes").mean() + 0.1


def detection(table: pd.DataFrame, holdout: Cohort) -> float:
    """Area under the curve of a classifier between synthetic and holdout patients."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    x = pd.concat([numbers(holdout.clinical, holdout), numbers(table, holdout)]).to_numpy()
    y = np.repeat([0, 1], [len(holdout), len(table)])
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0)
    return float(roc_auc_score(y, cross_val_predict(model, x, y, cv=5, method="predict_proba")[:, 1]))


def association_error(table: pd.DataFrame, train: Cohort) -> float:
    a, b = (numbers(t, train).corr("spearman").to_numpy() for t in (train.clinical, table))
    return float(np.nanmean(np.abs(a - b)))


@EACH
def test_better_than_independent_columns(algorithm):
    train, holdout = sides()
    table = sample(algorithm, fitted(algorithm), len(holdout))
    alone = reference("independent", train, len(holdout), stream(1, "independent")).clinical
    assert association_error(table, train) < association_error(alone, train)
    assert detection(table, holdout) < detection(alone, holdout) - 0.1


@EACH
def test_fits_tiny_and_plain_cohorts(algorithm):
    train, _ = sides()
    few = train.take(np.arange(20))
    model = load_algorithm("clinical", algorithm)
    settings = generate.settings_of(model, QUICK[algorithm] | BRIEF[algorithm], "test")
    table = model.sample(model.fit(few, settings, stream(1), None), few.schema, 30, stream(2))
    assert len(table) == 30
    columns = {name: train.schema.columns[name] for name in ("age", "sex")}
    plain = Cohort(replace(train.schema, columns=columns, endpoints=(), alterations={}), train.clinical[["age", "sex"]])
    table = model.sample(model.fit(plain, settings, stream(1), None), plain.schema, 30, stream(2))
    assert table["age"].between(train.clinical["age"].min(), train.clinical["age"].max()).all()


def test_groups_of_settings_are_merged_and_checked():
    module = load_algorithm("clinical", "vae")
    settings = generate.settings_of(module, {"refinement": {"trees": 7}, "refresh": None}, "config: methods.x")
    assert settings["refinement"] == {**module.DEFAULTS["refinement"], "trees": 7}
    assert settings["refresh"] is None
    with pytest.raises(InputError, match=r"config: methods\.x\.refinement: unknown setting 'tree'; expected depth, "):
        generate.settings_of(module, {"refinement": {"tree": 7}}, "config: methods.x")
