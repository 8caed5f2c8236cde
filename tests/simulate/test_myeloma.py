"""The simulated myeloma cohort keeps what its tables and its truth say."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures_small import RESOURCES, small_cohort
from scipy.stats import binom, spearmanr

from haemosynth.core.derive import derive
from haemosynth.core.errors import InputError
from haemosynth.core.files import read_yaml
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.clinical.simulate.myeloma import GRAINS, TABLES, _design, _positive_stable, read_aggregates
from haemosynth.modalities.cohort_files import read_cohort, write_cohort

N = 20_000
IGH = ["t(11;14)", "t(4;14)", "t(14;16)", "t(14;20)", "t(6;14)"]
FOLDER = RESOURCES / "myeloma"


def simulated(n, seed=7, **source):
    return simulate_cohort(
        "big", {"format": "simulated", "patients": n, **source}, RESOURCES, np.random.default_rng(seed)
    )


def allowed_misses(trials, level=0.05):
    """Misses of 95 % intervals that chance exceeds once in a thousand times."""
    return binom.ppf(0.999, trials, level)


@pytest.fixture(scope="module")
def known():
    return read_aggregates(FOLDER)


@pytest.fixture(scope="module")
def complete():
    return simulated(N, missing=False)


@pytest.fixture(scope="module")
def masked():
    return simulated(N)  # the same draws as `complete`: values are hidden last


# ---- alterations


def test_alteration_frequencies_are_those_of_the_table(complete, known):
    cohort, truth = complete
    table = known["alterations"].set_index("alteration")["frequency"]
    assert truth["alterations"]["frequency"] == pytest.approx(table.to_dict(), abs=1e-9)
    z = (cohort.alterations.mean() - table) / np.sqrt(table * (1 - table) / N)
    assert (z.abs() > 1.96).sum() <= allowed_misses(len(z))
    assert z.abs().max() < 4.5


def test_every_pair_odds_ratio_is_recovered(complete):
    cohort, truth = complete
    matrix = cohort.alterations
    values, counts = matrix.to_numpy(), {}
    both = values.T @ values
    for kind in ("planted", "all"):
        misses = trials = 0
        for pair in truth["alterations"]["pairs"]:
            j, k = matrix.columns.get_loc(pair["first"]), matrix.columns.get_loc(pair["second"])
            cells = np.array([both[j, k], both[j, j] - both[j, k], both[k, k] - both[j, k]])
            cells = np.append(cells, N - cells.sum())
            if pair["log_odds_ratio"] is None:
                assert both[j, k] == 0
            elif N * pair["both"] >= 10 and (kind == "all" or pair["planted"]):
                found = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
                trials += 1
                misses += abs(found - pair["log_odds_ratio"]) > 1.96 * np.sqrt((1 / cells).sum())
        counts[kind] = (misses, trials)
        assert misses <= allowed_misses(trials)
    assert counts["planted"][1] >= 30
    assert counts["all"][1] >= 400


@pytest.mark.parametrize(
    ("first", "second", "sign"),
    [
        ("t(4;14)", "del(13q)", 1),
        ("t(4;14)", "FGFR3", 1),
        ("t(11;14)", "CCND1", 1),
        ("t(11;14)", "IRF4", 1),
        ("hyperdiploidy", "MYC rearrangement", 1),
        ("del(17p)", "TP53", 1),
        ("del(13q)", "DIS3", 1),
        ("KRAS", "NRAS", -1),
        ("KRAS", "BRAF", -1),
        ("NRAS", "BRAF", -1),
    ],
)
def test_published_associations_have_their_direction(complete, first, second, sign):
    pair = next(p for p in complete[1]["alterations"]["pairs"] if {p["first"], p["second"]} == {first, second})
    assert sign * pair["log_odds_ratio"] > 0.5


def test_primary_events_are_exclusive_and_name_the_subgroup(complete):
    cohort, truth = complete
    primary = cohort.alterations[["hyperdiploidy", *IGH]]
    assert primary.sum(axis=1).max() == 1
    subgroup = pd.Series(truth["subgroups"]["of_patient"])
    assert (subgroup[primary.sum(axis=1) == 1] == primary.idxmax(axis=1)[primary.sum(axis=1) == 1]).all()
    assert (subgroup[primary.sum(axis=1) == 0] == "no primary event").all()


# ---- clinical record


def test_laboratory_values_keep_their_published_quantiles(complete, known):
    clinical = complete[0].clinical
    for _, row in known["laboratory"].iterrows():
        column, grain = row["column"], GRAINS.get(row["column"], ("", 1.0))[1]
        if column == "plasma_cells":  # recorded in fives and tens: half a step either way
            grain = 10.0
        below = (clinical[column] < row["value"] - grain).mean()
        upto = (clinical[column] <= row["value"] + grain).mean()
        assert below - 0.015 <= row["quantile"] <= upto + 0.015, (column, row["value"])


@pytest.mark.parametrize(
    ("column", "low", "high", "share"),
    [
        ("haemoglobin", 0, 12.0, 0.73),  # Kyle et al., Mayo Clin Proc 2003;78:21
        ("creatinine", 177, np.inf, 0.19),
        ("calcium", 2.74, np.inf, 0.13),
        ("beta2_microglobulin", 2.75, np.inf, 0.75),
        ("beta2_microglobulin", 5.5, np.inf, 0.336),  # stage III, Greipp et al., J Clin Oncol 2005;23:3412
        ("age", 0, 39.9, 0.02),
        ("age", 70, np.inf, 0.38),
    ],
)
def test_published_shares_of_abnormal_values(complete, column, low, high, share):
    assert complete[0].clinical[column].between(low, high).mean() == pytest.approx(share, abs=0.02)


def test_medians_near_the_published(complete):
    clinical = complete[0].clinical
    assert clinical["age"].median() == 66  # Kyle 2003
    assert clinical["haemoglobin"].median() == pytest.approx(10.9, abs=0.4)


def test_level_frequencies_are_those_of_the_table(complete, known):
    clinical = complete[0].clinical
    for _, row in known["levels"].iterrows():
        share = (clinical[row["column"]] == row["level"]).mean()
        assert share == pytest.approx(row["frequency"], abs=0.015), (row["column"], row["level"])


def test_laboratory_values_depend_on_one_another(complete):
    rank = complete[0].clinical[list(GRAINS)].corr("spearman")
    assert rank.loc["creatinine", "beta2_microglobulin"] > 0.4
    assert rank.loc["haemoglobin", "creatinine"] < -0.2
    assert rank.loc["haemoglobin", "beta2_microglobulin"] < -0.3
    assert rank.loc["albumin", "beta2_microglobulin"] < -0.1


def test_sex_follows_the_published_direction(complete):
    """Boyd et al., 2011: hyperdiploidy is more common in men, translocations in women."""
    cohort, _ = complete
    by_sex = (
        cohort.alterations.assign(igh=cohort.alterations[IGH].sum(axis=1))
        .groupby(cohort.clinical["sex"], observed=True)[["hyperdiploidy", "igh"]]
        .mean()
    )
    assert by_sex.loc["Female", "hyperdiploidy"] < by_sex.loc["Male", "hyperdiploidy"] - 0.04
    assert by_sex.loc["Female", "igh"] > by_sex.loc["Male", "igh"] + 0.04


def test_values_stand_on_their_recording_grain(masked):
    cohort, _ = masked
    for name, column in cohort.schema.columns.items():
        if column.grain:
            steps = cohort.clinical[name].dropna() / column.grain
            assert np.abs(steps - steps.round()).max() < 1e-6, name
        values = cohort.clinical[name].dropna()
        if column.low is not None:
            assert values.min() >= column.low
        if column.high is not None:
            assert values.max() <= column.high
    last = cohort.clinical["plasma_cells"].dropna() % 10
    assert (last == 0).sum() > 2 * (last == 5).sum() > 0


def test_derived_columns_equal_their_recomputation(masked, complete):
    for cohort, _ in (masked, complete):
        pd.testing.assert_frame_equal(derive(cohort).clinical, cohort.clinical)
    clinical = complete[0].clinical
    b, a = clinical["beta2_microglobulin"], clinical["albumin"]
    assert (clinical.loc[b >= 5.5, "ISS"] == "III").all()
    assert (clinical.loc[(b < 3.5) & (a >= 35), "ISS"] == "I").all()
    high_risk = complete[0].alterations[["del(17p)", "t(4;14)", "t(14;16)"]].max(axis=1) == 1
    assert ((clinical["high_risk_cytogenetics"] == "Yes") == high_risk).all()
    adverse = high_risk | (clinical["LDH"] > 250)
    assert ((clinical["R_ISS"] == "III") == ((clinical["ISS"] == "III") & adverse)).all()
    assert ((clinical["R_ISS"] == "I") == ((clinical["ISS"] == "I") & ~adverse)).all()


# ---- survival


def test_progression_free_survival_never_exceeds_overall_survival(complete):
    clinical = complete[0].clinical
    assert (clinical["PFS_time"] <= clinical["OS_time"]).all()
    assert (clinical["OS_time"] > 0).all()
    assert (clinical["PFS_time"] > 0).all()
    # A death is a PFS event; without an event both end with follow-up.
    assert (clinical.loc[clinical["OS_event"] == 1, "PFS_event"] == 1).all()
    free = clinical["PFS_event"] == 0
    assert (clinical.loc[free, "PFS_time"] == clinical.loc[free, "OS_time"]).all()


def test_cox_recovers_the_planted_hazard_ratios(complete, known):
    from lifelines import CoxPHFitter

    cohort, truth = complete
    design = _design(known, cohort.clinical, cohort.alterations)
    misses, found = 0, []
    for endpoint in ("OS", "PFS"):
        fit = CoxPHFitter().fit(
            design.assign(T=cohort.clinical[f"{endpoint}_time"], E=cohort.clinical[f"{endpoint}_event"]), "T", "E"
        )
        planted = pd.Series(truth["survival"]["log_hazard_ratios"][endpoint])
        z = (fit.params_ - planted) / fit.standard_errors_
        found.extend(z)
        misses += (z.abs() > 1.96).sum()
    assert misses <= allowed_misses(len(found))
    assert np.abs(found).max() < 4
    assert planted["transplant"] < 0 < planted["del(17p)"]


@pytest.mark.parametrize("endpoint", ["OS", "PFS"])
def test_survival_is_weibull_with_the_planted_hazard_ratios(complete, known, endpoint):
    """Cox-Snell residuals: the planted cumulative hazard at each patient's time is a censored standard exponential."""
    from lifelines import KaplanMeierFitter

    cohort, truth = complete
    told = truth["survival"]
    design = _design(known, cohort.clinical, cohort.alterations)
    risk = np.exp(design @ pd.Series(told["log_hazard_ratios"][endpoint])[design.columns])
    weibull = told["weibull"][endpoint]
    level = weibull["reference_cumulative_hazard_at_60_months"]
    residual = level * risk * (cohort.clinical[f"{endpoint}_time"] / 60) ** weibull["shape"]
    fit = KaplanMeierFitter().fit(residual, cohort.clinical[f"{endpoint}_event"])
    for point in (0.05, 0.1, 0.2, 0.4, 0.8):
        assert float(fit.predict(point)) == pytest.approx(np.exp(-point), abs=0.012)


