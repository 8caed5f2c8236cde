"""The mutation model: what Pyro declares is what the sampler samples, and what is known is recovered."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from haemosynth.modalities.encode.predictors import describe_record, design_matrix
from scipy import stats
from scipy.special import betaln, expit, gammaln
from sklearn.metrics import adjusted_rand_score

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.genomic.generators import dirichlet_process, logistic_chain
from haemosynth.modalities.genomic.generators.gibbs import collapsed_gibbs
from haemosynth.modalities.genomic.generators.logistic_chain import fit_ridge_logistic

QUICK = {"sweeps": 120, "burn_in": 60, "draws": 10, "folds": 3}


def settings(module, **chosen):
    quick = QUICK if module is dirichlet_process else {}
    return {**module.DEFAULTS, **quick, **chosen}


def cohort_of(events: np.ndarray, group: np.ndarray | None = None) -> Cohort:
    """Patients with these alterations, all cytogenetic, and a clinical column where given."""
    ids = pd.Index([f"P{i:05d}" for i in range(len(events))], name="patient_id")
    columns = {} if group is None else {"marker": Column("continuous")}
    schema = Schema("planted", columns, (), {f"E{j}": "cytogenetic" for j in range(events.shape[1])})
    clinical = pd.DataFrame({} if group is None else {"marker": group.astype(float)}, index=ids)
    return Cohort.of(
        schema,
        set_types(clinical, schema),
        pd.DataFrame(events.astype(float), index=ids, columns=list(schema.alterations)),
        pd.Series(True, index=ids),
        pd.DataFrame({name: [] for name in MUTATION_COLUMNS}),
    )


def four_classes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patients of four classes, each with five events of its own."""
    label = rng.integers(4, size=n)
    frequency = np.full((4, 20), 0.05)
    for k in range(4):
        frequency[k, 5 * k : 5 * k + 5] = 0.8
    return (rng.random((n, 20)) < frequency[label]).astype(float), label


# Pyro and the sampler


def pyro_log_joint(events, known, base, z, stick, frequency, strength, alpha):
    """log p(stick, frequency, z, events | alpha, strength) as Pyro declares it."""
    import pyro
    import torch

    torch.set_default_dtype(torch.float64)
    values = {"alpha": alpha, "stick": stick, "strength": [0] * len(base), "frequency": frequency, "class": z}
    data = {name: torch.as_tensor(np.asarray(value)) for name, value in values.items()}
    conditioned = pyro.condition(dirichlet_process.model, data=data)
    trace = pyro.poutine.trace(conditioned).get_trace(
        torch.as_tensor(events), torch.as_tensor(known), torch.zeros(len(events), 0), torch.as_tensor(base),
        classes=len(frequency), gate_ridge=1.0, strengths=torch.tensor([strength]),
    )  # fmt: skip
    total = float(trace.log_prob_sum()) - float(trace.log_prob_sum(lambda name, site: name in ("alpha", "strength")))
    torch.set_default_dtype(torch.float32)
    return total


def pyro_collapsed(events, known, base, z, classes, strength, alpha, rng):
    """log p(z, events): the declared joint density over the conjugate posterior of sticks and frequencies.

    Chib, J Am Stat Assoc 1995;90:1313: the ratio is the same at every point.
    """
    size = np.bincount(z, minlength=classes)
    a, b = 1.0 + size[:-1], alpha + size[::-1].cumsum()[::-1][1:]
    one_hot = np.eye(classes)[z]
    p = strength * base + one_hot.T @ (events * known)
    q = strength * (1 - base) + one_hot.T @ ((1 - events) * known)
    stick, frequency = rng.beta(a, b), np.clip(rng.beta(p, q), 1e-9, 1 - 1e-9)
    posterior = stats.beta.logpdf(stick, a, b).sum() + stats.beta.logpdf(frequency, p, q).sum()
    return pyro_log_joint(events, known, base, z, stick, frequency, strength, alpha) - posterior


EVENTS = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
KNOWN = np.array([[True, True, True], [True, False, True], [True, True, True]])
BASE = np.array([0.4, 0.3, 0.5])


