"""What every expression generator must do, and what its references are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_expression import halves

from haemosynth import generate
from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.encode import conditions
from haemosynth.learn import loop
from haemosynth.modalities.expression.generators import factor, negative_binomial_vae, scores
from haemosynth.modalities.expression.part import expression_of, keep_profiles
from haemosynth.modalities.expression.profiles import levels
from haemosynth.modalities.expression.reference import reference
from haemosynth.modalities.registry import load_algorithm
from haemosynth.stats import regression

QUICK = {"factor": {}, "negative_binomial_vae": {"steps": 40, "patience": 40}}
_FITTED: dict = {}


@pytest.fixture(params=list(QUICK))
def drawn(request):
    """(train, holdout, expression drawn for the training patients' records) of each generator, fitted once."""
    train, holdout = halves()
    if request.param not in _FITTED:
        module = load_algorithm("expression", request.param)
        model = module.fit(train, {**module.DEFAULTS, **QUICK[request.param]}, stream(1), None)
        _FITTED[request.param] = module, model, module.sample(model, train.replace(expression=None), stream(2))
    return (train, holdout, *_FITTED[request.param])


def fold_changes(cohort, expression, event):
    carrier = cohort.alterations[event].reindex(expression.obs_names).to_numpy()
    level = levels(expression)[:, expression.var["highly_variable"].to_numpy()]
    return level[carrier == 1].mean(axis=0) - level[carrier == 0].mean(axis=0)


def test_it_draws_counts_of_known_patients_with_the_same_genes(drawn):
    train, _, _, _, made = drawn
    assert set(made.obs_names) <= set(train.patients)
    assert list(made.var_names) == list(expression_of(train).var_names)
    assert (made.X >= 0).all()
    np.testing.assert_array_equal(made.X, np.rint(made.X))
    assert made.uns["values"] == "counts"
    assert set(made.obs) == {"library_size", "batch"}


def test_as_many_patients_have_expression_and_in_the_same_centres(drawn):
    train, _, _, _, made = drawn
    real, synthetic = (train.patients.isin(names) for names in (expression_of(train).obs_names, made.obs_names))
    assert abs(real.mean() - synthetic.mean()) < 0.12
    centre = train.clinical["centre"]
    shares = pd.DataFrame({"real": real, "synthetic": synthetic}).groupby(centre.to_numpy(), observed=True).mean()
    sizes = centre.value_counts().reindex(shares.index)
    assert np.corrcoef(*shares[sizes >= 20].to_numpy().T)[0, 1] > 0.3


def test_genes_keep_their_means_spread_and_zeros(drawn):
    train, _, _, _, made = drawn
    real, synthetic = levels(expression_of(train)), levels(made)
    error = np.abs(real.mean(axis=0) - synthetic.mean(axis=0)) / real.std(axis=0)
    assert np.median(error) < 0.15
    assert np.median(np.abs(np.log(synthetic.std(axis=0) / real.std(axis=0)))) < 0.15
    np.testing.assert_allclose((made.X == 0).mean(), (expression_of(train).X == 0).mean(), atol=0.02)


def test_correlations_and_subgroups_are_nearer_to_the_holdout_than_those_of_independent_genes(drawn):
    train, holdout, _, _, made = drawn
    floor = reference("independent", train, train, stream(3))
    marked = expression_of(train).var["highly_variable"].to_numpy()
    upper = np.triu_indices(int(marked.sum()), 1)

    def correlations(expression):
        return np.corrcoef(levels(expression)[:, marked].T)[upper]

    true = correlations(expression_of(holdout))
    assert np.corrcoef(correlations(made), true)[0, 1] > 0.6
    assert abs(np.corrcoef(correlations(floor), true)[0, 1]) < 0.2
    planted = fold_changes(holdout, expression_of(holdout), "t(4;14)")
    assert np.corrcoef(fold_changes(train, made, "t(4;14)"), planted)[0, 1] > 0.6
    assert np.corrcoef(fold_changes(train, floor, "t(4;14)"), planted)[0, 1] < 0.4


def test_no_patient_is_learned_by_heart(drawn):
    train, holdout, module, model, _ = drawn
    made = module.sample(model, holdout.replace(expression=None), stream(4))
    marked = expression_of(train).var["highly_variable"].to_numpy()
    middle, spread = (getattr(levels(expression_of(train))[:, marked], f)(axis=0) for f in ("mean", "std"))
    seen, unseen, own = (
        (levels(e)[:, marked] - middle) / spread for e in (expression_of(train), expression_of(holdout), made)
    )
    n = min(len(seen), len(unseen))
    nearest = [((own[:, None] - side[None, :n]) ** 2).sum(axis=2).min(axis=1) for side in (seen, unseen)]
    assert (nearest[0] < nearest[1]).mean() < 0.65


def test_the_same_stream_draws_the_same_and_the_saved_model_too(drawn, tmp_path):
    from haemosynth.generate.fitted import load, save

    train, _, module, model, made = drawn
    files = tmp_path / "m.safetensors", tmp_path / "m.json"
    save(model, *files, tmp_path / "h.tsv")
    again = module.sample(load(*files), train.replace(expression=None), stream(2))
    np.testing.assert_array_equal(again.X, made.X)
    pd.testing.assert_frame_equal(again.obs, made.obs)


def as_logs(cohort):
    expression = expression_of(cohort).copy()
    expression.X = levels(expression)
    expression.uns = {"values": "log", "batch": ""}
    expression.obs = expression.obs[[]]
    return cohort.replace(expression=keep_profiles(expression))


@pytest.mark.parametrize("name", list(QUICK))
def test_continuous_values_of_few_patients_and_no_genomic_modality(name):
    train = as_logs(halves()[0])
    train = train.take(np.flatnonzero(train.patients.isin(expression_of(train).obs_names))[:40]).record()
    expression = expression_of(as_logs(halves()[0]))
    train = train.replace(expression=keep_profiles(expression[expression.obs_names.isin(train.patients)].copy()))
    module = load_algorithm("expression", name)
    model = module.fit(train, {**module.DEFAULTS, **QUICK[name]}, stream(1), None)
    made = module.sample(model, train.replace(expression=None), stream(2))
    assert made.n_obs == len(train)  # everybody has expression here
    assert np.isfinite(made.X).all()
    assert set(made.obs) == set()
    middle, width = expression.X.mean(axis=0), np.ptp(expression.X, axis=0)
    assert (np.abs(made.X - middle) < 2 * width).mean() > 0.999


@pytest.mark.parametrize("name", list(QUICK))
def test_a_cohort_without_expression_is_told(name):
    module = load_algorithm("expression", name)
    with pytest.raises(InputError, match="0 training patients"):
        module.fit(halves()[0].replace(expression=None), module.DEFAULTS, stream(1), None)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [12, 30])  # while it looks for the end, and while everybody is learned from
