"""The structure search finds the optimum, known networks are recovered, and pgmpy agrees."""

import gzip
import itertools
import logging
import warnings
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from haemosynth.stats.networks import (
    Network,
    as_pgmpy,
    bic,
    completions,
    edge_strengths,
    equivalence_class,
    fit_tables,
    hill_climb,
    measure_loss,
    structural_hamming_distance,
)


def sampled(seed, variables, patients, most_levels=4):
    """A table drawn from a random network: codes (variables, patients), levels, edges."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(2, most_levels + 1, variables)
    codes, edges = np.zeros((variables, patients), int), np.zeros((variables, variables), bool)
    for child in range(variables):
        configuration = np.zeros(patients, int)
        for parent in sorted(rng.choice(child, rng.integers(0, min(child, 2) + 1), replace=False)) if child else []:
            edges[parent, child] = True
            configuration = configuration * levels[parent] + codes[parent]
        table = rng.dirichlet(np.full(levels[child], 0.7), configuration.max() + 1)
        codes[child] = (table[configuration].cumsum(1)[:, :-1] < rng.random((patients, 1))).sum(1)
    return codes, levels, edges


def free(variables):
    return ~np.eye(variables, dtype=bool)


def all_networks(variables):
    """Every directed graph without cycles."""
    cells = [(i, j) for i in range(variables) for j in range(variables) if i != j]
    for chosen in itertools.product([False, True], repeat=len(cells)):
        edges = np.zeros((variables, variables), bool)
        edges[tuple(np.transpose(cells))] = chosen
        if not np.trace(np.linalg.matrix_power(np.eye(variables) + edges, variables)) > variables:
            yield edges


NETWORKS = list(all_networks(4))


@pytest.fixture(scope="module")
def pgmpy():
    """pgmpy's scores and search, quiet."""
    logging.getLogger("pgmpy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pgmpy import estimators
    return estimators


def framed(codes, levels):
    names = [f"v{i}" for i in range(len(codes))]
    states = {name: list(range(count)) for name, count in zip(names, levels, strict=True)}
    return pd.DataFrame({name: pd.Categorical(row) for name, row in zip(names, codes, strict=True)}), states


@pytest.mark.parametrize("seed", range(3))
def test_the_score_is_that_of_pgmpy(seed, pgmpy):
    from pgmpy.models import DiscreteBayesianNetwork

    codes, levels, edges = sampled(seed, 7, 400)
    frame, states = framed(codes, levels)
    model = DiscreteBayesianNetwork()
    model.add_nodes_from(frame.columns)
    model.add_edges_from((f"v{i}", f"v{j}") for i, j in np.argwhere(edges))
    assert bic(codes, levels, edges) == pytest.approx(pgmpy.BIC(frame, state_names=states).score(model))


@pytest.mark.parametrize("seed", range(6))
def test_the_search_is_no_worse_than_pgmpys(seed, pgmpy):
    codes, levels, _ = sampled(seed, 7, 300)
    frame, states = framed(codes, levels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pgmpy.HillClimbSearch(frame, state_names=states).estimate(
            scoring_method=pgmpy.BIC(frame, state_names=states), max_indegree=4, show_progress=False
        )
    theirs = np.zeros((7, 7), bool)
    for start, end in found.edges():
        theirs[int(start[1:]), int(end[1:])] = True
    ours, score = hill_climb(codes, levels, free(7), patience=200)
    assert score == pytest.approx(bic(codes, levels, ours))
    assert score >= bic(codes, levels, theirs) - 1e-6


def test_of_four_variables_the_best_of_all_networks_is_found():
    for seed in range(8):
        codes, levels, _ = sampled(seed, 4, 200)
        best = max(bic(codes, levels, edges) for edges in NETWORKS)
        assert hill_climb(codes, levels, free(4))[1] == pytest.approx(best)


def test_the_search_keeps_to_its_limits():
    codes, levels, _ = sampled(3, 12, 300)
    allowed = np.triu(np.ones((12, 12), bool), 1)
    allowed[0, 5:] = False
    edges, _ = hill_climb(codes, levels, allowed)
    assert edges.any()
    assert not (edges & ~allowed).any()
    assert hill_climb(codes, levels, free(12), most_parents=1)[0].sum(axis=0).max() == 1
    assert not hill_climb(codes, levels, free(12), most_parents=0)[0].any()


def test_levels_that_nobody_has_and_tiny_tables_are_no_trouble():
    codes = np.zeros((3, 5), int)
    assert hill_climb(codes, np.array([2, 3, 4]), free(3))[0].sum() == 0
    assert hill_climb(codes[:, :1], np.array([2, 3, 4]), free(3))[0].sum() == 0


@pytest.mark.parametrize(
    ("name", "patients", "patience", "least"), [("asia", 100_000, 50, 1.0), ("alarm", 20_000, 1000, 0.93)]
)
def test_published_networks_are_recovered(name, patients, patience, least, pgmpy):
    # Lauritzen and Spiegelhalter, J R Stat Soc B 1988;50:157 (ASIA); Beinlich et al., AIME 1989 (ALARM).
    from pgmpy.readwrite import BIFReader

    file = resources.files("pgmpy.utils") / "example_models" / f"{name}.bif.gz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BIFReader(string=gzip.decompress(file.read_bytes()).decode()).get_model()
        frame = model.simulate(patients, seed=1, show_progress=False)
    names = list(model.nodes())
    codes = np.stack([pd.Categorical(frame[v], categories=model.states[v]).codes for v in names])
    truth = np.zeros((len(names), len(names)), bool)
    for start, end in model.edges():
        truth[names.index(start), names.index(end)] = True
    levels = np.array([len(model.states[v]) for v in names])
    found, score = hill_climb(codes, levels, free(len(names)), patience=patience, tenure=patience // 10)
    assert score >= bic(codes, levels, truth) - 1e-6
    links, known = found | found.T, truth | truth.T
    assert 2 * (links & known).sum() / (links.sum() + known.sum()) >= least
    if least == 1:
        assert structural_hamming_distance(equivalence_class(found), equivalence_class(truth)) == 0


def test_an_equivalence_class_is_what_its_members_share():
    # Two networks are equivalent if and only if they have the same links and colliders (Verma and Pearl, UAI 1990).
    def key(edges):
        links = edges | edges.T
        colliders = {
            (i, j, k) for j in range(4) for i, k in itertools.combinations(np.flatnonzero(edges[:, j]), 2)
            if not links[i, k]
        }  # fmt: skip
        return links.tobytes(), frozenset(colliders)

    members = {}
    for edges in NETWORKS:
        members.setdefault(key(edges), []).append(edges)
    assert len(members) == 185  # essential graphs of four variables, Andersson et al., Ann Stat 1997;25:505
    for group in members.values():
        shared = np.logical_or.reduce(group)
        assert all((equivalence_class(edges) == shared).all() for edges in group)


def test_the_hamming_distance_counts_pairs_once():
    chain, fork, empty = (np.zeros((3, 3), bool) for _ in range(3))
    chain[0, 1] = chain[1, 2] = fork[0, 1] = fork[2, 1] = True
    classes = [equivalence_class(edges) for edges in (chain, fork, empty)]
    assert structural_hamming_distance(classes[0], classes[0]) == 0
    assert structural_hamming_distance(classes[0], classes[1]) == 2
    assert structural_hamming_distance(classes[0], classes[2]) == 2


def test_strengths_are_shares_of_the_networks_of_the_resamples():
    codes, levels, _ = sampled(5, 6, 300)
    other = codes[:, ::-1].copy()
    rows = np.random.default_rng(0).integers(300, size=(8, 150))
    expected = np.mean(
        [hill_climb((codes, other)[i % 2][:, row], levels, free(6))[0] for i, row in enumerate(rows)], axis=0
    )
    assert edge_strengths(np.stack([codes, other]), levels, free(6), rows) == pytest.approx(expected)


def test_the_same_table_completes_to_itself_and_known_values_stay():
    codes, levels, _ = sampled(1, 6, 300)
    rng = np.random.default_rng(0)
    assert (completions(codes, levels, free(6), rng, 4) == codes).all()
    holes = np.where(rng.random(codes.shape) < 0.2, -1, codes)
    filled = completions(holes, levels, free(6), rng, 4)
    assert filled.shape == (4, *codes.shape)
    assert (filled < levels[:, None]).all()
    assert (filled == codes)[:, holes >= 0].all()
    nowhere = np.vstack([holes, np.full(300, -1)])
    assert (completions(nowhere, np.append(levels, 2), free(7), rng, 1)[:, -1] == 0).all()


def test_missing_values_are_drawn_from_what_they_depend_on():
    rng = np.random.default_rng(2)
    first = rng.integers(2, size=2000)
    second = np.where(rng.random(2000) < 0.9, first, 1 - first)
    codes, levels = np.stack([first, second, rng.integers(2, size=2000)]), np.array([2, 2, 2])
    holes = codes.copy()
    holes[1, rng.random(2000) < 0.4] = -1
    filled = completions(holes, levels, free(3), rng, 10)
    drawn = filled[:, 1, holes[1] < 0]
    # Drawn from the frequencies alone, half of them would agree.
    assert (drawn == first[holes[1] < 0]).mean() == pytest.approx(0.9, abs=0.03)
    assert abs(np.corrcoef(drawn.mean(0), codes[2, holes[1] < 0])[0, 1]) < 0.1


def fitted(codes, levels, edges, prior=1.0):
    names = tuple(f"v{i}" for i in range(len(codes)))
    states = tuple(tuple(str(x) for x in range(count)) for count in levels)
    return Network(names, states, edges, fit_tables(codes, levels, edges, prior))


def test_the_explained_loss_is_a_ratio_of_entropies():
    codes, levels, _ = sampled(2, 2, 500)
    edges = np.array([[False, True], [False, False]])
    joint = np.histogram2d(*codes, bins=[np.arange(count + 1) for count in levels])[0]
    expected = entropy(joint.ravel()) / (entropy(joint.sum(0)) + entropy(joint.sum(1)))
    assert measure_loss(fitted(codes, levels, edges, 1e-9), codes) == pytest.approx(expected)
    assert measure_loss(fitted(codes, levels, edges & False, 1e-9), codes) == pytest.approx(1)
    # A patient in whom one value is unknown still counts for the other.
    holes = np.hstack([codes, [[0], [-1]]])
    assert measure_loss(fitted(codes, levels, edges & False), holes) == pytest.approx(1, abs=0.01)


def test_tables_are_distributions_and_unseen_configurations_have_the_frequencies_of_all():
    codes, levels = np.array([[0, 0, 0, 0], [0, 1, 1, 1]]), np.array([2, 2])
    tables = fit_tables(codes, levels, np.array([[False, True], [False, False]]))
    for table in tables:
        assert table.sum(axis=1) == pytest.approx(1)
    assert tables[1][1] == pytest.approx([1.5 / 5, 3.5 / 5])


def test_pgmpy_infers_from_the_exported_network_what_the_tables_say(pgmpy):
    from pgmpy.inference import VariableElimination

    codes, levels, edges = sampled(4, 4, 600, 3)
    network = fitted(codes, levels, edges)
    joint = np.ones(levels)
    for child, table in enumerate(network.tables):
        parents = np.flatnonzero(edges[:, child])
        block = table.reshape(*levels[parents], levels[child])
        axes = [*parents, child]
        block = block.transpose(np.argsort(axes))
        joint = joint * block.reshape([levels[k] if k in axes else 1 for k in range(4)])
    query = VariableElimination(as_pgmpy(network)).query
    for k in range(4):
        others = tuple(i for i in range(4) if i != k)
        assert query([f"v{k}"], show_progress=False).values == pytest.approx(joint.sum(others))
    given = joint[:, 1, :, 0].sum(axis=1)
    found = query(["v0"], {"v1": "1", "v3": "0"}, show_progress=False)
    assert found.values == pytest.approx(given / given.sum())


def test_an_intervention_follows_the_back_door_formula(pgmpy):
    from pgmpy.inference import CausalInference

    rng = np.random.default_rng(0)
    cause = rng.random(3000) < 0.4
    treated = rng.random(3000) < np.where(cause, 0.8, 0.3)
    outcome = rng.random(3000) < 0.2 + 0.3 * treated + 0.4 * cause
    codes = np.stack([cause, treated, outcome]).astype(int)
    edges = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    network = fitted(codes, np.array([2, 2, 2]), edges)
    # sum over the common cause of P(cause) P(outcome | cause, treated)
    expected = network.tables[0][0] @ network.tables[2].reshape(2, 2, 2)[:, 1, 1]
    found = CausalInference(as_pgmpy(network)).query(["v2"], do={"v1": "1"}, show_progress=False)
    assert found.values[1] == pytest.approx(expected)