def test_the_declared_density_integrates_to_the_collapsed_one():
    """Beta-Bernoulli evidence times stick-breaking weights, with the masked entry integrated out."""
    rng, z, alpha, strength, classes = np.random.default_rng(0), np.array([0, 2, 0]), 0.7, 2.0, 4
    values = [pyro_collapsed(EVENTS, KNOWN, BASE, z, classes, strength, alpha, rng) for _ in range(3)]
    size = np.bincount(z, minlength=classes)
    expected = (betaln(1 + size[:-1], alpha + size[::-1].cumsum()[::-1][1:]) - betaln(1, alpha)).sum()
    for k in range(classes):
        for g in range(3):
            rows = (z == k) & KNOWN[:, g]
            a, b, ones = strength * BASE[g], strength * (1 - BASE[g]), EVENTS[rows, g].sum()
            expected += betaln(a + ones, b + rows.sum() - ones) - betaln(a, b)
    np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_the_sampler_visits_partitions_as_pyro_declares():
    """Posterior of the five partitions of three patients, summed over the labels of a long enough stick."""
    rng, alpha, strength, classes = np.random.default_rng(1), 0.4, 1.0, 6
    weight: dict[tuple[int, ...], float] = {}
    for z in product(range(classes), repeat=3):
        value = np.exp(pyro_collapsed(EVENTS, KNOWN, BASE, np.array(z), classes, strength, alpha, rng))
        key = tuple(pd.factorize(np.array(z))[0])
        weight[key] = weight.get(key, 0.0) + value
    draws = collapsed_gibbs(
        np.where(KNOWN, EVENTS, -1), BASE, strengths=np.array([strength]), sweeps=20_100, burn_in=100, draws=20_000,
        max_classes=8, seed=3, alpha=alpha,
    )  # fmt: skip
    visited = pd.Series([tuple(pd.factorize(z)[0]) for z in draws.assignment]).value_counts(normalize=True)
    total = sum(weight.values())
    assert len(weight) == 5
    for key, value in weight.items():
        assert visited[key] == pytest.approx(value / total, abs=0.012)


def test_the_model_runs_in_pyro_with_gates():
    """A sample from the prior has one class per patient, and gates of the record's size."""
    import pyro
    import torch

    pyro.set_rng_seed(0)
    trace = pyro.poutine.trace(dirichlet_process.model).get_trace(
        torch.zeros(7, 3), torch.ones(7, 3, dtype=torch.bool), torch.randn(7, 2), torch.full((3,), 0.2),
        classes=5, gate_ridge=4.0, strengths=torch.tensor([0.5, 2.0]),
    )  # fmt: skip
    assert trace.nodes["class"]["value"].shape == (7,)
    assert trace.nodes["gate"]["value"].shape == (5, 2)
    assert np.isfinite(float(trace.log_prob_sum()))


# what is known is recovered


def most_likely_classes(fitted, cohort):
    """(patients,) most likely class of each patient in the last posterior draw, given record and alterations."""
    mixture = dirichlet_process.Mixture.from_arrays(fitted.arrays, "mixture")
    design = dirichlet_process.design_matrix(fitted.description["record"], cohort.clinical)
    probability = mixture.posterior(design, dirichlet_process.read_training_events(cohort))
    return np.where(mixture.draw == mixture.draw[-1], probability, -1.0).argmax(axis=1)


def test_planted_classes_are_recovered():
    events, label = four_classes(300, np.random.default_rng(0))
    cohort = cohort_of(events)
    fitted = dirichlet_process.fit(cohort, settings(dirichlet_process), np.random.default_rng(1), None)
    assert adjusted_rand_score(label, most_likely_classes(fitted, cohort)) > 0.8


def test_unknown_entries_are_marginalised_and_not_absent():
    """With two in five entries removed at random the classes stay, and frequencies are those of the known."""
    rng = np.random.default_rng(2)
    events, label = four_classes(400, rng)
    hidden = np.where(rng.random(events.shape) < 0.4, np.nan, events)
    cohort = cohort_of(hidden)
    fitted = dirichlet_process.fit(cohort, settings(dirichlet_process), np.random.default_rng(1), None)
    assert adjusted_rand_score(label, most_likely_classes(fitted, cohort)) > 0.7
    drawn = dirichlet_process.sample(fitted, cohort.record(), np.random.default_rng(3)).alterations
    assert drawn.isna().to_numpy().mean() == pytest.approx(0.4, abs=0.03)
    assert abs(drawn.mean().to_numpy() - events.mean(axis=0)).mean() < 0.05


