"""The mutations behind synthetic alterations, unknown alterations, and the promises of every genomic generator."""

import io
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.cohort import MUTATION_COLUMNS, Alterations, Cohort, set_types
from haemosynth.core.files import load_model, save_model
from haemosynth.core.schema import Column, Schema
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.genomic.generators import dirichlet_process, logistic_chain, missingness
from haemosynth.modalities.genomic.generators.logistic_chain import find_kinships
from haemosynth.modalities.genomic.generators.variant_calls import fit_clones, sample_mutations

MODULES = [dirichlet_process, logistic_chain]
QUICK = {
    dirichlet_process: {"sweeps": 60, "burn_in": 30, "draws": 5, "folds": 2, "gate_ridge": [10.0, 100.0]},
    logistic_chain: {"event_ridge": [2.0, 8.0], "record_ridge": [32.0]},
}


@pytest.fixture(scope="module", autouse=True)
def one_ridge():
    """The pattern of unknown alterations is learned without a choice, which takes as long as the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(missingness, "GATE_RIDGES", (100.0,))
        yield


def fitted_on(module, cohort: Cohort, **chosen) -> Fitted:
    return module.fit(cohort, {**module.DEFAULTS, **QUICK[module], **chosen}, np.random.default_rng(0), None)


@cache
def fitted_once(module) -> Fitted:
    """The model of the small cohort, for tests that only sample from it."""
    return fitted_on(module, small_cohort(300, seed=1))


@pytest.fixture(scope="module", params=MODULES, ids=["dirichlet_process", "logistic_chain"])
def run(request) -> tuple[Cohort, Cohort, Alterations]:
    """Training patients, 2,000 patients given, and what was made for them."""
    train = small_cohort(600, seed=3)
    given = small_cohort(2000, seed=4)
    fitted = fitted_on(request.param, train)
    return train, given, request.param.sample(fitted, given.record(), np.random.default_rng(1))


def content(made: Alterations) -> bytes:
    buffer = io.BytesIO()
    for table in (made.alterations, made.sequenced.to_frame(), made.mutations):
        buffer.write(table.to_csv().encode())
    return buffer.getvalue()


def mean_by_gene(mutations: pd.DataFrame, column: str) -> pd.Series:
    return mutations.groupby("gene")[column].mean()


# the whole cohort


def test_a_cohort_can_be_built(run):
    train, given, made = run
    cohort = Cohort.of(train.schema, given.clinical, made.alterations, made.sequenced, made.mutations)
    assert list(cohort.mutations.columns) == list(MUTATION_COLUMNS)
    assert set(np.unique(made.alterations.to_numpy()[~np.isnan(made.alterations.to_numpy())])) <= {0.0, 1.0}


def test_every_row_has_its_gene_and_every_gene_its_row(run):
    train, _, made = run
    rows, columns = np.nonzero((made.alterations[train.schema.genes] == 1).to_numpy())
    carriers = set(zip(made.alterations.index[rows], np.array(train.schema.genes)[columns], strict=True))
    assert carriers == set(zip(made.mutations["patient_id"], made.mutations["gene"], strict=True))


def test_without_sequencing_no_gene_is_known(run):
    train, _, made = run
    silent = ~made.sequenced.to_numpy()
    assert made.alterations.loc[silent, train.schema.genes].isna().all(axis=None)
    assert made.sequenced.mean() == pytest.approx(train.sequenced.mean(), abs=0.03)


def test_events_are_unknown_as_often_as_in_training(run):
    train, _, made = run
    assert abs(made.alterations.isna().mean() - train.alterations.isna().mean()).max() < 0.06
    both = [table.isna().astype(float).corr().to_numpy() for table in (train.alterations, made.alterations)]
    above = np.triu_indices(len(both[0]), 1)
    assert np.corrcoef(both[0][above], both[1][above])[0, 1] > 0.9


def test_reads_and_fractions_are_possible(run):
    _, _, made = run
    table = made.mutations.dropna(subset=["alt_count"])
    assert len(table) > 0
    assert (table["alt_count"] >= 1).all()
    assert (table["ref_count"] >= 0).all()
    np.testing.assert_allclose(table["vaf"], table["alt_count"] / (table["alt_count"] + table["ref_count"]))
    assert made.mutations["vaf"].dropna().between(0, 1).all()


def test_burden_is_kept(run):
    _, given, made = run
    known = given.alterations.notna().all(axis=1), made.alterations.notna().all(axis=1)
    real = given.alterations[known[0]].sum(axis=1).clip(upper=14)
    drawn = made.alterations[known[1]].sum(axis=1).clip(upper=14)
    share = [side.value_counts(normalize=True).reindex(range(15), fill_value=0.0) for side in (real, drawn)]
    assert 0.5 * abs(share[0] - share[1]).sum() < 0.12


def test_odds_ratios_are_nearer_than_under_independence(run):
    train, given, made = run
    common = train.alterations.columns[train.alterations.mean() > 0.05]
    rng = np.random.default_rng(0)
    alone = train.alterations[common].apply(lambda column: rng.permutation(column.to_numpy()))
    above = np.triu_indices(len(common), 1)
    real, drawn, floor = (
        table[common].corr().to_numpy()[above] for table in (given.alterations, made.alterations, alone)
    )
    assert np.corrcoef(real, drawn)[0, 1] > 0.5 > abs(np.corrcoef(real, floor)[0, 1]) + 0.1


def test_rare_protein_changes_never_leak(run):
    train, _, made = run
    carriers = train.mutations.groupby(["gene", "hgvsp"])["patient_id"].nunique()
    written = made.mutations.dropna(subset=["hgvsp"])
    assert len(written) > 0
    assert (carriers.loc[list(zip(written["gene"], written["hgvsp"], strict=True))] >= 5).all()


def test_copy_number_follows_the_deletion(run):
    """TP53 has one copy where 17p is deleted."""
    train, _, made = run
    for side in (train, made):
        table = side.mutations[side.mutations["gene"] == "TP53"].dropna(subset=["copy_number"])
        deleted = side.alterations["del(17p)"].reindex(table["patient_id"]).to_numpy()
        assert table["copy_number"][deleted == 1].mean() < table["copy_number"][deleted == 0].mean() - 0.4


# promises of every generator


@pytest.mark.parametrize("module", MODULES)
def test_same_seed_same_bytes_and_the_saved_model_is_the_model(module, tmp_path):
    train, given = small_cohort(300, seed=1), small_cohort(300, seed=2).record()
    first, second = fitted_once(module), fitted_on(module, train)
    save_model(first.arrays, first.description, tmp_path / "m.safetensors", tmp_path / "m.json")
    loaded = Fitted(*load_model(tmp_path / "m.safetensors", tmp_path / "m.json"), pd.DataFrame())
    made = [content(module.sample(model, given, np.random.default_rng(9))) for model in (first, second, loaded)]
    assert made[0] == made[1] == made[2]
    assert content(module.sample(first, given, np.random.default_rng(10))) != made[0]
    assert first.description["parameters"] == sum(array.size for array in first.arrays.values())


@pytest.mark.parametrize("module", MODULES)
def test_any_number_of_patients(module):
    given = small_cohort(300, seed=2).record()
    for n in (1, 2, 0):
        made = module.sample(fitted_once(module), given.take(np.arange(n)), np.random.default_rng(0))
        assert made.alterations.shape == (n, 37)
        assert len(made.sequenced) == n


@pytest.mark.parametrize("module", MODULES)
def test_an_empty_record_is_enough(module):
    """A record with nothing but missing values, in training and in what is given."""
    train = small_cohort(300, seed=1)
    bare = replace(
        train, clinical=set_types(pd.DataFrame(index=train.patients, columns=train.clinical.columns), train.schema)
    )
    made = module.sample(fitted_on(module, bare), bare.record(), np.random.default_rng(0))
    assert abs(made.alterations.mean() - train.alterations.mean()).mean() < 0.03
    known = module.sample(fitted_once(module), bare.record(), np.random.default_rng(0))
    assert abs(known.alterations.mean() - train.alterations.mean()).mean() < 0.05


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nobody_or_everybody_sequenced(module, share):
    train = small_cohort(300, seed=1)
    matrix = train.alterations.copy()
    mutations = train.mutations
    if share == 0.0:
        matrix[train.schema.genes] = np.nan
        mutations = mutations.iloc[:0]
    else:
        matrix = matrix.fillna(0.0)
    odd = train.replace(alterations=matrix, sequenced=pd.Series(share == 1.0, index=matrix.index), mutations=mutations)
    made = module.sample(fitted_on(module, odd), odd.record(), np.random.default_rng(0))
    assert made.sequenced.mean() == share
    assert made.alterations[train.schema.genes].notna().to_numpy().mean() == share


# clones, planted


def planted(n: int, seed: int) -> Cohort:
    """EARLY in 40 % of the cells' reads, LATE in 15 %, BMX on the X chromosome at half the early fraction's copies."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"P{i:04d}" for i in range(n)], name="patient_id")
    purity = np.clip(rng.normal(1.0, 0.12, n), 0.5, 1.2)
    men = rng.random(n) < 0.5
    schema = Schema(
        "clones", {"sex": Column("binary", categories=("Female", "Male"))}, (),
        {"EARLY": "gene", "LATE": "gene", "BMX": "gene", "BMX_dup": "cytogenetic"},
    )  # fmt: skip
    matrix = pd.DataFrame((rng.random((n, 4)) < 0.6).astype(float), index=ids, columns=list(schema.alterations))
    matrix["BMX_dup"] = np.where(matrix["BMX"] == 1, matrix["BMX_dup"], 0.0)
    rows = []
    for i, patient in enumerate(ids):
        for name, fraction in (("EARLY", 0.4), ("LATE", 0.15), ("BMX", 0.4)):
            if matrix.loc[patient, name] == 1:
                vaf = fraction * purity[i] * (2.0 if name == "BMX" and men[i] else 1.0)
                depth = int(rng.integers(150, 400))
                alt = max(1, rng.binomial(depth, min(vaf, 0.99)))
                kind = "duplication" if name == "BMX" and matrix.loc[patient, "BMX_dup"] == 1 else "missense"
                change = "p.R1H" if rng.random() < 0.5 else f"p.X{len(rows)}Y"
                chromosome = "X" if name == "BMX" else "2"
                rows.append((patient, name, chromosome, kind, change, alt, depth - alt, alt / depth, np.nan))
    mutations = pd.DataFrame(rows, columns=list(MUTATION_COLUMNS))
    hide = mutations["gene"].eq("LATE") & (rng.random(len(mutations)) < 0.3)
    mutations[["alt_count", "ref_count", "vaf"]] = mutations[["alt_count", "ref_count", "vaf"]].mask(hide)
    clinical = set_types(pd.DataFrame({"sex": np.where(men, "Male", "Female")}, index=ids), schema)
    return Cohort.of(schema, clinical, matrix, pd.Series(True, index=ids), mutations)


