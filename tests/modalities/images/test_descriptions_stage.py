"""The stage of descriptions: identity, floor, and images that do not keep to what they were drawn from."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort

from haemosynth.core.streams import stream
from haemosynth.modalities.images.description import describe
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.stages import descriptions
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

SETTINGS = descriptions.DEFAULTS | {"repeats": 1, "replicates": 3, "reports": 60}


def streams(*names):
    return stream(1, *map(str, names))


@pytest.fixture(scope="module")
def halves():
    cohort = imaged_cohort(120, 2, 1.0)[0]
    order = np.random.default_rng(0).permutation(len(cohort))
    real, candidate = cohort.take(order[:60]), cohort.take(order[60:])
    return Comparison(real=real, candidate=candidate, train=candidate, control=real)


def drawn_from(comparison, table):
    images = replace(images_of(comparison.candidate), descriptions=table)
    return replace(comparison, candidate=comparison.candidate.replace(images=images))


def told(comparison):
    known = prepare_comparison(descriptions, comparison, SETTINGS, streams)
    values = descriptions.measure(known, SETTINGS, np.random.default_rng(0))
    return {(value.metric, value.target): value for value in values}


@pytest.fixture(scope="module")
def found(halves):
    return told(halves)


def test_images_that_are_as_described_are_told_from_others(halves, found):
    table = describe(images_of(halves.candidate))
    kept, real = told(drawn_from(halves, table)), found
    assert kept["drawn_as_described", "all"].value == pytest.approx(1)
    assert abs(kept["drawn_as_another", "all"].value) < 0.15
    assert np.isnan(real["drawn_as_described", "all"].value)
    assert "not drawn from descriptions" in real["drawn_as_described", "all"].reason
    mixed = table.sample(frac=1, random_state=1).reset_index(drop=True)
    assert abs(told(drawn_from(halves, mixed))["drawn_as_described", "all"].value) < 0.15


def test_real_descriptions_are_near_and_planted_errors_are_seen(halves, found):
    table = describe(images_of(halves.candidate))
    hot = told(drawn_from(halves, table.assign(suv_max=3 * table["suv_max"])))
    assert found["description_distance", "all"].value < 0.25
    assert hot["description_distance", "suv_max"].value > 5 * found["description_distance", "suv_max"].value
    emptied = told(drawn_from(halves, table.assign(liver_suv=np.nan)))
    assert emptied["description_missing", "liver_suv"].value > found["description_missing", "liver_suv"].value + 0.3
    alone = table.apply(lambda column: np.random.default_rng(len(column.name)).permutation(column))
    key = ("description_association", "all")
    assert told(drawn_from(halves, alone))[key].value > 1.5 * found[key].value


def test_reports_give_every_field_back(found):
    assert found["report_read", "all"].value > 0.99
    assert found["report_coverage", "all"].value > 0.99
    assert abs(found["report_of_another", "all"].value) < 0.25


def test_nothing_to_compare_is_told(halves):
    empty = replace(halves, real=halves.real.replace(images=images_of(halves.real).take([])))
    values = told(empty).values()
    assert {value.metric for value in values} == {metric.name for metric in descriptions.METRICS}
    assert all(value.reason for value in values)


def test_intervals_and_the_figure(halves, tmp_path):
    comparison = drawn_from(halves, describe(images_of(halves.candidate)))
    comparison = prepare_comparison(descriptions, comparison, SETTINGS, streams)
    table, _ = evaluate(descriptions, comparison, SETTINGS, streams)
    ours = table[(table["target"] == "all") & (table["status"] == "ok")]
    assert len(ours) == len(descriptions.METRICS)
    assert (ours["low"] <= ours["high"]).all()

    def draw():
        return descriptions.figure(comparison, table, SETTINGS, "default")

    assert overlapping(draw()) == []
    assert drawn_alike(draw, tmp_path)