@pytest.mark.parametrize("module", [dirichlet_process, logistic_chain])
def test_pairs_keep_their_sign(module):
    """E0 and E1 together, E2 and E3 never."""
    rng = np.random.default_rng(4)
    events = (rng.random((500, 8)) < 0.25).astype(float)
    events[:, 1] = np.where(rng.random(500) < 0.8, events[:, 0], events[:, 1])
    events[:, 3] = np.where(events[:, 2] == 1, 0.0, rng.random(500) < 0.35)
    cohort = cohort_of(events)
    fitted = module.fit(cohort, settings(module), np.random.default_rng(0), None)
    drawn = module.sample(fitted, cohort.record(), np.random.default_rng(1)).alterations
    correlation = drawn.corr()
    assert correlation.loc["E0", "E1"] > 0.4
    assert correlation.loc["E2", "E3"] < -0.2
    assert abs(correlation.loc["E5", "E6"]) < 0.2


@pytest.mark.parametrize("module", [dirichlet_process, logistic_chain])
def test_alterations_follow_the_clinical_record(module):
    """E0 rises with the marker, E1 falls with it, E2 does not care."""
    rng = np.random.default_rng(5)
    marker = rng.normal(size=600)
    events = (rng.random((600, 5)) < expit(np.outer(marker, [2.0, -2.0, 0.0, 0.0, 0.0]) - 0.7)).astype(float)
    cohort = cohort_of(events, marker)
    fitted = module.fit(cohort, settings(module), np.random.default_rng(0), None)
    given = cohort_of(np.zeros((600, 5)), rng.permutation(marker))
    drawn = module.sample(fitted, given.record(), np.random.default_rng(1)).alterations
    correlation = [np.corrcoef(given.clinical["marker"], drawn[name])[0, 1] for name in ("E0", "E1", "E2")]
    assert correlation[0] > 0.4
    assert correlation[1] < -0.4
    assert abs(correlation[2]) < 0.15


def independent_log_likelihood(train: Cohort, cohort: Cohort) -> float:
    p = (train.alterations.sum() + 0.5) / (train.alterations.notna().sum() + 1.0)
    return float((cohort.alterations * np.log(p) + (1 - cohort.alterations) * np.log(1 - p)).sum(axis=1).mean())


def test_unseen_patients_are_likelier_than_under_independence():
    cohort = small_cohort(1200, seed=2)
    train, holdout = cohort.take(np.arange(0, 1200, 2)), cohort.take(np.arange(1, 1200, 2))
    for module in (dirichlet_process, logistic_chain):
        fitted = module.fit(train, settings(module), np.random.default_rng(0), None)
        assert module.log_likelihood(fitted, holdout).mean() > independent_log_likelihood(train, holdout) + 0.1


def test_probabilities_of_all_profiles_sum_to_one():
    """Exact likelihood: over every profile of four alterations, with the corrections in place."""
    rng = np.random.default_rng(6)
    marker = rng.normal(size=200)
    events = (rng.random((200, 4)) < expit(np.outer(marker, [1.0, -1.0, 0.5, 0.0]) - 0.5)).astype(float)
    profiles = cohort_of(np.array(list(product([0.0, 1.0], repeat=4))), np.full(16, 0.3))
    for module in (dirichlet_process, logistic_chain):
        fitted = module.fit(cohort_of(events, marker), settings(module), np.random.default_rng(0), None)
        assert np.exp(module.log_likelihood(fitted, profiles)).sum() == pytest.approx(1.0, abs=1e-9)


# settings


def test_published_frequencies_weigh_as_many_patients_as_stated():
    """100 patients with 20 %, and a published 60 % worth 100 patients: 40 %."""
    events = np.zeros((100, 3))
    events[:20, 0], events[:30, 1], events[10:40, 2] = 1, 1, 1
    chosen = settings(dirichlet_process, prior_frequencies={"E0": 0.6}, prior_strength=100.0)
    fitted = dirichlet_process.fit(cohort_of(events), chosen, np.random.default_rng(0), None)
    given = cohort_of(np.zeros((20_000, 3))).record()
    drawn = dirichlet_process.sample(fitted, given, np.random.default_rng(1)).alterations
    assert drawn["E0"].mean() == pytest.approx(0.4, abs=0.03)
    assert drawn["E1"].mean() > 0.2


