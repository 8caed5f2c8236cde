"""Classes drawn last: a planted function is found and holds; what is no class, missing, asked for or rare stays."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.generate import draws_classes_last, settings_of, visible
from haemosynth.generate.balance import fill_quotas, read_quotas
from haemosynth.generate.constraints import check, enforce
from haemosynth.generate.fitted import Fitted, load, save
from haemosynth.modalities.clinical import classes_last
from haemosynth.modalities.clinical.generators import forest
from haemosynth.modalities.genomic.generators import logistic_chain

EVENTS = ("A", "B", "C", "D")
LEVELS = ("good", "middle", "poor")
NONE = Fitted({}, {"parameters": 0}, pd.DataFrame())


def rule(clinical: pd.DataFrame, alterations: pd.DataFrame) -> np.ndarray:
    """A alone is good; B, or a count above 8 without it, is poor."""
    a, b, high = alterations["A"] == 1, alterations["B"] == 1, clinical["count"] > 8
    return np.select([a & ~b, b | high], ["good", "poor"], "middle")


def patients(n: int, seed: int, derived: bool = False, names=("risk", "coin")) -> Cohort:
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"P{i:05d}" for i in range(n)], name="patient_id")
    alterations = pd.DataFrame((rng.random((n, 4)) < 0.3).astype(float), index=ids, columns=list(EVENTS))
    table = pd.DataFrame({"count": rng.gamma(4, 2, n).round(1), "age": rng.integers(20, 90, n)}, index=ids)
    table["risk"] = pd.Series(rule(table, alterations), index=ids).mask(rng.random(n) < 0.1)
    table["coin"] = rng.choice(["heads", "tails"], n)
    kinds = {"count": Column("continuous", grain=0.1), "age": Column("integer", grain=1.0)}
    kinds |= {"risk": Column("ordinal", categories=LEVELS), "coin": Column("binary", categories=("heads", "tails"))}
    columns = {name: kinds[name] for name in ("count", "age", *names)}
    if derived:
        columns["has_risk"] = Column("binary", categories=("No", "Yes"), derived="present(risk)")
    schema = Schema("planted", columns, alterations=dict.fromkeys(EVENTS, "cytogenetic"))
    numbers = ("alt_count", "ref_count", "vaf", "copy_number")
    mutations = pd.DataFrame({name: pd.Series(dtype=float if name in numbers else object) for name in MUTATION_COLUMNS})
    clinical = set_types(table.assign(has_risk="Yes"), schema)
    return enforce(Cohort.of(schema, clinical, alterations, pd.Series(True, index=ids), mutations))


def agreement(cohort: Cohort) -> float:
    known = cohort.clinical["risk"].notna()
    return float((cohort.clinical["risk"].astype(object) == rule(cohort.clinical, cohort.alterations))[known].mean())


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Fewer and larger steps: what is planted here has no noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes_last, "ROUNDS", 30)
        patch.setattr(classes_last, "RATE", 0.3)
        patch.setattr(classes_last, "LEAVES", (8, 16))
        patch.setattr(classes_last, "TREES", 20)
        yield


@pytest.fixture(scope="module")
def train():
    return patients(500, 1)


@pytest.fixture(scope="module")
def model(train):
    return classes_last.fit(NONE, train, {}, stream(1, "last"))


@pytest.fixture(scope="module")
def shuffled():
    """Patients whose class and coin were drawn without a look at anything else."""
    whole = patients(4000, 2)
    order = np.random.default_rng(3).permutation(len(whole))
    drawn = {name: whole.clinical[name].iloc[order].set_axis(whole.patients) for name in ("risk", "coin")}
    return replace(whole, clinical=whole.clinical.assign(**drawn))


def test_a_function_of_alterations_is_found_and_holds_and_a_coin_is_left_alone(model, shuffled):
    assert [one["name"] for one in model.description["drawn_last"]] == ["risk"]
    after = classes_last.redraw(shuffled, model, (), stream(1, "redraw"))
    assert agreement(shuffled) < 0.6
    assert agreement(after) >= 0.97
    others = [name for name in shuffled.clinical if name != "risk"]
    pd.testing.assert_frame_equal(after.clinical[others], shuffled.clinical[others])
    assert after.alterations is shuffled.alterations
    assert (after.clinical["risk"].isna() == shuffled.clinical["risk"].isna()).all()
    assert after.clinical.dtypes.equals(shuffled.clinical.dtypes)
    pd.testing.assert_frame_equal(
        after.clinical, classes_last.redraw(shuffled, model, (), stream(1, "redraw")).clinical
    )


def test_of_a_whole_recipe_the_class_contradicts_alterations_until_it_is_drawn_last(train):
    record = settings_of(forest, {}, "")
    fitted = classes_last.fit(forest.fit(train, record, stream(1, "record"), None), train, record, stream(1, "last"))
    clinical = forest.sample(fitted, train.schema, 2000, stream(1, "draw"))
    own = Cohort(replace(train.schema, alterations={}), clinical)
    settings = settings_of(logistic_chain, {}, "")
    altered = logistic_chain.fit(visible(train, ["clinical"], "genomic"), settings, stream(1, "genomic"))
    made = logistic_chain.sample(altered, own, stream(1, "alterations"))
    pool = enforce(Cohort.of(train.schema, clinical, made.alterations, made.sequenced, made.mutations))
    after = classes_last.redraw(pool, fitted, (), stream(1, "redraw"))
    assert agreement(pool) < 0.9
    assert agreement(after) >= 0.97
    assert check(after) == []
    assert (after.clinical["risk"].isna() == pool.clinical["risk"].isna()).all()


def test_without_such_a_class_model_and_patients_are_the_same(train, shuffled):
    plain = patients(500, 1, names=("coin",))
    assert classes_last.fit(NONE, plain, {}, stream(1, "last")) is NONE
    other = patients(500, 2, names=("coin",))
    assert classes_last.redraw(other, NONE, (), stream(1, "redraw")) is other
    alone = Cohort(replace(train.schema, alterations={}), train.clinical)
    assert classes_last.find(alone, stream(1, "find")) == []
    assert classes_last.find(shuffled.take(np.arange(600)), stream(1, "find")) == []


def test_a_class_that_the_record_alone_decides_is_left_to_the_record(train):
    clinical = train.clinical.copy()
    old = np.where(clinical["age"] > 60, "poor", np.where(clinical["age"] > 40, "middle", "good"))
    clinical["risk"] = pd.Categorical(old, dtype=clinical["risk"].dtype)
    assert classes_last.find(replace(train, clinical=clinical), stream(1, "find")) == []


def test_of_two_words_for_one_class_each_is_drawn_once_and_they_agree(train):
    def twice(cohort):
        clinical = cohort.clinical.assign(copy=cohort.clinical["risk"])
        columns = {**cohort.schema.columns, "copy": cohort.schema.columns["risk"]}
        return replace(cohort, schema=cohort.schema.with_columns(columns), clinical=clinical)

    both = twice(train)
    fitted = classes_last.fit(NONE, both, {}, stream(1, "last"))
    order = [one["name"] for one in fitted.description["drawn_last"]]
    assert sorted(order) == ["copy", "risk"]
    first, second = fitted.description["drawn_last"]
    assert second["name"] not in first["columns"]
    assert first["name"] in second["columns"]
    drawn = patients(1500, 5)
    shuffle = np.random.default_rng(6).permutation(len(drawn))
    mixed = twice(drawn)
    other = mixed.clinical["copy"].iloc[shuffle].set_axis(mixed.patients)
    mixed = replace(mixed, clinical=mixed.clinical.assign(copy=other))
    after = classes_last.redraw(mixed, fitted, (), stream(1, "redraw")).clinical.dropna(subset=["risk", "copy"])
    assert (after["risk"] == after["copy"]).mean() >= 0.95


def test_quotas_stay_exact_and_what_they_count_is_not_drawn_anew(train, model, shuffled):
    for quota in ({"risk": {"good": 0.5, "poor": 0.5}}, {"A": 0.5}):
        quotas = read_quotas(quota, train)
        pool = fill_quotas(shuffled, quotas, 400, 400)
        kept = classes_last.find_asked(quotas, pool.schema)
        after = classes_last.redraw(pool, model, kept, stream(1, "redraw"))
        assert np.array_equal(quotas.labels(after), quotas.labels(pool))
        assert np.bincount(quotas.labels(after)).tolist() == [200, 200]
        assert ("risk" in kept) == (after.clinical["risk"].astype(object).equals(pool.clinical["risk"].astype(object)))
    # A quota on a derived column holds the columns from which it follows.
    derived = patients(500, 1, derived=True)
    quotas = read_quotas({"has_risk": {"Yes": 0.5, "No": 0.5}}, derived)
    assert classes_last.find_asked(quotas, derived.schema) == {"has_risk", "risk"}


def test_only_levels_that_the_generator_drew_and_only_where_it_may(train, model, shuffled):
    few = shuffled.take(np.flatnonzero((shuffled.clinical["risk"] != "poor").to_numpy()))
    after = classes_last.redraw(few, model, (), stream(1, "redraw"))
    assert set(after.clinical["risk"].dropna()) == {"good", "middle"}
    one = shuffled.take(np.flatnonzero((shuffled.clinical["risk"] == "good").to_numpy()))
    assert (classes_last.redraw(one, model, (), stream(1, "redraw")).clinical["risk"] == "good").all()
    asked = Fitted(model.arrays, {**model.description, "where": {"risk": "good"}}, model.history)
    assert classes_last.redraw(shuffled, asked, (), stream(1, "redraw")) is shuffled


def test_rare_levels_and_alterations_that_are_not_learned_are_not_learned_here(train):
    clinical = train.clinical.copy()
    column = replace(train.schema.columns["risk"], categories=(*LEVELS, "rare"))
    schema = train.schema.with_columns({**train.schema.columns, "risk": column})
    values = clinical["risk"].astype(object)
    values.iloc[:3] = "rare"
    cohort = replace(train, schema=schema, clinical=set_types(clinical.assign(**{"risk": values}), schema))
    told = classes_last.fit(NONE, cohort, {"fewest": 5}, stream(1, "last")).description["drawn_last"][0]["categories"]
    assert told == list(LEVELS)


def test_leaves_hold_enough_patients_and_the_trees_are_those_of_scikit_learn(train, tmp_path):
    seen = classes_last.Seen.of(train, ["count", "age"], altered=True)
    for name in ("risk", "coin"):
        rows, levels, names = classes_last._find_known(train, name)
        matrix = seen.matrix(train, rows)
        leaf, trees = classes_last._boost_blend(matrix, levels, stream(1, "boost"))
        rounds = len(trees["root"]) // (len(names) if len(names) > 2 else 1)
        chance = stream(1, "boost")
        chance.permutation(len(levels))
        same = classes_last._boost(matrix, levels, leaf, rounds, int(chance.integers(2**31 - 1)))
        assert isinstance(same, GradientBoostingClassifier)
        np.testing.assert_allclose(classes_last.probabilities(trees, matrix), same.predict_proba(matrix), atol=1e-9)
        assert leaf >= forest.DEFAULTS["leaf"]
        assert min(tree.tree_.n_node_samples.min() for tree in same.estimators_.ravel()) >= leaf


def test_a_model_survives_its_files(model, shuffled, tmp_path):
    paths = [tmp_path / name for name in ("model.safetensors", "model.json", "history.tsv")]
    save(replace(model, history=pd.DataFrame({"step": [0]})), *paths)
    again = classes_last.redraw(shuffled, load(*paths[:2]), (), stream(1, "redraw"))
    pd.testing.assert_frame_equal(
        again.clinical, classes_last.redraw(shuffled, model, (), stream(1, "redraw")).clinical
    )


def test_a_method_with_a_guarantee_never_draws_classes_last():
    assert draws_classes_last({"algorithm": "vae"})
    assert not draws_classes_last({"algorithm": "vae", "classes_last": False})
    assert not draws_classes_last({"algorithm": "private_vae", "classes_last": True})
