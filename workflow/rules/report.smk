rule collect:
    """Gather all stages, seeds and candidates into one table and read every number between its references."""
    input:
        metrics=lambda wildcards: validated(".tsv", cohorts=[wildcards.cohort]),
        replicates=lambda wildcards: validated(".replicates.parquet", cohorts=[wildcards.cohort]),
        code=package(
            "collect.py",
            *(STAGES[stage].path for stage in config["stages"]),
        ),
    output:
        metrics="results/{cohort}/metrics.tsv",
        dictionary="results/{cohort}/metrics_dictionary.tsv",
        scorecard="results/{cohort}/scorecard.tsv",
        stages="results/{cohort}/stages.tsv",
        composites="results/{cohort}/composites.tsv",
        baseline="results/{cohort}/against_baseline.tsv",
        figure=report(
            "results/{cohort}/scorecard.svg",
            caption="../report/scorecard.rst",
            category="scorecard",
        ),
    log:
        "logs/collect/{cohort}.log",
    benchmark:
        "logs/benchmarks/collect/{cohort}.tsv"
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("collect"),
        stages=lambda wildcards: stages_of(wildcards.cohort),
        compare=config["compare"],
        publish=config["publish"],
        baseline=config["baseline"],
        shown=[name for name in config["generators"] if name in config["compare"]],
    script:
        "../scripts/collect.py"


rule gate:
    """Hold the privacy of what would be published against the study's limits."""
    input:
        metrics="results/{cohort}/metrics.tsv",
        code=package("gate.py"),
    output:
        "results/{cohort}/gate.tsv",
    log:
        "logs/gate/{cohort}.log",
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        job=job("gate"),
        limits=config["gate"],
        tier=config["release"]["tier"],
        modalities=lambda wildcards: modalities(config, wildcards.cohort),
        publish=config["publish"],
        seed=config["seeds"][0],
        balanced=bool(BALANCE),
    script:
        "../scripts/gate.py"


rule dossier:
    """Write the page that a data-access committee reads (working edition)."""
    input:
        unpack(pages),
        unpack(single_patients),
        raw=lambda wildcards: list(cohort_files(f"results/{wildcards.cohort}/raw").values()),
        template="workflow/report/dossier.html.j2",
        code=page_code("dossier.py"),
    output:
        "results/{cohort}/dossier.html",
    log:
        "logs/dossier/{cohort}.log",
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("dossier"),
        config=config,
    script:
        "../scripts/dossier.py"


rule single_patients:
    """Draw single synthetic patients whole and list the training patients at risk: for the working dossier alone."""
    input:
        synthetic=lambda wildcards: released(wildcards.cohort, wildcards.generator, wildcards.seed),
        train=lambda wildcards: [
            *cohort_files(f"{SEED_FOLDER}/train".format(**wildcards)).values(),
            *further_files(wildcards.cohort, f"{SEED_FOLDER}/train".format(**wildcards)),
        ],
        holdout=list(cohort_files(f"{SEED_FOLDER}/holdout").values()),
        code=package("single_patients.py"),
    output:
        whole=f"{SEED_FOLDER}/patients/{{generator}}.svg",
        at_risk=f"{SEED_FOLDER}/patients/{{generator}}.at_risk.tsv",
    log:
        "logs/single_patients/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/single_patients/{cohort}/{generator}/seed-{seed}.tsv"
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=30,
    params:
        job=job("single_patients"),
        modalities=lambda wildcards: modalities(config, wildcards.cohort),
    script:
        "../scripts/single_patients.py"
