"""Record and alterations that are drawn together."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import write_table
from haemosynth.core.schema import write_schema
from haemosynth.core.streams import stream
from haemosynth.generate.constraints import check, enforce
from haemosynth.modalities import joint_table
from haemosynth.modalities.clinical import draw as clinical_draw
from haemosynth.modalities.clinical import joint
from haemosynth.modalities.genomic import draw as genomic_draw
from haemosynth.modalities.registry import load_algorithm

QUICK = {"forest": {"trees": 8}, "gan": {"steps": 40, "width": 16, "critic_width": 16}}


@cache
def train() -> Cohort:
    return small_cohort(n=400, seed=4)


def drawn(tmp_path, algorithm, patients) -> Cohort:
    """Patients of a joint recipe, as the workflow draws them."""
    schema = tmp_path / "schema.yaml"
    write_schema(train().schema, schema)
    module = load_algorithm("clinical", algorithm)
    settings = generate.settings_of(module, QUICK[algorithm], "test")
    model = joint.fit(module, train(), settings, stream(1), None)
    record = clinical_draw.draw(module, model, schema, [], patients, stream(2))["clinical"]
    write_table(record, tmp_path / "clinical.parquet")
    takes_up = load_algorithm("genomic", "joint")
    model = takes_up.fit(train(), takes_up.DEFAULTS, stream(3))
    parts = genomic_draw.draw(takes_up, model, schema, [tmp_path / "clinical.parquet"], patients, stream(4))
    matrix = parts["alterations"].set_index("patient_id")
    table = record.set_index("patient_id")[list(train().schema.columns)]
    events, sequenced = matrix.drop(columns="sequenced").astype("float64"), matrix["sequenced"]
    return enforce(Cohort.of(train().schema, table, events, sequenced, parts["mutations"]))


def test_the_longer_table_holds_every_alteration_and_what_is_unknown():
    cohort = train()
    assert cohort.alterations is not None
    table = joint_table.extend_table(cohort)
    back = joint_table.take_up(cohort.record(), table.clinical, cohort.schema.alterations)
    pd.testing.assert_frame_equal(back.alterations, cohort.alterations, check_dtype=False, check_names=False)
    assert (back.sequenced == cohort.sequenced).all()
    assert not table.schema.alterations


@pytest.mark.parametrize("algorithm", list(QUICK))
def test_patients_of_a_joint_recipe_keep_every_constraint(tmp_path, algorithm):
    cohort = drawn(tmp_path, algorithm, 300)
    assert check(cohort) == []
    assert len(cohort) == 300
    real, synthetic = train().alterations.mean(), cohort.alterations.mean()
    assert np.abs(real - synthetic).max() < 0.12
    assert (train().sequenced.mean() - cohort.sequenced.mean()) == pytest.approx(0, abs=0.1)
    carriers = int((cohort.alterations[cohort.schema.genes] == 1).sum().sum())
    assert len(cohort.mutations) >= carriers > 0


def test_what_goes_together_stays_together(tmp_path):
    """An alteration that is planted in all who are old is drawn in the old."""
    cohort = train()
    gene = cohort.schema.genes[0]
    old = (cohort.clinical["age"] > cohort.clinical["age"].median()).astype(float)
    planted = cohort.replace(alterations=cohort.alterations.assign(**{gene: old.where(cohort.sequenced)}))
    module = load_algorithm("clinical", "forest")
    model = joint.fit(module, planted, module.DEFAULTS | QUICK["forest"], stream(1), None)
    table = joint.sample(module, model, planted.schema, 800, stream(2))
    carried = table[joint_table.PREFIX + gene] == "yes"
    known = table[joint_table.PREFIX + gene].notna() & table["age"].notna()
    older = table["age"] > cohort.clinical["age"].median()
    assert carried[known & older].mean() > carried[known & ~older].mean() + 0.6


def test_mistakes_are_told():
    cohort = train()
    module = load_algorithm("clinical", "forest")
    with pytest.raises(InputError, match="there are no alterations"):
        joint.fit(module, cohort.record(), module.DEFAULTS, stream(1), None)
    with pytest.raises(InputError, match="joint: true"):
        joint_table.take_up(cohort.record(), cohort.clinical, cohort.schema.alterations)
    takes_up = load_algorithm("genomic", "joint")
    model = takes_up.fit(cohort, takes_up.DEFAULTS, stream(3))
    bare = Cohort(replace(cohort.schema, alterations={}), cohort.clinical)
    with pytest.raises(InputError, match="joint: true"):
        takes_up.sample(model, bare, stream(1))
