rule divide_transcriptomic:
    """Part the expression like the patients; normalisation and variable genes are learned from train alone."""
    input:
        expression="results/{cohort}/raw/expression.h5ad",
        train=f"{SEED_FOLDER}/train/clinical.parquet",
        holdout=f"{SEED_FOLDER}/holdout/clinical.parquet",
        code=package("divide_expression.py"),
    output:
        train=f"{SEED_FOLDER}/train/expression.h5ad",
        holdout=f"{SEED_FOLDER}/holdout/expression.h5ad",
    log:
        "logs/divide_transcriptomic/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/divide_transcriptomic/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
    script:
        "../scripts/divide_expression.py"


rule fresh_transcriptomic:
    """The expression of the two halves of the holdout."""
    input:
        holdout=f"{SEED_FOLDER}/holdout/expression.h5ad",
        fresh=f"{SEED_FOLDER}/synthetic/fresh/clinical.parquet",
        control=f"{SEED_FOLDER}/control/clinical.parquet",
        code=package("fresh_expression.py"),
    output:
        fresh=f"{SEED_FOLDER}/synthetic/fresh/expression.h5ad",
        control=f"{SEED_FOLDER}/control/expression.h5ad",
    log:
        "logs/fresh_transcriptomic/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fresh_transcriptomic/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
    script:
        "../scripts/fresh_expression.py"
