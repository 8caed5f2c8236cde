rule ingest_expression:
    """Read the expression of a real cohort, one row per patient; what leaves is listed with its reason."""
    input:
        source=lambda wildcards: expression_source(wildcards.cohort),
        clinical="results/{cohort}/raw/clinical.parquet",
        schema="results/{cohort}/raw/schema.yaml",
        code=package("ingest_expression.py"),
    output:
        expression="results/{cohort}/raw/expression.h5ad",
        left="results/{cohort}/raw/expression_left.tsv",
    log:
        "logs/ingest_expression/{cohort}.log",
    benchmark:
        "logs/benchmarks/ingest_expression/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of([name for name in having("transcriptomic") if name not in SIMULATED]),
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
    script:
        "../scripts/ingest_expression.py"


rule simulate_expression:
    """Make the expression of a part of the simulated patients from published programmes, with its truth beside it."""
    input:
        clinical="results/{cohort}/raw/clinical.parquet",
        cohort=lambda wildcards: list(cohort_files(f"results/{wildcards.cohort}/raw").values()),
        truth="results/{cohort}/raw/truth.json",
        programmes=lambda wildcards: f"resources/{SOURCES[wildcards.cohort]['disease']}/programmes.tsv",
        tables=lambda wildcards: [
            f"resources/{SOURCES[wildcards.cohort]['disease']}/{name}.tsv"
            for name in ("programme_drivers", "expression")
        ],
        code=package("simulate_expression.py"),
    output:
        expression="results/{cohort}/raw/expression.h5ad",
        truth="results/{cohort}/raw/expression_truth.json",
    log:
        "logs/simulate_expression/{cohort}.log",
    benchmark:
        "logs/benchmarks/simulate_expression/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of([name for name in having("transcriptomic") if name in SIMULATED]),
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
    script:
        "../scripts/simulate_expression.py"
