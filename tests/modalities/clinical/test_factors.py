"""The latent space in two parts: z_rest does not tell the class, and a twin differs in what depends on it alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures_small import small_cohort
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.generators import factors, vae

QUICK = vae.DEFAULTS | {
    "steps": 400,
    "learning_rate": 0.01,
    "decoders": 2,
    "width": 32,
    "refinement": None,
    "margins": None,
    "refresh": None,
    "bins": 10,
}
SHIFT = 4.0  # g/dl of haemoglobin, planted


@pytest.fixture(scope="module")
def planted():
    """600 patients whose sex is dealt out at random and moves haemoglobin, and nothing else."""
    cohort = small_cohort(600, 4).record()
    names = ["age", "sex", "haemoglobin", "calcium", "albumin", "plasma_cells", "isotype", "OS_time", "OS_event"]
    schema = replace(cohort.schema, columns={n: cohort.schema.columns[n] for n in names}, endpoints=("OS",))
    rng = np.random.default_rng(2)
    clinical = cohort.clinical[names].copy()
    male = rng.random(len(cohort)) < 0.5
    clinical["sex"] = clinical["sex"].cat.set_categories(["Female", "Male"])
    clinical["sex"] = np.where(male, "Male", "Female")
    clinical["sex"] = clinical["sex"].astype(cohort.clinical["sex"].dtype)
    clinical["haemoglobin"] = (rng.normal(11, 1.5, len(cohort)) + SHIFT * male).clip(5, 20).round(1)
    return replace(cohort, schema=replace(schema, columns=schema.columns), clinical=clinical)


@pytest.fixture(scope="module")
def fitted(planted):
    chosen = QUICK | {"factors": {"columns": ["sex"], "latent": 2, "weight": 200.0}}
    return vae.fit(planted, chosen, stream(1), None)


def area(points, male):
    """How well a classifier tells the class of held-out patients."""
    model = LogisticRegression(max_iter=500)
    features = np.hstack([points, points**2])
    return roc_auc_score(male, cross_val_predict(model, features, male, cv=5, method="decision_function"))


def test_the_rest_of_the_latent_space_does_not_tell_the_class(planted, fitted):
    male = (planted.clinical["sex"] == "Male").to_numpy()
    z_class, z_rest = factors.latent_points(fitted, planted.clinical)
    assert z_class.shape == (600, 2)
    assert z_rest.shape == (600, 6)
    assert abs(area(z_rest, male) - 0.5) < 0.08  # three standard errors of an area of 600
    plain = vae.fit(planted, QUICK | {"condition": ["sex"]}, stream(1), None)
    free = replace(plain, description={**plain.description, "factors": {"columns": ["sex"], "latent": 2}})
    whole = np.hstack(factors.latent_points(free, planted.clinical))
    assert area(whole, male) > 0.7  # without the penalty it does


def test_a_twin_differs_in_what_depends_on_the_class_alone(planted, fitted):
    clinical, rng = planted.clinical, np.random.default_rng(0)
    women = clinical[clinical["sex"] == "Female"]
    made = factors.twins(fitted, planted.schema, women, {"sex": "Male"}, rng)
    assert (made["sex"] == "Male").all()
    moved = (made["haemoglobin"] - women["haemoglobin"]).mean()
    drawn = vae.sample(fitted, planted.schema, 2000, rng)
    learned = drawn.groupby("sex", observed=True)["haemoglobin"].mean()
    assert moved == pytest.approx(learned["Male"] - learned["Female"], abs=0.6)  # as the model's own patients differ
    assert 0.6 * SHIFT < moved < 1.2 * SHIFT
    for name in ("age", "calcium", "albumin", "plasma_cells"):
        width = women[name].quantile(0.9) - women[name].quantile(0.1)
        assert abs((made[name] - women[name]).mean()) < 0.12 * width, name
    shares = [side["isotype"].value_counts(normalize=True, sort=False) for side in (made, women)]
    assert np.abs(shares[0] - shares[1]).sum() / 2 < 0.2
    assert (made["isotype"].astype(str) == women["isotype"].astype(str)).mean() > 0.7


def test_a_patient_under_the_own_class_is_the_patient(planted, fitted):
    men = planted.clinical[planted.clinical["sex"] == "Male"]
    made = factors.twins(fitted, planted.schema, men, {"sex": "Male"}, np.random.default_rng(0))
    assert (made["isotype"].astype(str) == men["isotype"].astype(str)).all()
    for name in ("age", "albumin"):
        inner = men[name].between(men[name].quantile(0.02), men[name].quantile(0.98))
        assert (made[name] - men[name])[inner].abs().median() <= 0.1 * men[name].std(), name


def test_hsic_is_zero_for_independent_points_and_large_for_the_class_itself():
    rng = torch.Generator().manual_seed(0)
    classes = torch.randint(2, (400, 1), generator=rng)
    noise = torch.randn(400, 3, generator=rng)
    assert float(factors.dependence(noise, classes)) < 0.02
    assert float(factors.dependence(noise * 0.1 + classes, classes)) > 0.5
    by_size = [float(factors.dependence(noise + step * classes, classes)) for step in (0, 1, 3)]
    assert by_size == sorted(by_size)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"columns": ["age"]}, "column of levels"),
        ({"columns": []}, "expected"),
        ({"columns": ["sex"], "latent": 8}, "left for the rest"),
        ({"column": ["sex"]}, "expected"),
    ],
)
def test_mistakes_are_told(planted, chosen, words):
    with pytest.raises(InputError, match=words):
        factors.check(QUICK | {"factors": chosen}, planted)
    with pytest.raises(InputError, match="fitted with"):
        plain = type("F", (), {"description": {}})
        factors.twins(plain, planted.schema, planted.clinical, {}, np.random.default_rng(0))
