"""The planted model of alterations: exact, and what its tables must obey."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.simulate.truth import INSTABILITY, NONE, describe_pairs, solve_event_model


def table(*rows):
    return pd.DataFrame(rows, columns=["alteration", "kind", "frequency"])


def links(*rows):
    return pd.DataFrame(list(rows), columns=["first", "second", "log_odds"])


EVENTS = table(
    ("P1", "primary", 0.3),
    ("P2", "primary", 0.2),
    ("A", "cytogenetic", 0.4),
    ("B", "gene", 0.25),
    ("C", "gene", 0.1),
    ("D", "gene", 0.07),
)
PAIRS = links(
    ("P1", "A", 1.5),
    (INSTABILITY, "A", 0.8),
    (INSTABILITY, "D", 1.1),
    ("A", "B", -1.2),
    ("B", "C", 2.0),
    ("A", "C", 0.4),
)


def enumerated(model):
    """Probability of every combination of events, state by state, event by event."""
    total = {}
    for state, weight in enumerate(model.weights):
        for combination in product((0, 1), repeat=len(model.events)):
            probability = weight
            for j, value in enumerate(combination):
                if np.isnan(model.intercepts[j]):
                    present = model.given_state[state, j]
                else:
                    earlier = sum(model.event_effects[j, k] * combination[k] for k in range(j))
                    present = expit(model.intercepts[j] + model.state_effects[state, j] + earlier)
                probability *= present if value else 1 - present
            total[combination] = total.get(combination, 0.0) + probability
    return total


def test_frequencies_and_joint_probabilities_equal_full_enumeration():
    model = solve_event_model(EVENTS, PAIRS, 0.2)
    full = enumerated(model)
    assert sum(full.values()) == pytest.approx(1)
    for j in range(6):
        for k in range(6):
            both = sum(p for c, p in full.items() if c[j] and c[k])
            assert model.joint[j, k] == pytest.approx(both, abs=1e-12)
    assert model.frequencies == pytest.approx(EVENTS["frequency"].to_numpy(), abs=1e-10)


def test_a_pair_that_shares_nothing_else_keeps_its_coefficient_as_marginal_log_odds_ratio():
    model = solve_event_model(EVENTS, links(("B", "C", 1.7)), 0.2)
    ratios = model.log_odds_ratios()
    assert ratios[4, 3] == pytest.approx(1.7, abs=1e-9)
    assert ratios[4, 2] == pytest.approx(0, abs=1e-9)


def test_primary_events_exclude_one_another():
    model = solve_event_model(EVENTS, PAIRS, 0.2)
    assert model.log_odds_ratios()[0, 1] == -np.inf
    told = next(p for p in describe_pairs(model, PAIRS) if {p["first"], p["second"]} == {"P1", "P2"})
    assert told["odds_ratio"] == 0
    assert told["log_odds_ratio"] is None
    state, drawn = model.sample(2000, np.random.default_rng(3))
    assert (drawn[:, :2].sum(axis=1) <= 1).all()
    assert [model.subgroups[s] for s in state[:50]] == [
        "P1" if row[0] else "P2" if row[1] else NONE for row in drawn[:50]
    ]


def test_sampled_combinations_follow_the_enumeration():
    model = solve_event_model(EVENTS, PAIRS, 0.2)
    n = 40_000
    _, drawn = model.sample(n, np.random.default_rng(4))
    found = pd.Series([tuple(row) for row in drawn.astype(int)]).value_counts()
    expected = pd.Series({c: p * n for c, p in enumerated(model).items() if p * n >= 5})
    statistic = ((found.reindex(expected.index, fill_value=0) - expected) ** 2 / expected).sum()
    assert statistic < len(expected) + 4 * np.sqrt(2 * len(expected))


@pytest.mark.parametrize(
    ("events", "pairs", "message"),
    [
        (EVENTS, links(("C", "B", 1.0)), "C ~ B: the first event must come earlier"),
        (EVENTS, links(("A", "P1", 1.0)), "A ~ P1: the first event must come earlier"),
        (EVENTS, links(("A", "X", 1.0)), "A ~ X names an event that alterations.tsv lacks"),
        (table(("P1", "primary", 0.7), ("P2", "primary", 0.4)), links(), "add up to at most 1"),
        (
            table(*[(f"G{i}", "gene", 0.1) for i in range(16)]),
            links(*[("G0", f"G{i}", 0.5) for i in range(1, 16)]),
            "16 events are linked",
        ),
    ],
)
def test_wrong_tables_are_told(events, pairs, message):
    with pytest.raises(InputError, match=message):
        solve_event_model(events, pairs, 0.1)
