"""The private generators: what one patient can change, what is left at either end of the budget, what is refused."""

import math
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
from haemosynth.generate.constraints import check, enforce
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.registry import load_algorithm
from haemosynth.privacy.accountant import KEY, Noise, compose, rho_of
from haemosynth.privacy.private_tree import Domain, denoise, fit_pair, gain
from haemosynth.privacy.release_check import COLUMNS
from haemosynth.publish.data_card import Account, write_card
from haemosynth.study.split import split

CLINICAL, GENOMIC = (load_algorithm(modality, "private_marginals") for modality in ("clinical", "genomic"))


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv(KEY, "only the tests know this one, and they tell")


@cache
def train_patients() -> Cohort:
    cohort = small_cohort(n=500, seed=3)
    train, _ = split(cohort, 0.6, None, list(cohort.schema.genes), stream(1, "split"))
    return train


def fit(module, train: Cohort | None = None, **chosen) -> Fitted:
    settings = generate.settings_of(module, chosen, "test")
    return module.fit(train or train_patients(), settings, stream(1, "fit"), None)


def sampled(n: int, seed: int = 1, **chosen) -> Cohort:
    train = train_patients()
    table = CLINICAL.sample(fit(CLINICAL, **chosen), train.schema, n, stream(seed, "clinical"))
    given = Cohort(replace(train.schema, alterations={}), table)
    drawn = GENOMIC.sample(fit(GENOMIC, **chosen), given, stream(seed, "genomic"))
    return Cohort.of(train.schema, table, drawn.alterations, drawn.sequenced, drawn.mutations)


# -------------------------------------------------------------------- what one patient can change


class Recorded(Noise):
    """Notes every query; answers as in an earlier run where one is given, so that the next queries are the same."""

    def __init__(self, earlier: "Recorded | None", *arguments) -> None:
        super().__init__(*arguments)
        self.queries: list[tuple[np.ndarray, float]] = []
        self.answers: list[np.ndarray | int] = []
        self.picks: list[int] = []
        self.earlier = earlier

    def _answer(self, query, scale, own):
        answer = own if self.earlier is None else self.earlier.answers[len(self.answers)]
        self.queries.append((np.asarray(query, dtype=float), scale))
        self.answers.append(answer)
        return answer

    def added(self, counts, variance):
        return self._answer(counts, float(variance), super().add_noise(counts, variance))

    def choice(self, scores, epsilon):
        return self._answer(scores, -epsilon, super().choice(scores, epsilon))

    def one_of(self, weights):
        # Mutations are picked by chance: the same chance for the patients who are in both runs.
        found = super().one_of(weights) if self.earlier is None else self.earlier.picks[len(self.picks)]
        self.picks.append(found)
        return found


@pytest.mark.parametrize("module", [CLINICAL, GENOMIC])
@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_without_one_patient_all_queries_together_cost_no_more_than_the_budget(module, epsilon, monkeypatch):
    """zCDP of a transcript: squared change of counts / (2 variance), squared epsilon of a choice / 8."""
    train = train_patients()
    rng = np.random.default_rng(0)
    for left in rng.choice(len(train), 4, replace=False):
        order = np.append(np.delete(np.arange(len(train)), left), left)
        runs: list[Recorded] = []

        def recorded(*arguments, runs=runs):
            runs.append(Recorded(runs[0] if runs else None, *arguments))
            return runs[-1]

        monkeypatch.setattr(module, "Noise", recorded)
        fit(module, train.take(order), epsilon=epsilon)
        fit(module, train.take(order[:-1]), epsilon=epsilon)
        first, second = runs
        assert len(first.queries) == len(second.queries) > 40
        cost = 0.0
        for (a, scale), (b, again) in zip(first.queries, second.queries, strict=True):
            assert scale == again
            if scale < 0:
                assert np.abs(a - b).max() <= 1 + 1e-9
                cost += scale**2 / 8
            else:
                cost += float(((a - b) ** 2).sum()) / (2 * scale)
        assert 0 < cost <= rho_of(epsilon, 1e-5) * module.DEFAULTS["share"] * (1 + 1e-9)


