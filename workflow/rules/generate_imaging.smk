rule fit_imaging:
    """Fit an image generator on the training patients."""
    input:
        train=[*cohort_files(f"{SEED_FOLDER}/train").values(), f"{SEED_FOLDER}/train/{FURTHER['imaging']}"],
        code=algorithm_code("imaging", "fit.py"),
    output:
        weights=f"{SEED_FOLDER}/models/imaging/{{method}}/model.safetensors",
        description=f"{SEED_FOLDER}/models/imaging/{{method}}/model.json",
        history=f"{SEED_FOLDER}/models/imaging/{{method}}/history.tsv",
    log:
        "logs/fit_imaging/{cohort}/{method}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fit_imaging/{cohort}/{method}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=config["gpus"],
    params:
        job=JOB,
        modality="imaging",
        settings=method_settings("imaging"),
    script:
        "../scripts/fit.py"


rule sample_imaging:
    """Draw the images of synthetic patients, given their records."""
    input:
        **fitted("imaging"),
        given=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values()),
        code=lambda wildcards: package(
            "sample_imaging.py",
            f"haemosynth/generate/imaging/{recipe_algorithm('imaging', wildcards)}.py",
        ),
    output:
        images=directory(f"{SEED_FOLDER}/synthetic/{{generator}}/{FURTHER['imaging']}"),
    log:
        "logs/sample_imaging/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/sample_imaging/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(config["generators"]),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=config["gpus"],
    params:
        job=JOB,
        algorithm=lambda wildcards: recipe_algorithm("imaging", wildcards),
    script:
        "../scripts/sample_imaging.py"


rule reference_imaging:
    """Give the patients of a reference their images: training images, or images without structure."""
    input:
        train=[*cohort_files(f"{SEED_FOLDER}/train").values(), f"{SEED_FOLDER}/train/{FURTHER['imaging']}"],
        given=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values()),
        code=package("reference_imaging.py"),
    output:
        images=directory(f"{SEED_FOLDER}/synthetic/{{generator}}/{FURTHER['imaging']}"),
    log:
        "logs/reference_imaging/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/reference_imaging/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of([name for name in REFERENCES if name != "fresh"]),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
    script:
        "../scripts/reference_imaging.py"
