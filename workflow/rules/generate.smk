# What a recipe draws: a model for each modality, then record and alterations in the order that it says, in one long draw.
for modality in registry.NAMES:

    rule:
        name:
            f"fit_{modality}"
        input:
            train=[
                *cohort_files(f"{SEED_FOLDER}/train").values(),
                *([] if modality in OF_RECORD else [f"{SEED_FOLDER}/train/{part_file(modality)}"]),
            ],
            code=algorithm_code(modality, "fit.py"),
        output:
            weights=f"{SEED_FOLDER}/models/{modality}/{{method}}/model.safetensors",
            description=f"{SEED_FOLDER}/models/{modality}/{{method}}/model.json",
            history=f"{SEED_FOLDER}/models/{modality}/{{method}}/history.tsv",
        log:
            f"logs/fit_{modality}/{{cohort}}/{{method}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/fit_{modality}/{{cohort}}/{{method}}/seed-{{seed}}.tsv"
        conda:
            environment(modality, "fit")
        resources:
            **asked(modality, "fit"),
        params:
            job=job(f"fit_{modality}"),
            modality=modality,
            settings=method_settings(modality),
        script:
            "../scripts/fit.py"

    workflow.get_rule(f"fit_{modality}").docstring = f"Fit a generator of the {modality} data on the training patients."


for modality in OF_RECORD:

    rule:
        name:
            f"sample_{modality}"
        input:
            **fitted(modality),
            schema=f"{SEED_FOLDER}/train/schema.yaml",
            train=f"{SEED_FOLDER}/train/{RECORD_FILE}",
            given=given_parts(modality),
            balanced=balanced_by,
            code=algorithm_code(modality, "sample.py"),
        output:
            **{
                name: temp(f"{SEED_FOLDER}/synthetic/{{generator}}/parts/{name}.parquet")
                for name in registry.MODALITIES[modality].sampled
            },
        log:
            f"logs/sample_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/sample_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.tsv"
        wildcard_constraints:
            generator=one_of(RECIPES),
        group:
            grouped(modality, "sample", "draw")
        conda:
            environment(modality, "sample")
        resources:
            **asked(modality, "sample"),
        params:
            job=job(f"sample_{modality}"),
            modality=modality,
            algorithm=lambda wildcards, modality=modality: recipe_algorithm(modality, wildcards),
            draw=DRAW,
        script:
            "../scripts/sample.py"

    workflow.get_rule(f"sample_{modality}").docstring = (
        f"Draw the {modality} data of synthetic patients, given what the recipe's method is given."
    )


rule assemble:
    """Join the modalities of a recipe into a long draw of patients; derive what is derived, keep every hard limit."""
    input:
        schema=f"{SEED_FOLDER}/train/schema.yaml",
        parts=parts,
        balanced=balanced_by,
        record=record_model,
        models=giving_models,
        code=settling_code("assemble.py"),
    output:
        **cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}/pool"),
    log:
        "logs/assemble/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/assemble/{cohort}/{generator}/seed-{seed}.tsv"
    wildcard_constraints:
        generator=one_of(RECIPES),
    group:
        "draw"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("assemble"),
        modalities=MODALITIES,
        draw=DRAW,
        giving=lambda wildcards: {m: recipe_algorithm(m, wildcards) for m in giving_endpoints(wildcards.cohort)},
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
    group:
        "release"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        job=job("choose_size"),
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
        train=f"{SEED_FOLDER}/train/{RECORD_FILE}",
        number=release_size,
        code=package("release.py"),
    output:
        **cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}"),
    log:
        "logs/release/{cohort}/{generator}/seed-{seed}.log",
    wildcard_constraints:
        generator=one_of(RECIPES),
    group:
        "release"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("release"),
        patients=config["synthetic_patients"],
        modalities=MODALITIES,
    script:
        "../scripts/release.py"


rule reference:
    """Make the references that every metric is read against: training patients, and patients without structure."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        number=release_size,
        code=package("reference.py", registry.path_of(RECORD, "reference")),
    output:
        [file for name in MADE for file in cohort_files(f"{SEED_FOLDER}/synthetic/{name}").values()],
    log:
        "logs/reference/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/reference/{cohort}/seed-{seed}.tsv"
    group:
        "release"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("reference"),
        patients=config["synthetic_patients"],
        references=MADE,
        modalities=MODALITIES,
    script:
        "../scripts/reference.py"


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
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("external"),
        path=lambda wildcards: EXTERNAL[wildcards.generator],
        modalities=MODALITIES,
    script:
        "../scripts/external.py"