def test_gain_changes_by_no_more_than_the_patient():
    rng = np.random.default_rng(1)
    counts, expected = rng.integers(0, 20, (4, 5)), rng.uniform(0, 20, (4, 5))
    for i, j in np.ndindex(4, 5):
        more = counts.copy()
        more[i, j] += 1
        assert abs(gain(more, expected, 3.0) - gain(counts, expected, 3.0)) <= 1 + 1e-9


def test_an_attacker_who_knows_all_but_one_patient_gains_no_more_than_the_bound(monkeypatch):
    """Audit: noisy one-way counts at the levels of one patient, who is in or not, over many secrets.

    The attacker sees more than the model, which is made from these counts.
    """
    train = train_patients()
    names = ["centre", "isotype", "age"]
    schema = replace(train.schema, columns={n: train.schema.columns[n] for n in names}, endpoints=(), alterations={})
    clinical = train.clinical[names].iloc[:60].copy()
    clinical.iloc[-1] = ["F", "Non-secretory", 92]
    with_target = Cohort(schema, clinical)
    cells = CLINICAL.public_encoding(schema, 32, 120.0).encode(clinical).levels[-1]
    epsilon, delta, runs = 1.0, 1e-2, 250

    def sums(cohort: Cohort, word: str) -> np.ndarray:
        seen: list[Recorded] = []

        def recorded(*arguments):
            seen.append(Recorded(None, *arguments))
            return seen[-1]

        monkeypatch.setattr(CLINICAL, "Noise", recorded)
        for i in range(runs):
            monkeypatch.setenv(KEY, f"{word} {i:040d}")
            fit(CLINICAL, cohort, epsilon=epsilon, delta=delta, share=1.0, bins=2)
        return np.array([sum(noise.answers[k][cell] for k, cell in enumerate(cells)) for noise in seen])

    inside, outside = sums(with_target, "in"), sums(with_target.take(np.arange(59)), "out")
    # True positives <= e^epsilon false positives + delta, and likewise of the negatives.
    for threshold in np.quantile(np.concatenate([inside, outside]), np.linspace(0.05, 0.95, 19)):
        tpr, fpr = (inside > threshold).mean(), (outside > threshold).mean()
        for a, b in ((tpr, fpr), (1 - fpr, 1 - tpr)):
            chance = 3 * math.sqrt((a * (1 - a) + math.exp(2 * epsilon) * b * (1 - b)) / runs) + 3 / runs
            assert a <= math.exp(epsilon) * b + delta + chance


# -------------------------------------------------------------------- either end of the budget


def test_without_noise_counts_stay_as_they_are():
    domain = Domain(9, ((0,), tuple(range(1, 9))))
    counts = np.array([7, 0, 3, 90, 41, 12, 0, 0, 5.0])
    np.testing.assert_allclose(denoise(counts, domain, 0.0, counts.sum()), counts, atol=1e-9)
    joint = np.array([[30.0, 5.0], [8.0, 57.0]])
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0)) / joint.sum()
    np.testing.assert_allclose(fit_pair(joint, expected, 0.0), joint, atol=1e-6)
    np.testing.assert_allclose(fit_pair(joint, expected, 1e6), expected, atol=1e-6)


