rule validate_survival:
    """Survival curves, hazard ratios, and prognosis learned on synthetic patients."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/survival.py"),
    output:
        **stage_outputs("utility", "survival"),
    log:
        "logs/validate_survival/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_survival/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/survival.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.survival",
        settings=stage_settings("survival"),
    script:
        "../scripts/validate.py"


rule validate_dirichlet:
    """Dirichlet-process classes of mutations and cytogenetics, their profiles and survival."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/dirichlet.py"),
    output:
        **stage_outputs("utility", "dirichlet"),
    log:
        "logs/validate_dirichlet/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_dirichlet/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.dirichlet",
        settings=stage_settings("dirichlet"),
    script:
        "../scripts/validate.py"


rule validate_clustering:
    """Clusters of clinical columns and alterations, found again in synthetic patients."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/clustering.py"),
    output:
        **stage_outputs("utility", "clustering"),
    log:
        "logs/validate_clustering/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_clustering/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.clustering",
        settings=stage_settings("clustering"),
    script:
        "../scripts/validate.py"