def test_a_published_frequency_of_an_unknown_event_is_refused():
    chosen = settings(dirichlet_process, prior_frequencies={"NOPE": 0.1}, prior_strength=10.0)
    with pytest.raises(InputError, match="NOPE"):
        dirichlet_process.fit(cohort_of(np.eye(12)), chosen, np.random.default_rng(0), None)


def test_a_cohort_without_alterations_is_refused():
    with pytest.raises(InputError, match="alterations"):
        logistic_chain.fit(small_cohort(300, seed=1).record(), logistic_chain.DEFAULTS, np.random.default_rng(0), None)


# parts


def test_ridge_logistic_equals_sklearn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 4))
    y = (rng.random(200) < expit(x @ [1.0, -0.5, 0.0, 2.0] - 1.0)).astype(float)
    beta = fit_ridge_logistic(np.c_[np.ones(200), x], y, np.zeros(200), np.array([1e-9, 3.0, 3.0, 3.0, 3.0]))
    reference = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(beta, np.r_[reference.intercept_, reference.coef_[0]], atol=1e-4)


def test_cauchy_priors_are_maximised_and_leave_large_effects_alone():
    from scipy.optimize import minimize

    rng = np.random.default_rng(7)
    x = np.c_[np.ones(300), rng.normal(size=(300, 8))]
    y = (rng.random(300) < expit(3 * x[:, 1])).astype(float)
    scale = np.r_[0.0, np.full(8, 0.2)]

    def loss(b):
        return np.logaddexp(0, x @ b).sum() - y @ (x @ b) + 0.5 * b[0] ** 2 + np.log1p((b[1:] / 0.2) ** 2).sum()

    beta = fit_ridge_logistic(x, y, np.zeros(300), np.ones(9), scale)
    np.testing.assert_allclose(beta, minimize(loss, beta + 0.01).x, atol=0.01)
    # The normal prior of the same density at 0.
    normal = fit_ridge_logistic(x, y, np.zeros(300), np.r_[1.0, np.full(8, 50.0)])
    assert beta[1] > 2.5 * normal[1]
    assert np.abs(beta[2:]).mean() < 2 * np.abs(normal[2:]).mean()


def test_what_a_record_names_is_carried():
    """A diagnosis that names an alteration decides it in synthetic patients too; other alterations are left alone."""
    rng = np.random.default_rng(11)
    group = (rng.random(400) < 0.25).astype(float)
    events = (rng.random((400, 8)) < 0.2).astype(float)
    events[:, 3] = np.where(rng.random(400) < 0.95, group, 1 - group)
    train = cohort_of(events, group)
    fitted = dirichlet_process.fit(train, settings(dirichlet_process), np.random.default_rng(1), None)
    drawn = dirichlet_process.sample(fitted, train.record(), np.random.default_rng(2)).alterations
    named = group == 1
    assert drawn["E3"][named].mean() > 0.85
    assert drawn["E3"][~named].mean() < 0.12
    for event in (0, 5):
        assert abs(drawn[f"E{event}"][named].mean() - drawn[f"E{event}"][~named].mean()) < 0.15


def test_the_highest_of_several_modes_is_found():
    """A rare level that decides the outcome: from 0 one climbs to a mode beside 0, far below the highest."""
    rng = np.random.default_rng(3)
    level = np.arange(70) < 8
    x = np.c_[np.ones(70), level - level.mean(), rng.normal(size=(70, 3))]
    outcome, offset = np.where(level, 1.0, np.arange(70) == 69), np.full(70, -1.9)
    beta = fit_ridge_logistic(x, outcome, offset, np.ones(5), np.r_[0.0, np.full(4, 0.1)])
    others = offset + x[:, 2:] @ beta[2:]
    grid = np.linspace(-3, 12, 1501)

    def density(b):
        score = others + beta[0] + np.outer(b, x[:, 1])
        return score @ outcome - np.logaddexp(0, score).sum(axis=1) - np.log1p((b / 0.1) ** 2)

    values = density(grid)
    assert ((values[1:-1] > values[:-2]) & (values[1:-1] > values[2:])).sum() == 2
    assert abs(beta[1] - grid[values.argmax()]) < 0.02
    assert beta[1] > 3


