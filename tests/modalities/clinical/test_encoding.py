"""Coding and decoding: what was recorded comes back, and coupled endpoints stay coupled."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp, learn, significant
from haemosynth.modalities.clinical.generators.forest import smooth
from haemosynth.reading.resolution import observe
from haemosynth.stats.quantiles import LEAST_PIECE


def coupled_cohort(n: int = 400, seed: int = 0) -> Cohort:
    """Overall survival, remission, relapse, and event-free survival that is the first of relapse and death."""
    rng = np.random.default_rng(seed)
    os_time = np.rint(rng.exponential(30, n).clip(0.3, 120) * 10) / 10
    os_event = (rng.random(n) < 0.6).astype(float)
    remission = np.rint(rng.uniform(1, 2, n) * 10) / 10
    reached = (rng.random(n) < 0.8) & (remission < os_time - 0.2)
    cr_time = np.where(reached, remission, os_time)
    late = np.rint((cr_time + rng.exponential(15, n)) * 10) / 10
    relapsed = reached & (late > cr_time) & (late < os_time)
    relapse_time = np.where(relapsed, late, os_time)
    table = pd.DataFrame(
        {
            "blasts": np.where(rng.random(n) < 0.3, 0.0, np.rint(rng.uniform(1, 100, n))),
            "OS_time": os_time, "OS_event": os_event,
            "CR_time": cr_time, "CR_event": reached.astype(float),
            "RELAPSE_time": relapse_time, "RELAPSE_event": relapsed.astype(float),
            "EFS_time": np.where(relapsed, relapse_time, os_time),
            "EFS_event": np.where(relapsed, 1.0, os_event),
        },
        index=pd.Index([f"P{i}" for i in range(n)], name="patient_id"),
    )  # fmt: skip
    table.loc[table.index[::7], "blasts"] = np.nan
    columns: dict[str, Column] = {"blasts": Column("continuous", low=0, high=100, grain=1.0)}
    for name in ("OS", "CR", "RELAPSE", "EFS"):
        columns[f"{name}_time"] = Column("time", low=0.1, high=120, grain=0.1, unit="months")
        columns[f"{name}_event"] = Column("event")
    return Cohort(Schema("coupled", columns, ("OS", "CR", "RELAPSE", "EFS")), table)


@pytest.mark.parametrize("cohort", [small_cohort(), coupled_cohort()], ids=["small", "coupled"])
def test_training_patients_come_back_near_their_place(cohort):
    encoding = learn(cohort, bins=20)
    decoded = encoding.decode(encoding.encode(cohort.clinical), cohort.schema)
    for name, column in cohort.schema.columns.items():
        if column.derived:
            assert decoded[name].isna().all()
        elif column.numeric:
            came, recorded = decoded[name].to_numpy(), cohort.clinical[name].to_numpy()
            np.testing.assert_array_equal(np.isnan(came), np.isnan(recorded))
            came, recorded = came[~np.isnan(came)], recorded[~np.isnan(recorded)]
            ordered, step = np.sort(recorded), column.grain or 0
            below = np.searchsorted(ordered, came - step), np.searchsorted(ordered, recorded)
            above = np.searchsorted(ordered, came + step, "right"), np.searchsorted(ordered, recorded, "right")
            assert (below[0] - above[1] <= LEAST_PIECE).all(), name
            assert (below[1] - above[0] <= LEAST_PIECE).all(), name
        else:
            assert (decoded[name].astype(str).to_numpy() == cohort.clinical[name].astype(str).to_numpy()).all()


def test_values_of_few_patients_are_not_repeated_and_their_extremes_not_reached():
    rng = np.random.default_rng(0)
    heaped = np.where(rng.random(600) < 0.1, rng.uniform(0, 100, 600), 5.0 * rng.integers(21, size=600))
    smooth_values = rng.lognormal(size=600)
    table = pd.DataFrame({"heaped": heaped, "smooth": smooth_values}, index=pd.Index(range(600), name="patient_id"))
    cohort = Cohort(Schema("c", {name: Column("continuous") for name in table}, ()), table)
    encoding = learn(cohort, bins=20)
    coded = encoding.encode(cohort.clinical)
    moved = [smooth(coded.levels[:, i], coded.levels[:, i], coded.positions[:, i], rng) for i in range(2)]
    assert all(((positions >= 0) & (positions <= 1)).all() for positions in moved)
    decoded = encoding.decode(Coded(coded.levels, np.stack(moved, axis=1)), cohort.schema)
    for name, values in decoded.items():
        released, counts = np.unique(table[name], return_counts=True)
        assert not np.isin(values, released[counts == 1]).any(), name
        assert (values <= np.sort(table[name])[-5]).all(), name
        assert (values >= np.sort(table[name])[4]).all(), name
    assert (decoded["heaped"] % 5 == 0).mean() > 0.8


def random_codes(encoding: Encoding, n: int, seed: int) -> Coded:
    """Every permitted level with equal chance: far from any patient, and still legal."""
    rng = np.random.default_rng(seed)
    levels = np.stack([rng.integers(size, size=n) for size in encoding.sizes], axis=1)
    positions = rng.random(levels.shape)
    follow_up = FollowUp(encoding, n)
    for i in encoding.endpoints:
        permitted = follow_up.permit(i)
        assert permitted.any(axis=1).all()
        levels[:, i] = (rng.random(permitted.shape) * permitted).argmax(axis=1)
        follow_up.add(i, levels[:, i], positions[:, i])
    return Coded(levels, positions)


def test_coupled_endpoints_stay_coupled_whatever_is_drawn():
    cohort = coupled_cohort()
    encoding = learn(cohort, bins=20)
    s = encoding.decode(random_codes(encoding, 5000, 1), cohort.schema)
    for name in ("CR", "RELAPSE", "EFS"):
        assert (s[f"{name}_time"] <= s.OS_time).all()
        assert (s[f"{name}_time"] > 0).all()
    relapsed = s.RELAPSE_event == 1
    assert (s.EFS_time[relapsed] == s.RELAPSE_time[relapsed]).all()
    assert (s.EFS_time[~relapsed] == s.OS_time[~relapsed]).all()
    assert (s.EFS_event[~relapsed] == s.OS_event[~relapsed]).all()
    assert (s.CR_event[relapsed] == 1).all()  # nobody relapses without remission
    assert relapsed.mean() > 0.05
    follows = relapsed & (s.OS_time > s.CR_time + 0.3)
    assert (s.RELAPSE_time[follows] > s.CR_time[follows]).all()


def test_no_end_of_follow_up_beyond_the_limit_of_an_endpoint():
    cohort = coupled_cohort()
    columns = dict(cohort.schema.columns) | {"CR_time": Column("time", low=0.1, high=50, grain=0.1)}
    clipped = cohort.clinical.assign(CR_time=cohort.clinical.CR_time.clip(upper=50))
    encoding = learn(Cohort(replace(cohort.schema, columns=columns), clipped), bins=20)
    s = encoding.decode(random_codes(encoding, 3000, 2), replace(cohort.schema, columns=columns))
    assert s.CR_time.max() <= 50


def test_bins_are_interpolated_and_grain_is_put_back():
    rng = np.random.default_rng(3)
    values = np.round(rng.lognormal(2, 1, 600), 1)
    schema = Schema("one", {"x": Column("continuous", grain=0.1, low=0.1, high=200)})
    index = pd.Index([f"P{i}" for i in range(600)], name="patient_id")
    cohort = Cohort(schema, pd.DataFrame({"x": values}, index=index))
    encoding = learn(cohort, bins=20)
    coded = random_codes(encoding, 20000, 4)
    share = np.bincount(encoding.encode(cohort.clinical).levels[:, 0]) / 600
    coded.levels[:, 0] = rng.choice(len(share), size=20000, p=share)
    decoded = encoding.decode(coded, schema)["x"].to_numpy()
    assert np.allclose(decoded, np.round(decoded, 1), atol=1e-12)
    assert not set(np.round(decoded, 1)) <= set(np.round(values, 1))  # new values, not copies
    quantiles = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(decoded, quantiles), np.quantile(values, quantiles), rtol=0.1, atol=0.1)


def test_large_masses_are_levels_of_their_own():
    encoding = learn(coupled_cohort(), bins=20)
    blasts = encoding.variables[0]
    atoms = [k[0] for level, k in zip(blasts.levels, blasts.knots, strict=True) if level.place == "atom"]
    assert 0.0 in atoms
    assert blasts.levels[0].place == "missing"


def test_an_imputed_constant_and_a_limit_nobody_declared_are_drawn_as_often_as_recorded():
    rng = np.random.default_rng(5)
    values = np.maximum(np.round(rng.lognormal(2, 0.8, 800), 1), 2.0)  # 5 % lie at the limit
    values[rng.random(800) < 0.03] = 9.1873
    index = pd.Index([f"P{i}" for i in range(800)], name="patient_id")
    table = pd.DataFrame({"x": values}, index=index)
    column = observe(Column("continuous"), table["x"])
    assert (column.grain, column.points) == (0.1, (9.1873,))
    cohort = Cohort(Schema("one", {"x": column}), table)
    encoding = learn(cohort, bins=20)
    own = encoding.encode(cohort.clinical)
    rows = rng.integers(800, size=40_000)
    decoded = encoding.decode(Coded(own.levels[rows], rng.random((40_000, 1))), cohort.schema)["x"].to_numpy()
    for mass in (9.1873, 2.0):
        assert (decoded == mass).mean() == pytest.approx((values == mass).mean(), abs=0.005)
    beside = (np.abs(decoded - 9.1873) < 0.15) & (
        decoded != 9.1873
    )  # what lies round the constant is as rare as it was
    assert beside.mean() < 0.04
    assert (np.isclose(decoded, 2.1)).mean() < 0.02


def test_files_hold_the_encoding():
    encoding = learn(coupled_cohort(), bins=10)
    again = Encoding.load(*encoding.save())
    coded = random_codes(encoding, 200, 5)
    schema = coupled_cohort().schema
    pd.testing.assert_frame_equal(encoding.decode(coded, schema), again.decode(coded, schema))


def test_basis_tells_levels_apart_and_features_have_no_gaps():
    cohort = small_cohort()
    encoding = learn(cohort, bins=20)
    coded = encoding.encode(cohort.clinical)
    for i in range(len(encoding.variables)):
        basis = encoding.basis(i)
        assert len(np.unique(basis.round(9), axis=0)) == len(basis)
        assert np.isfinite(encoding.features(i, coded)).all()
        assert np.isfinite(encoding.targets(i, coded)).all()


def test_significant_digits():
    np.testing.assert_array_equal(
        significant(np.array([176.88712, 0.0, 0.0328542094, -1234.56]), 6)[:3], [176.887, 0, 0.0328542]
    )
    assert significant(np.array([0.30000000000000004]), 1)[0] == 0.3


def test_another_schema_is_told():
    cohort = coupled_cohort()
    encoding = learn(cohort, bins=10)
    coded = encoding.encode(cohort.clinical)
    columns = {name: column for name, column in cohort.schema.columns.items() if name != "blasts"}
    with pytest.raises(InputError, match="blasts"):
        encoding.decode(coded, replace(cohort.schema, columns=columns))
    more = dict(cohort.schema.columns) | {"height": Column("continuous")}
    with pytest.raises(InputError, match="height"):
        encoding.decode(coded, replace(cohort.schema, columns=more))
