"""Answers are those of arithmetic, effects those that were planted, and pgmpy agrees and reads what is written."""

import itertools
import logging
import warnings

import numpy as np
import pytest

from haemosynth.stats.networks import Network, as_pgmpy, equivalence_class, fit_tables
from haemosynth.stats.queries import (
    DIGITS,
    Effect,
    Query,
    answer_by_elimination,
    average_edges,
    average_tables,
    conditional_probabilities,
    find_known_parents,
    format_bif,
    intervene,
    joint_probability,
    make_effect_network,
    make_legal_names,
    risk_difference,
)

YES = ("no", "yes")


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("pgmpy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def network(edges, tables, names=None, states=None):
    """A network whose variables are yes or no, unless states are given."""
    names = names or tuple(f"v{i}" for i in range(len(edges)))
    states = states or tuple(tuple(f"s{k}" for k in range(table.shape[1])) for table in tables)
    return Network(tuple(names), tuple(states), np.asarray(edges, bool), tuple(tables))


def chain(first, second, third):
    """a -> b -> c: P(a), P(b | a = no, yes), P(c | b = no, yes), each the probability of yes."""
    edges = np.zeros((3, 3), bool)
    edges[0, 1] = edges[1, 2] = True
    tables = [np.array([[1 - p, p] for p in row]) for row in ([first], second, third)]
    return network(edges, tables, "abc", (YES,) * 3)


def random_network(seed, size=7):
    rng = np.random.default_rng(seed)
    levels = rng.integers(2, 5, size)
    edges = np.triu(rng.random((size, size)) < 0.4, 1)
    order = rng.permutation(size)  # parents may stand behind their children
    edges, levels = edges[np.ix_(order, order)], levels[order]
    tables = [rng.dirichlet(np.ones(levels[i]), int(np.prod(levels[edges[:, i]]))) for i in range(size)]
    return network(edges, tables)


def spelt_out(found):
    """The joint distribution of all variables, cell by cell."""
    levels = [len(own) for own in found.states]
    joint = np.zeros(levels)
    for cell in itertools.product(*map(range, levels)):
        chance = 1.0
        for child, table in enumerate(found.tables):
            row = 0
            for parent in np.flatnonzero(found.edges[:, child]):
                row = row * levels[parent] + cell[parent]
            chance *= table[row, cell[child]]
        joint[cell] = chance
    return joint


def all_queries(found, asked):
    return [
        Query(target, level, given, state)
        for target, given in itertools.permutations(asked, 2)
        for level in range(len(found.states[target]))
        for state in range(len(found.states[given]))
    ]


def test_a_chain_answers_what_arithmetic_says():
    found = chain(0.3, (0.1, 0.6), (0.2, 0.9))
    queries = [Query(2, 1, 0, 1), Query(0, 1, 2, 1), Query(2, 1, 1, 1)]
    forward = 0.6 * 0.9 + 0.4 * 0.2
    back = 0.3 * forward / (0.3 * forward + 0.7 * (0.1 * 0.9 + 0.9 * 0.2))
    asked = (2, 0, 1)
    answers = conditional_probabilities(joint_probability(found, asked), asked, queries)
    assert answers == pytest.approx([forward, back, 0.9], abs=1e-12)
    assert answer_by_elimination(found, queries) == pytest.approx(answers, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_answers_are_those_of_the_whole_joint_distribution_and_of_pgmpy(seed):
    found = random_network(seed)
    asked = tuple(np.random.default_rng(seed).permutation(7)[:4].tolist())
    joint = joint_probability(found, asked)
    others = tuple(i for i in range(7) if i not in asked)
    kept = [sorted(asked).index(i) for i in asked]
    assert joint == pytest.approx(spelt_out(found).sum(axis=others).transpose(kept), abs=1e-12)
    queries = all_queries(found, asked)
    answers = conditional_probabilities(joint, asked, queries)
    assert answer_by_elimination(found, queries) == pytest.approx(answers, abs=1e-10)


def test_queries_of_nothing_have_no_answers():
    found = random_network(0)
    assert len(answer_by_elimination(found, [])) == 0
    assert len(conditional_probabilities(joint_probability(found, (0, 1)), (0, 1), [])) == 0


# A confounder z in three levels makes x look harmful (crude), though it protects.
SHARES = np.array([0.5, 0.3, 0.2])
TREATED = np.array([0.15, 0.5, 0.85])
RISK = np.array([[0.15, 0.05], [0.45, 0.35], [0.85, 0.75]])  # of y, by z and x: 0.1 lower where x


def confounded(patients, seed=0):
    """Codes (z, x, y) of patients under the planted confounder."""
    rng = np.random.default_rng(seed)
    z = rng.choice(3, patients, p=SHARES)
    x = (rng.random(patients) < TREATED[z]).astype(int)
    return np.stack([z, x, (rng.random(patients) < RISK[z, x]).astype(int)])


NAMED = network(np.zeros((3, 3)), [np.ones((1, 3)) / 3, np.ones((1, 2)) / 2, np.ones((1, 2)) / 2], "zxy",
                (("low", "middle", "high"), YES, YES))  # fmt: skip


def test_an_adjusted_effect_is_the_planted_one_and_the_crude_one_is_not():
    codes, truth = confounded(40_000), -0.1
    adjusted, crude = (make_effect_network(NAMED, codes, Effect(1, 1, 0, held, 1.0), 2) for held in ((0,), ()))
    share = SHARES @ TREATED
    apparent = SHARES * TREATED @ RISK[:, 1] / share - SHARES * (1 - TREATED) @ RISK[:, 0] / (1 - share)
    assert apparent > 0.2
    # Standard errors are below 0.006 at 40,000 patients.
    assert risk_difference(adjusted, 1, 0) == pytest.approx(truth, abs=0.02)
    assert risk_difference(crude, 1, 0) == pytest.approx(apparent, abs=0.02)
    for found in (adjusted, crude):
        assert intervene(found, 1, 0) == pytest.approx(risk_difference(found, 1, 0), abs=1e-10)
        assert intervene(found, 0, 1) == pytest.approx(-risk_difference(found, 1, 0), abs=1e-10)


def test_an_adjusted_effect_misses_no_patient_it_can_use():
    """Missing at random and weighted by the inverse probability of being known: the planted effect still."""
    codes = confounded(60_000)
    rng = np.random.default_rng(9)
    known = np.where(codes[2] == 1, 0.9, 0.5)  # events are known more often, as under censoring
    seen = rng.random(codes.shape[1]) < known
    holed = codes.copy()
    holed[2, ~seen] = -1
    holed[0, rng.random(codes.shape[1]) < 0.2] = -1
    effect = Effect(1, 1, 0, (0,), 1.0)
    weights = np.where(seen, 1 / known, 0.0)
    weighted = risk_difference(make_effect_network(NAMED, holed, effect, 2, weights), 1, 0)
    assert weighted == pytest.approx(-0.1, abs=0.025)
    unweighted = make_effect_network(NAMED, holed, effect, 2)
    assert unweighted.tables[2][0, 1] > RISK[0, 0] + 0.05


@pytest.mark.parametrize("seed", range(3))
def test_an_effect_of_several_levels_and_parents_is_that_of_pgmpy(seed):
    rng = np.random.default_rng(seed)
    levels = (3, 2, 4, 2)
    codes = np.stack([rng.integers(0, own, 300) for own in levels])
    codes[:, rng.random(300) < 0.1] = -1
    named = network(np.zeros((4, 4)), [np.ones((1, own)) / own for own in levels])
    found = make_effect_network(named, codes, Effect(2, 3, 1, (0, 1), 1.0), 3)
    assert found.names == ("v0", "v1", "v2", "v3")
    assert intervene(found, 3, 1) == pytest.approx(risk_difference(found, 3, 1), abs=1e-10)


def test_patients_in_whom_nothing_is_known_leave_no_effect():
    codes = np.full((3, 20), -1)
    assert risk_difference(make_effect_network(NAMED, codes, Effect(1, 1, 0, (0,), 1.0), 2), 1, 0) == 0


def small_networks(size=4):
    cells = list(itertools.combinations(range(size), 2))
    for kinds in itertools.product((0, 1, 2), repeat=len(cells)):
        edges = np.zeros((size, size), bool)
        for (i, j), kind in zip(cells, kinds, strict=True):
            edges[i, j], edges[j, i] = kind == 1, kind == 2
        if np.trace(np.linalg.matrix_power(np.eye(size) + edges, size)) == size:
            yield edges


def test_parents_are_known_where_all_networks_that_may_stand_have_the_same():
    """Meek's rules 1 to 4 against every network of four variables that is equivalent and keeps to what may stand."""
    every = list(small_networks())
    classes = {}
    for edges in every:
        classes.setdefault(equivalence_class(edges).tobytes(), []).append(edges)
    rng = np.random.default_rng(0)
    several = 0
    for _ in range(400):
        edges = every[rng.integers(len(every))]
        # Orders in time, and single forbidden edges: those reach rule 4.
        tier = rng.integers(0, 3, 4)
        allowed = (tier[:, None] <= tier) if rng.random() < 0.5 else rng.random((4, 4)) < 0.7
        allowed = (allowed | edges) & ~np.eye(4, dtype=bool)
        members = [other for other in classes[equivalence_class(edges).tobytes()] if not (other & ~allowed).any()]
        same = [all((other[:, i] == edges[:, i]).all() for other in members) for i in range(4)]
        assert find_known_parents(edges, allowed).tolist() == same
        several += len(members) > 1
    assert several > 50


def test_what_is_only_linked_within_a_tier_has_no_known_parents():
    edges = np.zeros((3, 3), bool)
    edges[0, 1] = edges[1, 2] = True  # a - b within a tier, c behind
    tiers = np.array([0, 0, 1])
    allowed = (tiers[:, None] <= tiers) & ~np.eye(3, dtype=bool)
    assert find_known_parents(edges, allowed).tolist() == [False, False, True]
    first = np.array([0, 1, 2])
    assert find_known_parents(edges, (first[:, None] <= first) & ~np.eye(3, dtype=bool)).all()


def test_an_averaged_network_takes_the_strongest_pairs_and_closes_no_cycle():
    strength = np.zeros((4, 4))
    strength[0, 1], strength[1, 0] = 0.5, 0.4
    strength[1, 2] = 0.8
    strength[2, 0], strength[0, 2] = 0.5, 0.1  # the weakest: 2 -> 0 would close a cycle
    strength[2, 3] = 0.5  # not above the threshold
    edges = average_edges(strength, 0.5)
    assert np.argwhere(edges).tolist() == [[0, 1], [0, 2], [1, 2]]
    # Where the other direction was never found, the pair is left out.
    strength[0, 2] = 0
    strength[2, 0] = 0.6
    assert np.argwhere(average_edges(strength, 0.5)).tolist() == [[0, 1], [1, 2]]


def test_an_averaged_network_keeps_to_the_most_parents():
    strength = np.zeros((5, 5))
    strength[:4, 4] = [0.6, 0.9, 0.7, 0.8]
    assert np.argwhere(average_edges(strength, 0.5, 2)).tolist() == [[1, 4], [3, 4]]


@pytest.mark.parametrize("seed", range(20))
def test_no_averaged_network_has_a_cycle(seed):
    strength = np.random.default_rng(seed).random((8, 8)) / 2
    edges = average_edges(strength, 0.3, 8)
    assert edges.sum() > 10
    assert np.trace(np.linalg.matrix_power(np.eye(8) + edges, 8)) == 8


def test_averaged_tables_are_those_of_a_single_completion_and_lie_between_two():
    codes = confounded(200).astype(np.uint8)
    levels, edges = np.array([3, 2, 2]), np.triu(np.ones((3, 3), bool), 1)
    alone = average_tables(codes[None], levels, edges)
    for one, other in zip(alone, fit_tables(codes, levels, edges), strict=True):
        assert (one == other).all()
    second = confounded(200, 1).astype(np.uint8)
    both = average_tables(np.stack([codes, second]), levels, edges)
    for mean, one, other in zip(both, alone, fit_tables(second, levels, edges), strict=True):
        assert mean == pytest.approx((one + other) / 2)
        assert mean.sum(axis=1) == pytest.approx(1)


NAMES = ["t(4;14)", "t(4,14)", "table", "5q", "β2", "NRAS", "nras", "a // b", 'a "b"']


def test_legal_names_are_identifiers_and_stay_apart():
    found = make_legal_names(NAMES)
    assert all(word.isascii() and word.isidentifier() and word[0].isalpha() for word in found)
    assert len({word.lower() for word in found}) == len(NAMES)
    assert found[0] == "t_4_14"
    assert found[5] == "NRAS"
    assert make_legal_names(found) == found


@pytest.mark.parametrize("seed", range(4))
def test_a_written_network_is_read_back_as_it_was(seed):
    from pgmpy.readwrite import BIFReader

    found = random_network(seed)
    states = tuple(("below 3.5", "3.5 to 5, or so", "above 5", "un*/known")[: len(own)] for own in found.states)
    found = Network(tuple(NAMES[:7]), states, found.edges, found.tables)
    text = format_bif(found, ["Made of nobody."])
    assert text == format_bif(found, ["Made of nobody."])
    assert text.startswith("// Made of nobody.\n// t_4_14 = t(4;14); below_3_5 = below 3.5;")
    model = BIFReader(string=text).get_model()
    assert model.check_model()
    names = make_legal_names(found.names)
    assert set(model.nodes) == set(names)
    assert set(model.edges) == {(names[i], names[j]) for i, j in np.argwhere(found.edges)}
    for name, own, plain in zip(names, found.states, as_pgmpy(found).get_cpds(), strict=True):
        cpd = model.get_cpds(name)
        assert tuple(cpd.state_names[name]) == make_legal_names(own)
        order = [names[found.names.index(parent)] for parent in plain.variables]
        assert cpd.variables == order
        assert cpd.values == pytest.approx(plain.values, abs=10.0**-DIGITS)


def test_names_that_are_legal_need_no_comment_and_an_empty_network_is_written():
    assert not format_bif(chain(0.3, (0.1, 0.6), (0.2, 0.9))).startswith("//")
    nothing = Network((), (), np.zeros((0, 0), bool), ())
    assert format_bif(nothing, ["too few"]) == "// too few\nnetwork unknown {\n}\n"