@pytest.mark.parametrize("named", "ACE")
def test_few_patients_suffice_for_a_level_that_names_an_alteration(named):
    """As M3 names t(15;17): whichever level it is, seventy patients tell it, and other alterations are left alone."""
    rng = np.random.default_rng(5)
    level = np.repeat(list("ABCDE"), [8, 19, 8, 21, 14])
    events = (rng.random((70, 6)) < 0.2).astype(float)
    events[:, 2] = (level == named) | (np.arange(70) == 30)
    plain = cohort_of(events)
    schema = replace(plain.schema, columns={"FAB": Column("categorical", categories=tuple("ABCDE"))})
    record = set_types(pd.DataFrame({"FAB": level}, index=plain.clinical.index), schema)
    train = replace(plain, schema=schema, clinical=record)
    fitted = dirichlet_process.fit(train, settings(dirichlet_process), np.random.default_rng(1), None)
    drawn = sum(
        dirichlet_process.sample(fitted, train.record(), np.random.default_rng(seed)).alterations for seed in range(20)
    )
    share = (drawn / 20).groupby(level == named).mean()
    assert share.loc[True, "E2"] > 0.9
    assert share.loc[False, "E2"] < 0.08
    assert (share.loc[True] - share.loc[False]).drop("E2").abs().max() < 0.15


@pytest.mark.parametrize("module", [dirichlet_process, logistic_chain], ids=["dirichlet_process", "logistic_chain"])
def test_a_normal_karyotype_has_no_cytogenetic_event(module):
    """As few patients as there are, and as common as among them; other events keep their frequency too."""
    rng = np.random.default_rng(6)
    events = np.column_stack([np.zeros(80), rng.random((80, 3)) < 0.2]).astype(float)
    events[:, 0] = (events[:, 1:] == 0).all(axis=1) & (rng.random(80) < 0.8)
    plain = cohort_of(events)
    names = {"normal karyotype": "E0", "t(15;17)": "E1", "abnormal 3q": "E2", "del(7q)": "E3"}
    schema = replace(plain.schema, alterations=dict.fromkeys(names, "cytogenetic"))
    train = plain.replace(schema=schema, alterations=plain.alterations.set_axis(list(names), axis=1))
    assert logistic_chain.find_normal_karyotypes(train).tolist() == [[0, 1], [0, 2], [0, 3]]
    fitted = module.fit(train, settings(module), np.random.default_rng(1), None)
    given = train.take(np.arange(4000) % 80).record()
    drawn = module.sample(fitted, given, np.random.default_rng(2)).alterations
    assert not (drawn[drawn["normal karyotype"] == 1].drop(columns="normal karyotype") == 1).any(axis=None)
    assert (drawn.mean() - train.alterations.mean()).abs().max() < 0.06
    # What was declared cytogenetic and is found beside a normal karyotype, FLT3 say, stays free.
    mixed = train.alterations.copy()
    mixed.iloc[np.flatnonzero(events[:, 0] == 1)[0], 1] = 1
    assert logistic_chain.find_normal_karyotypes(train.replace(alterations=mixed)).tolist() == [[0, 2], [0, 3]]


def test_strength_of_an_event_tells_whether_it_defines_classes():
    events, _ = four_classes(400, np.random.default_rng(8))
    noise = (np.random.default_rng(9).random((400, 5)) < 0.2).astype(float)
    both = np.column_stack([events, noise])
    base = both.mean(axis=0)
    draws = collapsed_gibbs(
        both, base, strengths=2.0 ** np.arange(-2, 9), sweeps=200, burn_in=100, draws=50, max_classes=30, seed=1
    )
    strength = np.median(draws.strength, axis=0)
    assert strength[20:].min() > 4 * strength[:20].max()


def test_design_has_no_gaps_and_an_endpoint_of_mean_zero_residual():
    cohort = small_cohort(300, seed=1)
    record = describe_record(cohort)
    design = design_matrix(record, cohort.clinical)
    assert np.isfinite(design).all()
    assert not any(entry["column"] in ("ISS", "R_ISS", "high_risk_cytogenetics") for entry in record)  # derived
    only = describe_record(cohort_of(np.zeros((5, 2))))
    assert design_matrix(only, pd.DataFrame(index=range(3))).shape == (3, 0)
    expected = cumulative_hazard_residuals(cohort)
    position = np.argmax([np.corrcoef(column, expected)[0, 1] if column.std() > 0 else -1 for column in design.T])
    assert abs(design[:, position] - expected).mean() < 0.02
    assert abs(design[:, position].mean()) < 0.02