@pytest.fixture(scope="module")
def clones() -> tuple[Cohort, Cohort, pd.DataFrame]:
    train, other = planted(600, 0), planted(600, 1)
    arrays, plain = fit_clones(train, np.empty((600, 0)), 5)
    made = sample_mutations(
        arrays, plain, other.record(), other.alterations, np.empty((600, 0)), np.random.default_rng(2)
    )
    return train, other, made


def test_fractions_are_those_of_unseen_patients(clones):
    from scipy.stats import ks_2samp

    _, other, made = clones
    for gene in ("EARLY", "LATE", "BMX"):
        real, drawn = (table.loc[table["gene"] == gene, "vaf"].dropna() for table in (other.mutations, made))
        assert ks_2samp(real, drawn).statistic < 0.13


def test_clonal_order_is_kept_within_patients(clones):
    """EARLY stands above LATE in a patient, and purity moves both."""
    _, other, made = clones
    for table in (other.mutations, made):
        wide = table.pivot_table(index="patient_id", columns="gene", values="vaf").dropna(subset=["EARLY", "LATE"])
        assert (wide["EARLY"] > wide["LATE"]).mean() > 0.97
        assert np.corrcoef(wide["EARLY"], wide["LATE"])[0, 1] > 0.25


def test_men_have_one_x(clones):
    _, other, made = clones
    table = made[made["gene"] == "BMX"]
    man = (other.clinical["sex"] == "Male").reindex(table["patient_id"]).to_numpy()
    assert table["vaf"][man].median() == pytest.approx(2 * table["vaf"][~man].median(), rel=0.1)
    assert table["vaf"].max() <= 1.0


