rule fit_clinical:
    """Fit a clinical generator on the training patients."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        code=algorithm_code("clinical", "fit.py"),
    output:
        weights=f"{SEED_FOLDER}/models/clinical/{{method}}/model.safetensors",
        description=f"{SEED_FOLDER}/models/clinical/{{method}}/model.json",
        history=f"{SEED_FOLDER}/models/clinical/{{method}}/history.tsv",
    log:
        "logs/fit_clinical/{cohort}/{method}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fit_clinical/{cohort}/{method}/seed-{seed}.tsv"
    conda:
        "../../envs/pyro.yaml"
    resources:
        mem_mb=6000,
        runtime=120,
        gpu=config["gpus"],
    params:
        job=JOB,
        modality="clinical",
        settings=method_settings("clinical"),
    script:
        "../scripts/fit.py"


rule sample_clinical:
    """Draw the clinical records of synthetic patients, given their alterations where the method is given these."""
    input:
        **fitted("clinical"),
        alterations=given_parts("clinical", "alterations", "mutations"),
        schema=f"{SEED_FOLDER}/train/schema.yaml",
        train=f"{SEED_FOLDER}/train/clinical.parquet",
        code=lambda wildcards: package(
            "sample_clinical.py",
            f"haemosynth/generate/clinical/{recipe_algorithm('clinical', wildcards)}.py",
            *given_modules("clinical", recipe_method("clinical", wildcards)),
        ),
    output:
        clinical=temp(f"{SEED_FOLDER}/synthetic/{{generator}}/parts/clinical.parquet"),
    log:
        "logs/sample_clinical/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/sample_clinical/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(RECIPES),
    conda:
        "../../envs/pyro.yaml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        job=JOB,
        algorithm=lambda wildcards: recipe_algorithm("clinical", wildcards),
        draw=DRAW,
        given=lambda wildcards: method_given("clinical", recipe_method("clinical", wildcards)),
    script:
        "../scripts/sample_clinical.py"