def test_at_infinite_epsilon_columns_are_those_of_training_patients():
    train, made = train_patients(), sampled(20_000, epsilon=math.inf)
    for name, column in train.schema.columns.items():
        if column.derived is None and name not in train.schema.survival:
            a, b = train.clinical[name], made.clinical[name]
            assert abs(a.isna().mean() - b.isna().mean()) < 0.02, name
            if not column.numeric:
                shares = (values.value_counts(normalize=True).reindex(column.categories) for values in (a, b))
                assert next(shares).sub(next(shares)).abs().max() < 0.02, name
            else:
                at = np.quantile(a.dropna(), [0.25, 0.5, 0.75])
                shares = ((values.dropna().to_numpy()[:, None] <= at).mean(axis=0) for values in (a, b))
                assert np.abs(next(shares) - next(shares)).max() < 0.1, name  # cells are wider than a grain
    for name in train.schema.alterations:
        assert abs(train.alterations[name].mean() - made.alterations[name].mean()) < 0.02, name
    a, b = train.clinical["OS_event"].mean(), made.clinical["OS_event"].mean()
    assert abs(a - b) < 0.02
    transplant = [
        c.groupby(c["age"] < 65, observed=True)["transplant"].apply(lambda v: (v == "Yes").mean()).diff().iloc[-1]
        for c in (train.clinical, made.clinical)
    ]
    assert transplant[1] > 0.5 * transplant[0] > 0.1


def test_a_tiny_epsilon_leaves_even_levels(monkeypatch):
    train, distances = train_patients(), {"tiny": [], "none": []}
    for i in range(5):
        monkeypatch.setenv(KEY, f"secret {i:040d}")
        for name, epsilon in (("tiny", 1e-3), ("none", math.inf)):
            model = fit(CLINICAL, epsilon=epsilon)
            for v, variable in enumerate(model.description["encoding"]["variables"]):
                if variable["kind"] == "level":
                    table = model.arrays[f"tree.table.{v:03d}"].mean(axis=0)
                    distances[name].append(np.abs(table - 1 / len(table)).sum() / 2)
    assert len(train) == 300
    assert np.median(distances["tiny"]) < 1e-6
    assert np.mean(distances["tiny"]) < 0.5 * np.mean(distances["none"])


def test_more_budget_brings_columns_nearer():
    train = train_patients()

    def error(epsilon: float) -> float:
        made = sampled(3000, epsilon=epsilon)
        names = [n for n, c in train.schema.columns.items() if not c.numeric and c.derived is None]
        shares = [
            [t[n].astype(object).value_counts(normalize=True) for n in names] for t in (train.clinical, made.clinical)
        ]
        return float(np.mean([a.sub(b, fill_value=0).abs().sum() / 2 for a, b in zip(*shares, strict=True)]))

    errors = [error(epsilon) for epsilon in (0.3, 3.0, 30.0)]
    assert errors[0] > errors[1] > errors[2]


# -------------------------------------------------------------------- what every generator promises


@pytest.mark.parametrize("epsilon", [0.3, 8.0, math.inf])
def test_every_row_keeps_the_hard_limits(epsilon):
    made = sampled(800, epsilon=epsilon)
    train = train_patients()
    plain = {name: column for name, column in train.schema.columns.items() if column.derived is None}
    alone = replace(train.schema, columns=plain, alterations={})
    assert check(Cohort(alone, made.clinical[list(plain)])) == []
    held = enforce(made)
    assert check(held) == []
    assert held.clinical["OS_time"].max() <= CLINICAL.DEFAULTS["horizon"]
    pd.testing.assert_frame_equal(held.alterations, made.alterations)
    carriers = held.alterations[train.schema.genes].eq(1).sum().sum()
    assert len(held.mutations) == carriers > 0
    assert held.mutations["vaf"].dropna().between(0, 1).all()


def test_same_secret_same_bytes_through_files_and_another_secret_other_patients(tmp_path, monkeypatch):
    for module in (CLINICAL, GENOMIC):
        for name in ("a", "b"):
            model = fit(module)
            save_model(
                model.arrays, dict(model.description), tmp_path / f"{name}.safetensors", tmp_path / f"{name}.json"
            )
        for ending in ("safetensors", "json"):
            assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
        arrays, description = load_model(tmp_path / "a.safetensors", tmp_path / "a.json")
        again = Fitted(arrays, description, pd.DataFrame())
        if module is CLINICAL:
            schema = train_patients().schema
            first, second = (module.sample(m, schema, 40, stream(5)) for m in (model, again))
            pd.testing.assert_frame_equal(first, second)
    first = sampled(40)
    monkeypatch.setenv(KEY, "another secret, as long as it has to be at least")
    assert not sampled(40).clinical.equals(first.clinical)


