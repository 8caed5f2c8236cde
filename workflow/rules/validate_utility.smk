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