def test_survival_at_five_years_is_the_published(complete, known):
    """Palumbo et al., J Clin Oncol 2015: mixed over the revised stages; also the stages keep their order."""
    from lifelines import KaplanMeierFitter

    clinical = complete[0].clinical

    def at_five_years(rows, endpoint):
        fit = KaplanMeierFitter().fit(rows[f"{endpoint}_time"], rows[f"{endpoint}_event"])
        return float(fit.predict(60))

    for endpoint in ("OS", "PFS"):
        assert at_five_years(clinical, endpoint) == pytest.approx(known.numbers[f"{endpoint} at 60 months"], abs=0.02)
    published = {"I": 0.82, "II": 0.62, "III": 0.40}
    for stage, share in published.items():
        assert at_five_years(clinical[clinical["R_ISS"] == stage], "OS") == pytest.approx(share, abs=0.06)


def test_no_combination_of_covariates_lets_overall_survival_overtake_progression(known):
    """The hazard of PFS is at least that of OS for the worst patient the tables allow."""
    numbers = known.numbers
    wide = known["hazard_ratios"].pivot_table(index="covariate", columns="endpoint", values="hazard_ratio")
    excess = np.log(wide["OS"]) - np.log(wide["PFS"])
    excess["age"] *= (numbers["oldest"] - 66) / 10
    excess["ISS II"] = 0  # stage III instead
    excess[["t(4;14)", "t(14;20)"]] = 0  # t(14;16) instead: they exclude one another
    room = np.log(numbers["PFS reference hazard"] / numbers["OS reference hazard"])
    assert excess.clip(lower=0).sum() < room
    assert -(numbers["youngest"] - 66) / 10 * excess["age"] > 0  # the young have room to spare


