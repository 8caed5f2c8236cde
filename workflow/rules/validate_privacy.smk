rule validate_distance:
    """Copies of training patients, and nearness to them."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/privacy/distance.py"),
    output:
        **stage_outputs("privacy", "distance"),
    log:
        "logs/validate_distance/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_distance/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.distance",
        settings=stage_settings("distance"),
    script:
        "../scripts/validate.py"


rule validate_membership:
    """Can an attacker tell who was in the training data?"""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/privacy/membership.py"),
    output:
        **stage_outputs("privacy", "membership"),
    log:
        "logs/validate_membership/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_membership/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.membership",
        settings=stage_settings("membership"),
    script:
        "../scripts/validate.py"


rule validate_audit:
    """Do the privacy checks stop a planted leak, and let unseen patients pass?"""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/privacy/audit.py"),
    output:
        **stage_outputs("privacy", "audit"),
    log:
        "logs/validate_audit/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_audit/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.audit",
        settings={**stage_settings("audit"), "limits": config["gate"]},
    script:
        "../scripts/validate.py"