def test_counts_are_missing_as_often_as_in_training(clones):
    train, _, made = clones
    for gene in ("EARLY", "LATE", "BMX"):
        share = [table.loc[table["gene"] == gene, "alt_count"].isna().mean() for table in (train.mutations, made)]
        assert share[1] == pytest.approx(share[0], abs=0.07)


def test_the_class_follows_its_event_and_private_changes_stay_private(clones):
    _, other, made = clones
    table = made[made["gene"] == "BMX"]
    event = other.alterations["BMX_dup"].reindex(table["patient_id"]).to_numpy() == 1
    assert (table["variant_class"][event] == "duplication").all()
    assert (table["variant_class"][~event] == "missense").all()
    assert set(made["hgvsp"].dropna()) == {"p.R1H"}
    assert made["hgvsp"].isna().mean() == pytest.approx(0.5, abs=0.08)


def test_an_event_named_after_its_gene_never_comes_without_it():
    """BMX_dup is a kind of BMX mutation: kinship is found, and kept by both generators."""
    train = planted(400, 3)
    assert find_kinships(train).tolist() == [[3, 2]]
    for module in MODULES:
        made = module.sample(fitted_on(module, train), planted(2000, 4).record(), np.random.default_rng(0))
        assert (made.alterations["BMX"][made.alterations["BMX_dup"] == 1] == 1).all()


