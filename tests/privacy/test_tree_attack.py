"""The attack fitted to a private recipe's tree: it finds what the noise does not hide, and reads the tree alone."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import save
from haemosynth.modalities.registry import load_algorithm
from haemosynth.privacy.accountant import KEY
from haemosynth.privacy.stages import disclosure
from haemosynth.privacy.tree_attack import attack_pairs, attack_tree, find_pairs
from haemosynth.stats.ranking import area
from haemosynth.study.split import split
from haemosynth.validate.resampling import prepare_comparison
from haemosynth.validate.stage import Comparison

MODULES = {modality: load_algorithm(modality, "private_marginals") for modality in ("clinical", "genomic")}
EPSILONS = (float("inf"), 1.0)


@pytest.fixture(scope="module")
def halves():
    cohort = small_cohort(n=500, seed=3)
    return split(cohort, 0.6, None, list(cohort.schema.genes), stream(1, "split"))


@pytest.fixture(scope="module")
def recipes(halves):
    """epsilon -> the models of a private recipe, and a draw of four times as many patients."""
    train, found = halves[0], {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, "only the tests know this one, and they tell")
        for epsilon in EPSILONS:
            models = {}
            for modality, module in MODULES.items():
                settings = generate.settings_of(module, {"epsilon": epsilon}, "test")
                models[modality] = module.fit(train, settings, stream(1, "fit"), None)
            table = MODULES["clinical"].sample(models["clinical"], train.schema, 4 * len(train), stream(1, "record"))
            given = Cohort(replace(train.schema, alterations={}), table)
            drawn = MODULES["genomic"].sample(models["genomic"], given, stream(1, "genes"))
            found[epsilon] = models, Cohort.of(train.schema, table, drawn.alterations, drawn.sequenced, drawn.mutations)
    return found


def areas(recipe, halves, size):
    models, pool = recipe
    scores = attack_tree(find_pairs(models), halves, pool, size, redraws=4)
    border = len(halves[0])
    return [area(score[:border], score[border:]) for score in scores]


def test_without_noise_the_tree_tells_who_took_part_and_with_noise_it_does_not(recipes, halves):
    size = len(halves[0])
    bare, noisy = (np.mean(areas(recipes[epsilon], halves, size)) for epsilon in EPSILONS)
    assert bare > 0.65
    assert noisy < 0.6
    assert areas(recipes[EPSILONS[0]], halves, 4 * size)[0] > bare  # the more records, the more they tell


def test_pairs_are_those_of_the_tree_and_nothing_else_is_read(recipes, halves):
    models, pool = recipes[EPSILONS[0]]
    pairs = find_pairs(models)
    assert len(pairs.sizes) == sum(len(model.description["edges"]) for model in models.values())
    attacked, released = pairs.code(halves[0]), pairs.code(pool)
    names = [pair for model in models.values() for pair in model.description["edges"]]
    turned = replace(pool, clinical=pool.clinical.assign(sex=pool.clinical["sex"].iloc[::-1].array))
    changed = (pairs.code(turned) != released).any(axis=(0, 2))
    np.testing.assert_array_equal(changed, ["sex" in pair for pair in names])
    # A release with the pairs of the attacked patients themselves favours nobody but by his own small share.
    same = attack_pairs(pairs, attacked, attacked)
    assert (same >= -1e-9).all()


def test_models_are_read_from_their_files_by_modality(recipes, halves, tmp_path):
    models, pool = recipes[1.0]
    files = []
    for modality, model in models.items():
        folder = tmp_path / modality / "private"
        folder.mkdir(parents=True)
        files += [str(folder / "model.safetensors"), str(folder / "model.json")]
        save(model, *files[-2:], folder / "history.tsv")
    read, own = (find_pairs(found) for found in (disclosure.read_models(files), models))
    np.testing.assert_array_equal(read.code(pool), own.code(pool))


def test_the_score_is_the_log_ratio_of_cell_frequencies(recipes):
    """One pair of two groups each, by hand: three of the four others have the cell, five of ten records."""
    pairs = replace(find_pairs(recipes[EPSILONS[0]][0]), sizes=((2, 2),))
    attacked = np.array([[0, 0]] * 4 + [[1, 1], [-1, 0]])[:, None]
    released = np.array([[0, 0]] * 5 + [[1, 1]] * 5)[:, None]
    found = attack_pairs(pairs, attacked, released)
    ours = np.log((5 + 5 * 0.25) / 15) - np.log((3 + 5 * 0.64) / 9)
    np.testing.assert_allclose(found[:4], ours)
    assert found[4] > 0 > found[0]  # the rare cell is more frequent in the release
    assert found[5] == 0  # not counted: nothing is known


def test_the_stage_attacks_the_tree_where_the_recipe_has_one(recipes, halves):
    models, pool = recipes[EPSILONS[0]]
    train, holdout = halves
    size = len(train)
    bare = Comparison(holdout, pool.take(np.arange(size)), train, holdout, pool=pool)
    settings = disclosure.DEFAULTS | {"trees": 20, "exchanges": 100, "local": 1, "redraws": 4}
    found = {}
    for name, comparison in (("without", bare), ("with", replace(bare, models=models))):
        seen = prepare_comparison(disclosure, comparison, settings, lambda *_: np.random.default_rng(1))
        values = disclosure.measure(seen, settings, np.random.default_rng(0))
        found[name] = {v.target: v.value for v in values if v.metric == "disclosure_auc"}
    assert "edges" not in found["without"]
    assert found["with"]["edges"] == pytest.approx(np.mean(areas(recipes[EPSILONS[0]], halves, size)))
    assert found["with"]["all"] >= found["with"]["edges"]
    assert find_pairs({}) is None