@pytest.mark.parametrize("index", [0.4, 0.65, 0.9])
def test_frailty_has_the_laplace_transform_of_a_positive_stable_variable(index):
    z = _positive_stable(index, 100_000, np.random.default_rng(5))
    for s in (0.2, 1.0, 4.0):
        values = np.exp(-s * z)
        assert values.mean() == pytest.approx(np.exp(-(s**index)), abs=4 * values.std() / np.sqrt(len(z)))


# ---- missingness


def test_missingness_depends_on_age_and_centre_as_stated_and_on_nothing_hidden(complete, masked, known):
    full, (cohort, truth) = complete[0], masked
    age = (full.clinical["age"].to_numpy() - 66) / 10
    centre = full.clinical["centre"].astype(str)
    probes = {
        "one": np.ones(N),
        "age": age,
        **{f"centre {c}": (centre == c).to_numpy(float) for c in sorted(centre.unique())},
        "true LDH": np.log(full.clinical["LDH"].to_numpy()),
        "true beta-2": np.log(full.clinical["beta2_microglobulin"].to_numpy()),
        "OS": full.clinical["OS_time"].to_numpy(),
        "death": full.clinical["OS_event"].to_numpy(),
        "del(17p)": full.alterations["del(17p)"].to_numpy(),
    }
    scores = []  # (columns, probes): standard normal where hiding follows the stated probabilities alone
    for column, told in truth["missingness"]["columns"].items():
        logit = told["intercept"] + told["log_odds_per_10_years_from_median_age"] * age + centre.map(told["centre"])
        p = 1 / (1 + np.exp(-logit.to_numpy()))
        assert p.mean() == pytest.approx(told["rate"], abs=0.01)
        if column == "sequencing":
            hidden = ~cohort.sequenced.to_numpy()
        elif column in cohort.clinical:
            hidden = cohort.clinical[column].isna().to_numpy()
        else:
            continue
        centred = [probe - probe.mean() if probe.std() > 0 else probe for probe in probes.values()]
        scores.append([((hidden - p) * g).sum() / np.sqrt((p * (1 - p) * g**2).sum()) for g in centred])
    scores = np.array(scores)
    assert len(scores) > 12
    assert np.abs(scores).max() < 4.3
    assert np.abs(scores.sum(axis=0) / np.sqrt(len(scores))).max() < 3.5
    # ... and it does depend on them.
    ldh = cohort.clinical["LDH"].isna()
    assert ldh[centre == "F"].mean() > ldh[centre == "C"].mean() + 0.1
    assert spearmanr(ldh, age).statistic > 0.02


