rule split:
    """Set the holdout apart, before anything is learned."""
    input:
        raw=list(cohort_files("results/{cohort}/raw").values()),
        code=package("split.py"),
    output:
        **{f"train_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/train").items()},
        **{f"holdout_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/holdout").items()},
    log:
        "logs/split/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/split/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        fraction=config["split"]["train_fraction"],
        source=lambda wildcards: SOURCES[wildcards.cohort],
        modalities=MODALITIES,
    script:
        "../scripts/split.py"