def test_a_resumed_fit_gives_the_same_bytes(tmp_path, monkeypatch, after):
    vae, (train, _), prefix = negative_binomial_vae, halves(1000), tmp_path / "checkpoint"
    chosen = {**vae.DEFAULTS, "steps": 20, "checkpoint_every": 5}
    whole = vae.fit(train, chosen, stream(1), None)
    real, taken = loop.progress, [0]

    def stopping(items, description, total=None):
        for item in real(items, description, total):
            taken[0] += 1
            if taken[0] > after:
                raise Interrupted
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(loop, "progress", stopping)
        with pytest.raises(Interrupted):
            vae.fit(train, chosen, stream(1), prefix)
    assert list(tmp_path.iterdir())
    resumed = vae.fit(train, chosen, stream(1), prefix)
    assert whole.arrays.keys() == resumed.arrays.keys()
    for key, array in whole.arrays.items():
        np.testing.assert_array_equal(array, resumed.arrays[key], err_msg=key)
    pd.testing.assert_frame_equal(whole.history, resumed.history)
    assert list(tmp_path.iterdir()) == []


def test_ridge_finds_planted_effects_and_leaves_noise_alone():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 8))
    y = rng.standard_normal((100, 300)).astype(np.float32)
    y[:, 0] += 2 * x[:, 3]
    slope = regression.ridge(x, y - y.mean(axis=0))
    assert abs(slope[3, 0] - 2) < 0.4
    assert (np.abs(slope[:, 1:]).max(axis=0) == 0).mean() > 0.5


def test_leave_one_out_errors_are_those_of_refitting():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 1))
    x -= x.mean(axis=0)
    penalty = 30 * 0.3
    gram = np.linalg.inv(x.T @ x + penalty * np.eye(4))
    hat = x @ gram @ x.T + 1 / 30
    centred = y - y.mean()
    short = (centred - x @ gram @ x.T @ centred)[:, 0] / (1 - np.diag(hat))
    for i in (0, 7):
        rest = np.delete(np.arange(30), i)
        design = np.column_stack([np.ones(29), x[rest]])
        beta = np.linalg.solve(design.T @ design + penalty * np.diag([0, 1, 1, 1, 1]), design.T @ y[rest])
        np.testing.assert_allclose(short[i], y[i, 0] - np.r_[1, x[i]] @ beta[:, 0], rtol=1e-6)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_the_number_of_factors_is_the_planted_one(number):
    rng = np.random.default_rng(number)
    table = rng.standard_normal((200, 400)) + rng.standard_normal((200, number)) @ rng.standard_normal((number, 400))
    table -= table.mean(axis=0)
    found = regression.choose_number_of_factors(table.astype(np.float32), rng, 32)
    assert found == number
    if number:
        loading, _ = regression.factors(table.astype(np.float32), number, 1)
        np.testing.assert_allclose((loading**2).sum(), number * 400, rtol=0.2)