def test_hiding_changes_no_value(complete, masked):
    full, cohort = complete[0], masked[0]
    derived = [name for name, column in cohort.schema.columns.items() if column.derived]
    for before, after in (
        (full.clinical.drop(columns=derived), cohort.clinical.drop(columns=derived)),
        (full.alterations, cohort.alterations),
    ):
        assert ((before == after) | after.isna()).to_numpy().all()
        assert not before.isna().to_numpy().any()


def test_unsequenced_patients_have_unknown_genes_and_no_mutations(masked):
    cohort = masked[0]
    genes = cohort.alterations[cohort.schema.genes]
    assert (~cohort.sequenced).mean() == pytest.approx(0.10, abs=0.01)
    assert genes[~cohort.sequenced].isna().to_numpy().all()
    assert genes[cohort.sequenced].notna().to_numpy().all()
    seen = pd.crosstab(cohort.mutations["patient_id"], cohort.mutations["gene"]) > 0
    seen = seen.reindex(index=cohort.patients, columns=genes.columns, fill_value=False)
    assert (seen[cohort.sequenced] == (genes[cohort.sequenced] == 1)).to_numpy().all()
    assert not seen[~cohort.sequenced].to_numpy().any()


# ---- clones and reads


def test_earlier_events_have_higher_cancer_cell_fractions(complete, known):
    cohort, truth = complete
    table = pd.DataFrame(truth["mutations"])
    first = table[~table["second"]]
    ability = pd.Series(truth["order"]["log_ability"])
    true = first.groupby("gene")["cancer_cell_fraction"].mean()
    assert spearmanr(true, ability[true.index]).statistic > 0.9
    # From what is recorded: two copies' worth of VAF per cell, corrected for copy number.
    mutations = cohort.mutations[~table["second"].to_numpy()]
    estimate = (mutations["vaf"] * mutations["copy_number"]).clip(upper=1).groupby(mutations["gene"]).mean()
    estimate = estimate.drop(["HUWE1", "KDM6A"])  # X-linked: read differently in men
    assert spearmanr(estimate, ability[estimate.index]).statistic > 0.8
    # Within patients: the planted order of two genes of which one is subclonal.
    wide = first.pivot_table(index="patient_id", columns="gene", values="cancer_cell_fraction")
    gap = (wide["DIS3"] - wide["TP53"]).dropna()
    assert (gap > 0).sum() > 2 * (gap < 0).sum()


