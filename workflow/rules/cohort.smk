# A cohort on its way to the generators: read or simulated, split once, the holdout halved, training patients completed.
rule ingest:
    """Read a real cohort from its source format into the canonical form."""
    input:
        source=lambda wildcards: source_files(wildcards.cohort),
        symbols="resources/genes/symbols.tsv",
        code=package("ingest.py", registry.path_of(RECORD, "ingest")),
    output:
        **cohort_files("results/{cohort}/raw"),
        strings="results/{cohort}/raw/strings.json",
    log:
        "logs/ingest/{cohort}.log",
    benchmark:
        "logs/benchmarks/ingest/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of([name for name in SOURCES if name not in SIMULATED]),
    group:
        "cohort"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("ingest"),
        source=lambda wildcards: SOURCES[wildcards.cohort],
        modalities=MODALITIES,
    script:
        "../scripts/ingest.py"


rule simulate:
    """Make a knowledge-based cohort from published aggregates, with its truth beside it."""
    input:
        aggregates=lambda wildcards: aggregates(wildcards.cohort),
        code=lambda wildcards: simulation_code(wildcards.cohort),
    output:
        **cohort_files("results/{cohort}/raw"),
        truth="results/{cohort}/raw/truth.json",
    log:
        "logs/simulate/{cohort}.log",
    benchmark:
        "logs/benchmarks/simulate/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of(SIMULATED),
    group:
        "cohort"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("simulate"),
        source=lambda wildcards: SOURCES[wildcards.cohort],
        modalities=MODALITIES,
    script:
        "../scripts/simulate.py"


rule split:
    """Set the holdout apart, before anything is learned."""
    input:
        raw=list(cohort_files("results/{cohort}/raw").values()),
        giving=giving_files("results/{cohort}/raw"),
        code=settling_code("split.py"),
    output:
        **{f"train_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/train").items()},
        **{f"holdout_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/holdout").items()},
    log:
        "logs/split/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/split/{cohort}/seed-{seed}.tsv"
    group:
        "cohort"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("split"),
        fraction=config["split"]["train_fraction"],
        source=lambda wildcards: SOURCES[wildcards.cohort],
        giving=lambda wildcards: giving_endpoints(wildcards.cohort),
        modalities=MODALITIES,
    script:
        "../scripts/split.py"


rule halve:
    """Halve the holdout: one half is offered as if it were the release, the other is privacy's control."""
    input:
        holdout=list(cohort_files(f"{SEED_FOLDER}/holdout").values()),
        code=package("halve.py"),
    output:
        **{f"fresh_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/synthetic/fresh").items()},
        **{f"control_{name}": file for name, file in cohort_files(f"{SEED_FOLDER}/control").items()},
    log:
        "logs/halve/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/halve/{cohort}/seed-{seed}.tsv"
    group:
        "cohort"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("fresh"),
        modalities=MODALITIES,
    script:
        "../scripts/halve.py"


DRAWS = [f"{draw:02d}" for draw in range(1, config["imputation"]["draws"] + 1)]


rule impute:
    """Complete the training patients several times; the mask of what was missing is kept."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        code=lambda wildcards: package(
            "impute.py",
            registry.path_of(RECORD, f"impute.{config['imputation']['methods'][wildcards.method]['algorithm']}"),
            registry.path_of(RECORD, "impute.complete"),
        ),
    output:
        draws=expand(
            f"{SEED_FOLDER}/imputed/{{method}}/draw-{{draw}}/{RECORD_FILE}",
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
        mem_mb=growing(6000),
        runtime=60,
    params:
        job=job("impute"),
        settings=lambda wildcards: config["imputation"]["methods"][wildcards.method],
    script:
        "../scripts/impute.py"


rule assess_imputation:
    """Hide known values of training patients, impute them, and compare."""
    input:
        train=list(cohort_files(f"{SEED_FOLDER}/train").values()),
        code=package(
            "assess_imputation.py",
            registry.path_of(RECORD, "impute.assess"),
            *{
                registry.path_of(RECORD, f"impute.{method['algorithm']}")
                for method in config["imputation"]["methods"].values()
            },
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
        mem_mb=growing(6000),
        runtime=60,
    params:
        job=job("assess_imputation"),
        methods={name: config["imputation"]["methods"][name] for name in config["imputation"]["assess"]},
    script:
        "../scripts/assess_imputation.py"
