rule ingest:
    """Read a real cohort from its source format into the canonical form."""
    input:
        source=lambda wildcards: source_files(wildcards.cohort),
        symbols="resources/genes/symbols.tsv",
        code=package("ingest.py"),
    output:
        **cohort_files("results/{cohort}/raw"),
        strings="results/{cohort}/raw/strings.json",
    log:
        "logs/ingest/{cohort}.log",
    benchmark:
        "logs/benchmarks/ingest/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of([name for name in SOURCES if name not in SIMULATED]),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
        modalities=MODALITIES,
    script:
        "../scripts/ingest.py"


rule simulate:
    """Make a knowledge-based cohort from published aggregates, with its truth beside it."""
    input:
        aggregates=lambda wildcards: sorted(
            str(table) for table in Path("resources", SOURCES[wildcards.cohort]["disease"]).glob("*.tsv")
        ),
        code=package("simulate.py"),
    output:
        **cohort_files("results/{cohort}/raw"),
        truth="results/{cohort}/raw/truth.json",
    log:
        "logs/simulate/{cohort}.log",
    benchmark:
        "logs/benchmarks/simulate/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(SIMULATED),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
        modalities=MODALITIES,
    script:
        "../scripts/simulate.py"