def test_reads_follow_copy_number_and_purity(complete):
    cohort, truth = complete
    mutations, true = cohort.mutations, pd.DataFrame(truth["mutations"])
    assert (true[["patient_id", "gene"]].to_numpy() == mutations[["patient_id", "gene"]].to_numpy()).all()
    depth = mutations["alt_count"] + mutations["ref_count"]
    assert (mutations["vaf"] == mutations["alt_count"] / depth).all()
    assert mutations["alt_count"].min() >= 3
    expected = true["expected_vaf"]
    z = (mutations["alt_count"] - depth * expected) / np.sqrt(depth * expected * (1 - expected))
    assert abs(z.mean()) < 0.02
    assert z.std() == pytest.approx(1, abs=0.02)
    sex = cohort.clinical["sex"].reindex(mutations["patient_id"]).to_numpy()
    linked = (mutations["chromosome"] == "X").to_numpy()
    assert (
        mutations.loc[linked & (sex == "Male"), "vaf"].mean()
        > 1.7 * mutations.loc[linked & (sex == "Female"), "vaf"].mean()
    )
    lost = cohort.alterations["del(17p)"].reindex(mutations["patient_id"]).to_numpy() == 1
    tp53 = (mutations["gene"] == "TP53").to_numpy()
    assert (mutations.loc[tp53 & lost, "copy_number"] == 1).all()
    assert (mutations.loc[tp53 & ~lost, "copy_number"] == 2).all()


# ---- the entry