@pytest.mark.parametrize(("n", "least"), [(30, 4), (90, 6), (300, 10)])
def test_a_level_of_few_patients_is_told_apart_in_a_small_cohort(n, least):
    cohort = small_cohort(n, seed=1)
    told = {entry["column"]: entry["levels"] for entry in describe_record(cohort) if entry["kind"] == "levels"}
    counts = {(column, level): (cohort.clinical[column] == level).sum() for column in told
              for level in cohort.clinical[column].cat.categories}  # fmt: skip
    assert {key for key, count in counts.items() if count >= least} == {(c, level) for c in told for level in told[c]}


def cumulative_hazard_residuals(cohort: Cohort) -> np.ndarray:
    from lifelines import NelsonAalenFitter

    time, event = cohort.clinical["OS_time"], cohort.clinical["OS_event"]
    hazard = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(time, event).cumulative_hazard_at_times(time)
    return event.to_numpy() - hazard.to_numpy()


def test_log_gamma_of_sizes_is_the_urn():
    """The sampler's trace rises to a plateau: the joint density of its last half beats its first sweep."""
    events, _ = four_classes(200, np.random.default_rng(0))
    draws = collapsed_gibbs(
        events, events.mean(axis=0), strengths=np.array([1.0]), sweeps=60, burn_in=30, draws=5, max_classes=20, seed=0,
        alpha=1.0,
    )  # fmt: skip
    assert draws.trace[30:, 1].min() > draws.trace[0, 1]
    # the trace is the density that the urn scheme and the Beta-Bernoulli evidence give
    z, base = draws.assignment[-1], events.mean(axis=0)
    last = draws.trace[30 + 4 * 6, 1]
    sizes = np.bincount(z)
    value = gammaln(sizes[sizes > 0]).sum() + gammaln(1.0) - gammaln(201.0) - 1.0
    for k in np.flatnonzero(sizes):
        ones = events[z == k].sum(axis=0)
        value += (betaln(base + ones, 1 - base + sizes[k] - ones) - betaln(base, 1 - base)).sum()
    assert last == pytest.approx(value, rel=1e-9)


@pytest.mark.slow
def test_held_out_likelihood_on_a_real_cohort(real_data):
    """AML, 1,540 patients: the mixture is better than independence and than the chain, given the record and not."""
    import time

    sample = pd.read_csv(real_data / "aml_amlsg" / "data_clinical_sample.txt", sep="\t", comment="#")
    sample = sample.set_index("PATIENT_ID")
    mutations = pd.read_csv(real_data / "aml_amlsg" / "data_mutations.txt", sep="\t", comment="#")
    genes = pd.crosstab(mutations["Tumor_Sample_Barcode"], mutations["Hugo_Symbol"]).reindex(sample.index).gt(0)
    chromosomes = sample.filter(regex="CYTO|FLT3_ITD").eq("Yes")  # unknown as absent, in this comparison only
    table = pd.concat([genes, chromosomes], axis=1).astype(float)
    table = table.loc[:, table.sum() >= 10].to_numpy()
    gain = []
    for split in range(2):
        order = np.random.default_rng(split).permutation(len(table))
        train, holdout = cohort_of(table[order[:770]]), cohort_of(table[order[770:]])
        start = time.monotonic()
        fitted = dirichlet_process.fit(train, dirichlet_process.DEFAULTS, np.random.default_rng(0), None)
        assert time.monotonic() - start < 120
        value = dirichlet_process.log_likelihood(fitted, holdout).mean()
        chain = logistic_chain.fit(train, logistic_chain.DEFAULTS, np.random.default_rng(0), None)
        gain.append((value - independent_log_likelihood(train, holdout),
                     value - logistic_chain.log_likelihood(chain, holdout).mean()))  # fmt: skip
    assert np.mean(gain, axis=0)[0] > 1.3
    assert np.mean(gain, axis=0)[1] > 0.03
