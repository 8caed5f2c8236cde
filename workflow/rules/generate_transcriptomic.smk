rule fit_transcriptomic:
    """Fit a generator of gene expression on the training patients who have it."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        expression=f"{SEED_FOLDER}/train/expression.h5ad",
        code=algorithm_code("transcriptomic", "fit.py"),
    output:
        weights=f"{SEED_FOLDER}/models/transcriptomic/{{method}}/model.safetensors",
        description=f"{SEED_FOLDER}/models/transcriptomic/{{method}}/model.json",
        history=f"{SEED_FOLDER}/models/transcriptomic/{{method}}/history.tsv",
    log:
        "logs/fit_transcriptomic/{cohort}/{method}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fit_transcriptomic/{cohort}/{method}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=16000,
        runtime=120,
    params:
        job=JOB,
        modality="transcriptomic",
        settings=method_settings("transcriptomic"),
    script:
        "../scripts/fit.py"


rule sample_transcriptomic:
    """Draw the expression of synthetic patients, given their clinical records and alterations."""
    input:
        **fitted("transcriptomic"),
        given=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values()),
        code=lambda wildcards: package(
            "sample_transcriptomic.py",
            f"haemosynth/generate/transcriptomic/{recipe_algorithm('transcriptomic', wildcards)}.py",
        ),
    output:
        expression=f"{SEED_FOLDER}/synthetic/{{generator}}/expression.h5ad",
    log:
        "logs/sample_transcriptomic/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/sample_transcriptomic/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of([name for name in config["generators"] if "transcriptomic" in config["generators"][name]]),
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        job=JOB,
        algorithm=lambda wildcards: recipe_algorithm("transcriptomic", wildcards),
    script:
        "../scripts/sample_transcriptomic.py"


rule reference_transcriptomic:
    """Make a reference's expression: the training patients', or genes without structure."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        expression=f"{SEED_FOLDER}/train/expression.h5ad",
        given=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values()),
        code=package("reference_transcriptomic.py"),
    output:
        expression=f"{SEED_FOLDER}/synthetic/{{generator}}/expression.h5ad",
    log:
        "logs/reference_transcriptomic/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/reference_transcriptomic/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of([name for name in REFERENCES if name != "fresh"]),
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        job=JOB,
    script:
        "../scripts/reference_transcriptomic.py"