def test_same_seed_same_bytes(tmp_path):
    texts = []
    for folder in ("a", "b"):
        cohort, truth = simulated(150, seed=3)
        write_cohort(cohort, tmp_path / folder)
        texts.append(json.dumps(truth, allow_nan=False))
    assert texts[0] == texts[1]
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["alterations.parquet", "clinical.parquet", "mutations.parquet", "schema.yaml"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.dumps(simulated(150, seed=4)[1]) != texts[0]


def test_written_and_read_again(tmp_path):
    cohort = small_cohort()
    write_cohort(cohort, tmp_path)
    again = read_cohort(tmp_path)
    assert again.schema == cohort.schema
    pd.testing.assert_frame_equal(again.clinical, cohort.clinical)
    pd.testing.assert_frame_equal(again.alterations, cohort.alterations)
    pd.testing.assert_series_equal(again.sequenced, cohort.sequenced)
    pd.testing.assert_frame_equal(again.mutations, cohort.mutations)


def test_clinical_only_and_one_endpoint():
    both, _ = simulated(200, missing=False)
    cohort, truth = simulated(200, missing=False, modalities=["clinical"], endpoint="OS")
    assert cohort.alterations is None
    assert cohort.schema.endpoints == ("OS",)
    assert "PFS_time" not in cohort.clinical
    assert (cohort.clinical["R_ISS"] == both.clinical["R_ISS"]).all()
    assert derive(cohort).clinical.equals(cohort.clinical)
    assert truth["survival"]["log_hazard_ratios"].keys() == {"OS", "PFS"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"patient": 10}, "cohorts.c: unknown key 'patient' .*did you mean 'patients'"),
        ({"disease": "lymphoma"}, "cohorts.c.disease: 'lymphoma' is unknown; expected one of myeloma"),
        ({"patients": 0}, "cohorts.c.patients: 0 is not a number of patients"),
        ({"patients": True}, "cohorts.c.patients: True is not a number"),
        ({"patients": "many"}, "cohorts.c.patients: 'many' is not a number"),
        ({"missing": "no"}, "cohorts.c.missing: 'no'; expected true or false"),
        ({"endpoint": ["OS", "EFS"]}, "cohorts.c.endpoint: 'EFS' is unknown"),
        ({"endpoint": ["PFS", "OS"]}, "cohorts.c.endpoint: OS must come before PFS"),
        ({"endpoint": []}, "cohorts.c.endpoint: .* is empty"),
        ({"modalities": ["genomic"]}, "cohorts.c.modalities: a simulated cohort needs the modality clinical"),
    ],
)
def test_mistakes_in_the_entry_are_told(source, message):
    with pytest.raises(InputError, match=message):
        simulate_cohort("c", source, RESOURCES, np.random.default_rng(1))


def test_one_patient_is_a_cohort():
    cohort, truth = simulated(1)
    assert len(cohort) == 1
    json.dumps(truth, allow_nan=False)


def test_the_demonstration_study_is_a_cohort():
    study = read_yaml(Path(RESOURCES).parent / "config" / "studies" / "demo.yaml")
    ((name, entry),) = study["cohorts"].items()
    cohort, _ = simulate_cohort(name, entry, RESOURCES, np.random.default_rng(1))
    assert len(cohort) == entry["patients"]
    assert cohort.schema.endpoints == tuple(entry["endpoint"])


# ---- the tables


def test_every_number_names_its_publication_or_says_that_it_is_an_assumption(known):
    for name in TABLES:
        for source in known[name]["source"]:
            assert re.search(r"\b(19|20)\d\d\b|assumption|definition", source), (name, source)


def test_a_row_without_source_is_told(tmp_path):
    for name in TABLES:
        (tmp_path / f"{name}.tsv").write_bytes((FOLDER / f"{name}.tsv").read_bytes())
    with (tmp_path / "pairs.tsv").open("a") as file:
        file.write("KRAS\tMAX\t0.5\t\n")
    line = len((tmp_path / "pairs.tsv").read_text().splitlines())
    with pytest.raises(InputError, match=rf"pairs.tsv, line {line}: the source is missing"):
        read_aggregates(tmp_path)


def test_frequencies_that_are_published_rest_on_more_patients_than_assumed_ones():
    table = read_aggregates(FOLDER)["alterations"]
    assert table["alteration"].is_unique
    assert table["frequency"].between(0, 1, inclusive="neither").all()
    published = ~table["source"].str.startswith("assumption")
    assert table.loc[published, "patients"].min() > table.loc[~published, "patients"].max()
    assert table.set_index("alteration").loc["t(4;14)", ["frequency", "patients"]].tolist() == [0.14, 1064]