def test_carrying_between_quantiles_gives_the_target_distribution():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(4000, 2)), rng.gamma(2, size=(4000, 2))
    moved = scores.carried(rng.normal(size=(4000, 2)), scores.quantiles(source), scores.quantiles(target))
    np.testing.assert_allclose(np.quantile(moved, [0.1, 0.5, 0.9]), np.quantile(target, [0.1, 0.5, 0.9]), rtol=0.05)
    assert np.isfinite(moved).all()


def test_shapes_that_genes_share_keep_each_genes_mean_and_spread_and_the_one_gene_unlike_all_others():
    rng = np.random.default_rng(1)
    values = rng.normal(rng.normal(size=200), rng.uniform(0.5, 2, 200), size=(400, 200))
    values[:, 7] = rng.normal(size=400) + 12 * (rng.random(400) < 0.3)  # two groups of patients
    values[:, 8] = np.maximum(values[:, 8] - values[:, 8].mean(), 0)  # half of them at the limit of detection
    found = scores.share_quantiles(values, positive=False)
    np.testing.assert_allclose(found[50], np.median(values, axis=0), atol=0.4)
    ordinary = np.setdiff1d(np.arange(200), [7, 8])
    exact = scores.quantiles(values)
    width = values[:, ordinary].std(axis=0)
    assert (np.abs(found - exact)[10:-10, ordinary] / width).max() < 0.35
    # Between the groups lies nobody, and at the limit as many as there were.
    assert ((found[:, 7] > 4) & (found[:, 7] < 8)).mean() < 0.06
    assert (found[:, 8] == 0).mean() == pytest.approx((values[:, 8] == 0).mean(), abs=0.02)
    assert (np.diff(found, axis=0) >= 0).all()


def test_the_values_of_training_patients_are_not_those_of_the_release():
    """Genes by the hundred name nobody, which a distribution through every recorded level would do."""
    from haemosynth.privacy.aggregate_attacks import attack_values
    from haemosynth.stats.ranking import area

    rng = np.random.default_rng(2)
    mean, spread = rng.normal(size=100), rng.uniform(0.5, 2, 100)
    train, unseen = (rng.normal(mean, spread, size=(n, 100)) for n in (300, 200))
    for made, least, most in ((scores.quantiles(train), 0.9, 1), (scores.share_quantiles(train, False), 0, 0.7)):
        rows = np.argsort(rng.random((300, 100)), axis=0) / 299
        release = np.column_stack([np.interp(rows[:, g], scores.LEVELS, made[:, g]) for g in range(100)])
        found = attack_values(np.vstack([train, unseen]), release)
        worst = max(area(score[:300], score[300:]) for score in found.values())
        assert least <= worst <= most


def test_rates_and_counts_are_inverse():
    train, _ = halves()
    size = expression_of(train).obs["library_size"].to_numpy()
    back = scores.count(scores.rates(expression_of(train), stream(1)), size, float(expression_of(train).uns["library"]))
    # single precision may move a count that was spread to within its last digits of the next one
    assert (back != expression_of(train).X).mean() < 1e-3


def test_what_is_missing_pulls_nowhere():
    train, _ = halves()
    known = conditions.learn(train)
    blank = replace(train, clinical=train.clinical.mask(np.ones(train.clinical.shape, dtype=bool)))
    features = pd.DataFrame(conditions.transform(known, blank), columns=conditions.names(known))
    numbers = [name for name in features if name.startswith(("number", "level", "endpoint"))]
    assert numbers
    assert (features[numbers] == 0).all().all()


def test_references(drawn):
    train = drawn[0]
    assert reference("real", train, train, stream(1)) is expression_of(train)
    alone = reference("independent", train, train, stream(1))
    even = reference("uniform", train, train, stream(1))
    real = levels(expression_of(train))
    np.testing.assert_allclose(levels(alone).mean(axis=0), real.mean(axis=0), atol=1.0)
    assert np.median(np.abs(np.log(levels(alone).std(axis=0) / real.std(axis=0)))) < 0.15
    assert even.n_obs < len(train)
    with pytest.raises(InputError, match="no reference"):
        reference("fresh", train, train, stream(1))


def test_the_factor_copula_tells_its_size():
    model = factor.fit(halves()[0], factor.DEFAULTS | {"factors": 3}, stream(1), None)
    assert model.description["factors"] == 3
    assert model.description["parameters"] > 3 * expression_of(halves()[0]).n_vars


def test_a_method_sees_only_what_it_is_given():
    train, _ = halves()
    alone = conditions.names(conditions.learn(generate.visible(train, ["genomic"], "expression")))
    assert all(name.startswith(("alteration", "sequenced")) for name in alone)
    assert conditions.names(conditions.learn(generate.visible(train, [], "expression"))) == []
    clinical = generate.visible(train, ["clinical"], "expression")
    assert not any(name.startswith("alteration") for name in conditions.names(conditions.learn(clinical)))
    model = factor.fit(generate.visible(train, [], "expression"), factor.DEFAULTS, stream(1), None)
    assert factor.sample(model, train, stream(2)).n_vars == expression_of(train).n_vars
    with pytest.raises(InputError, match="'images' is unknown"):
        generate.visible(train, ["images"], "expression")