def test_two_variants_share_their_patient_as_often_as_in_training():
    train = planted(300, 5)
    doubled = train.mutations[train.mutations["gene"] == "EARLY"].iloc[::2].assign(hgvsp="p.Q2*")
    train = train.replace(mutations=pd.concat([train.mutations, doubled], ignore_index=True))
    arrays, plain = fit_clones(train, np.empty((300, 0)), 5)
    made = sample_mutations(
        arrays, plain, train.record(), train.alterations, np.empty((300, 0)), np.random.default_rng(0)
    )
    number = made[made["gene"] == "EARLY"].groupby("patient_id").size()
    assert (number == 2).mean() == pytest.approx(0.5, abs=0.12)
    assert not made.dropna(subset=["hgvsp"]).duplicated(["patient_id", "gene", "hgvsp"]).any()


# read depth without spread


def with_depth(cohort: Cohort, depth: np.ndarray) -> Cohort:
    """The cohort with every mutation read at this depth, a share of the reads as its allele frequency says."""
    rows = cohort.mutations.reset_index(drop=True)
    alt = np.maximum(np.rint(rows["vaf"].fillna(0.4) * depth), 1)
    return cohort.replace(mutations=rows.assign(alt_count=alt, ref_count=depth - alt, vaf=alt / depth))


@pytest.mark.parametrize("depth", [100, 1])
def test_a_constant_read_depth_is_drawn_as_it_is(depth):
    train, given = small_cohort(300, seed=3), small_cohort(400, seed=4)
    train = with_depth(train, np.full(len(train.mutations), depth))
    made = logistic_chain.sample(fitted_on(logistic_chain, train), given.record(), np.random.default_rng(1))
    reads = made.mutations["alt_count"] + made.mutations["ref_count"]
    assert len(reads) > 100
    assert (reads == depth).all()
    assert made.mutations["alt_count"].between(1, depth).all()


def test_depths_that_the_patient_alone_decides_stay_depths():
    train, given = small_cohort(300, seed=3), small_cohort(400, seed=4)
    depth = np.where(train.patients.get_indexer(train.mutations["patient_id"]) % 2 == 0, 50, 200)
    train = with_depth(train, depth)
    made = logistic_chain.sample(fitted_on(logistic_chain, train), given.record(), np.random.default_rng(1))
    reads = made.mutations["alt_count"] + made.mutations["ref_count"]
    assert reads.between(50, 200).all()
    assert 0.3 < (reads > 100).mean() < 0.7
