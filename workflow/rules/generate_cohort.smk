rule assemble:
    """Join the modalities of a recipe into a long draw of patients; derive what is derived, keep every hard limit."""
    input:
        schema=f"{SEED_FOLDER}/train/schema.yaml",
        parts=parts,
        code=package("assemble.py"),
    output:
        **cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}/pool"),
    log:
        "logs/assemble/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/assemble/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(RECIPES),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        modalities=MODALITIES,
        draw=DRAW,
        alone=lambda wildcards: without_record(wildcards.cohort),
    script:
        "../scripts/assemble.py"


rule choose_size:
    """How many synthetic patients may be released: what attackers learn and what the release is good for, by number."""
    input:
        pool=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}/pool").values()),
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        holdout=list(cohort_files(f"{SEED_FOLDER}/holdout").values()),
        code=package("choose_size.py"),
    output:
        table=f"{SEED_FOLDER}/synthetic/{{generator}}/size.tsv",
        figure=report(
            f"{SEED_FOLDER}/synthetic/{{generator}}/size.svg",
            caption="../report/size.rst",
            category="privacy",
            subcategory="size",
            labels={"cohort": "{cohort}", "generator": "{generator}", "seed": "{seed}"},
        ),
    log:
        "logs/choose_size/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/choose_size/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(config["publish"]),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        job=JOB,
        release=config["release"],
        patients=config["synthetic_patients"],
        limits=config["gate"],
        alone=lambda wildcards: without_record(wildcards.cohort),
    script:
        "../scripts/choose_size.py"


rule release:
    """Take the first patients of the long draw, as many as are released: these are validated and published."""
    input:
        pool=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}/pool").values()),
        train=f"{SEED_FOLDER}/train/clinical.parquet",
        number=release_size,
        code=package("release.py"),
    output:
        **cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}"),
    log:
        "logs/release/{cohort}/{generator}/seed-{seed}.log",
    wildcard_constraints:
        generator=one_of(RECIPES),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        job=JOB,
        patients=config["synthetic_patients"],
        modalities=MODALITIES,
    script:
        "../scripts/release.py"


rule reference:
    """Make a reference that every metric is read against: training patients, or patients without structure."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        number=release_size,
        code=package("reference.py"),
    output:
        **cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}"),
    log:
        "logs/reference/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/reference/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of([name for name in REFERENCES if name != "fresh"]),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        patients=config["synthetic_patients"],
        modalities=MODALITIES,
    script:
        "../scripts/reference.py"


rule fresh:
    """Halve the holdout: one half is offered as if it were the release, the other is privacy's control."""
    input:
        holdout=list(cohort_files(f"{SEED_FOLDER}/holdout").values()),
        code=package("fresh.py"),
    output:
        **{f"fresh_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/synthetic/fresh").items()},
        **{f"control_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/control").items()},
    log:
        "logs/fresh/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fresh/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        modalities=MODALITIES,
    script:
        "../scripts/fresh.py"


rule external:
    """Take in the synthetic patients that another tool made, to validate them."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        tables=lambda wildcards: external_files(EXTERNAL[wildcards.generator]),
        code=package("external.py"),
    output:
        **cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}"),
    log:
        "logs/external/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/external/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(EXTERNAL),
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        path=lambda wildcards: EXTERNAL[wildcards.generator],
        modalities=MODALITIES,
    script:
        "../scripts/external.py"
