DRAWS = [f"{draw:02d}" for draw in range(1, config["imputation"]["draws"] + 1)]


rule impute:
    """Complete the training patients several times; the mask of what was missing is kept."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        code=lambda wildcards: package(
            "impute.py",
            f"haemosynth/impute/{config['imputation']['methods'][wildcards.method]['algorithm']}.py",
        ),
    output:
        draws=expand(
            f"{SEED_FOLDER}/imputed/{{method}}/draw-{{draw}}/clinical.parquet",
            draw=DRAWS,
            allow_missing=True,
        ),
        mask=f"{SEED_FOLDER}/imputed/{{method}}/mask.parquet",
        weights=f"{SEED_FOLDER}/imputed/{{method}}/model.safetensors",
        description=f"{SEED_FOLDER}/imputed/{{method}}/model.json",
    log:
        "logs/impute/{cohort}/{method}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/impute/{cohort}/{method}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        job=JOB,
        settings=lambda wildcards: config["imputation"]["methods"][wildcards.method],
    script:
        "../scripts/impute.py"


rule assess_imputation:
    """Hide known values of training patients, impute them, and compare."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        code=package(
            "assess_imputation.py",
            *{f"haemosynth/impute/{method['algorithm']}.py" for method in config["imputation"]["methods"].values()},
        ),
    output:
        table=f"{SEED_FOLDER}/imputed/assessment.tsv",
        figure=report(
            f"{SEED_FOLDER}/imputed/assessment.svg",
            caption="../report/imputation.rst",
            category="imputation",
            labels={"cohort": "{cohort}", "seed": "{seed}"},
        ),
    log:
        "logs/assess_imputation/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/assess_imputation/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        job=JOB,
        methods={name: config["imputation"]["methods"][name] for name in config["imputation"]["assess"]},
    script:
        "../scripts/assess_imputation.py"
