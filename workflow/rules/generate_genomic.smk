rule fit_genomic:
    """Fit a genomic generator on the training patients."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        code=algorithm_code("genomic", "fit.py"),
    output:
        weights=f"{SEED_FOLDER}/models/genomic/{{method}}/model.safetensors",
        description=f"{SEED_FOLDER}/models/genomic/{{method}}/model.json",
        history=f"{SEED_FOLDER}/models/genomic/{{method}}/history.tsv",
    log:
        "logs/fit_genomic/{cohort}/{method}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fit_genomic/{cohort}/{method}/seed-{seed}.tsv"
    conda:
        "../../envs/pyro.yaml"
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        job=JOB,
        modality="genomic",
        settings=method_settings("genomic"),
    script:
        "../scripts/fit.py"


rule sample_genomic:
    """Draw the mutations and cytogenetic events of synthetic patients, given their clinical records or before them."""
    input:
        **fitted("genomic"),
        schema=f"{SEED_FOLDER}/train/schema.yaml",
        train=f"{SEED_FOLDER}/train/clinical.parquet",
        clinical=given_parts("genomic", "clinical"),
        code=lambda wildcards: package(
            "sample_genomic.py",
            f"haemosynth/generate/genomic/{recipe_algorithm('genomic', wildcards)}.py",
        ),
    output:
        alterations=temp(f"{SEED_FOLDER}/synthetic/{{generator}}/parts/alterations.parquet"),
        mutations=temp(f"{SEED_FOLDER}/synthetic/{{generator}}/parts/mutations.parquet"),
    log:
        "logs/sample_genomic/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/sample_genomic/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(RECIPES),
    conda:
        "../../envs/pyro.yaml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        job=JOB,
        algorithm=lambda wildcards: recipe_algorithm("genomic", wildcards),
        draw=DRAW,
    script:
        "../scripts/sample_genomic.py"