def test_small_and_plain_cohorts():
    train = train_patients()
    assert len(fit(CLINICAL, train.take(np.arange(20))).arrays) > 0
    columns = {name: train.schema.columns[name] for name in ("age", "sex")}
    plain = Cohort(replace(train.schema, columns=columns, endpoints=(), alterations={}), train.clinical[["age", "sex"]])
    table = CLINICAL.sample(fit(CLINICAL, plain), plain.schema, 30, stream(2))
    assert table["age"].dropna().between(25, 92).all()
    one = replace(
        plain, schema=replace(plain.schema, columns={"age": columns["age"]}), clinical=plain.clinical[["age"]]
    )
    assert len(CLINICAL.sample(fit(CLINICAL, one), one.schema, 30, stream(2))) == 30
    with pytest.raises(InputError, match="patients with alterations"):
        fit(GENOMIC, plain)


# -------------------------------------------------------------------- what is refused, and what is said


def test_what_training_patients_chose_is_refused():
    train = train_patients()

    def without(name: str, attribute: str) -> Cohort:
        column = train.schema.columns[name]
        rest = tuple(a for a in column.declared if a != attribute)
        return replace(
            train, schema=train.schema.with_columns({**train.schema.columns, name: replace(column, declared=rest)})
        )

    for name, attribute in (("LDH", "high"), ("age", "grain"), ("isotype", "categories"), ("sex", "kind")):
        with pytest.raises(InputError, match=rf"{name} \({attribute}\)"):
            fit(CLINICAL, without(name, attribute))
    with pytest.raises(InputError, match="winsorised"):
        fit(CLINICAL, replace(train, schema=replace(train.schema, notes=("LDH: winsorised in train to 0 to 9",))))
    recurrent, _ = split(small_cohort(500, 3), 0.6, None, {"recurrent": {"min_carriers": 5}}, stream(1, "split"))
    with pytest.raises(InputError, match="list the genes"):
        fit(GENOMIC, recurrent)
    with pytest.raises(InputError, match="haemoglobin is no column of declared levels"):
        fit(GENOMIC, parents=["haemoglobin"])


@pytest.mark.parametrize("module", [CLINICAL, GENOMIC])
def test_no_secret_no_model(module, monkeypatch):
    monkeypatch.delenv(KEY)
    with pytest.raises(InputError, match=KEY):
        fit(module)


def card(models: dict[str, Fitted]) -> str:
    train = train_patients()
    told = {modality: model.description for modality, model in models.items()}
    recipe = dict.fromkeys(models, "private_marginals")
    gate = pd.DataFrame(columns=COLUMNS)
    composites = pd.DataFrame(columns=["pillar", "modality", "relative", "low", "high"])
    return write_card(train, Account("small", "private", recipe, told, len(train), gate, composites))


def test_the_data_card_states_the_guarantee_of_both_modalities():
    models = {"clinical": fit(CLINICAL, epsilon=3), "genomic": fit(GENOMIC, epsilon=3)}
    found = compose([model.description["privacy"] for model in models.values()])
    assert found["epsilon"] == pytest.approx(3, rel=1e-6)
    text = card(models)
    assert "Epsilon 3 at delta 1e-05 for one training patient added or removed" in text
    assert f"epsilon {found['exchange']:.4g}" in text
    assert "declared panel" in text
    assert "follow-up horizon" in text
    free = {**models, "genomic": fit(GENOMIC, epsilon=math.inf)}
    assert "None: the model of genomic gives no guarantee" in card(free)
    plain = Fitted({}, {"parameters": 1}, pd.DataFrame())
    assert "Differential privacy" not in card({"clinical": plain, "genomic": plain})
    assert "None: the model of genomic" in card({**models, "genomic": plain})
