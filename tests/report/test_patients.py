"""Single synthetic patients whole: what stands beside them is an average of real ones, and nothing of it leaves."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fixtures_expression import halves
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort
from fixtures_small import small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.modalities.expression.part import expression_of
from haemosynth.report.patients import SHOWN, choose_patients, draw_patients, find_archetypes


@cache
def sides():
    train, holdout = halves()
    return holdout, train


def words(figure):
    figure.canvas.draw()
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_an_archetype_is_no_single_patient():
    synthetic, train = sides()
    found = find_archetypes(synthetic, train)
    assert min(map(len, found.members)) >= MIN_CELL_COUNT
    together = np.concatenate(found.members)
    assert len(np.unique(together)) == len(together)
    assert found.nearest.max() < len(found.members)
    assert len(found.nearest) == len(synthetic)


def test_training_patients_are_nearest_to_their_own_archetype():
    _, train = sides()
    found = find_archetypes(train, train)
    for c, rows in enumerate(found.members):
        assert (found.nearest[rows] == c).mean() > 0.95


def test_the_patients_shown_have_all_modalities_and_differ():
    synthetic, train = sides()
    rows = choose_patients(synthetic, find_archetypes(synthetic, train))
    assert len(set(rows)) == SHOWN
    assert synthetic.patients[rows].isin(expression_of(synthetic).obs_names).all()


def test_values_of_the_patients_stand_in_the_figure_and_no_identifier_of_a_real_one():
    synthetic, train = sides()
    row = choose_patients(synthetic, find_archetypes(synthetic, train))[0]
    told = words(draw_patients(synthetic, train))
    assert f"Synthetic patient {synthetic.patients[row]}" in told
    assert f"{synthetic.clinical['age'].iloc[row]:.3g}" in told
    assert not any(patient in " ".join(told) for patient in train.patients)


@pytest.mark.parametrize("kind", ["expression", "images", "record alone", "few"])
def test_patients_of_any_modalities_are_drawn_legibly_and_alike(kind, tmp_path):
    if kind == "expression":
        synthetic, train = sides()
    elif kind == "images":
        cohort, _ = imaged_cohort(60)
        synthetic, train = cohort.take(range(30)), cohort.take(range(30, 60))
    else:
        cohort = small_cohort(60).record()
        few = kind == "few"
        synthetic, train = cohort.take(range(2 if few else 30)), cohort.take(range(50, 60) if few else range(30, 60))
    assert overlapping(draw_patients(synthetic, train)) == []
    assert drawn_alike(lambda: draw_patients(synthetic, train), tmp_path)


def test_what_leaves_is_made_without_single_patients():
    from test_dossier_page import Outline, page

    svg = '<svg xmlns="http://www.w3.org/2000/svg"><text>one whole patient</text></svg>'
    shown = Outline(page(release=False, patients={"default": svg}))
    assert "Single synthetic patients" in shown.text
    plain, leaving = page(release=True), page(release=True, patients={"default": svg})
    assert leaving == plain
    rules = (Path(__file__).parents[2] / "workflow/rules/publish.smk").read_text()
    assert "whole_patients" not in rules


def test_unknown_values_are_told_as_unknown():
    synthetic, train = sides()
    blank = replace(synthetic, clinical=synthetic.clinical.assign(age=np.nan))
    assert "unknown" in words(draw_patients(blank, train))
