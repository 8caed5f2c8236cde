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


rule validate_memory:
    """Does a released record belong to one training patient?"""
    input:
        **comparison(),
        pool=pool,
        code=package("validate.py", "haemosynth/validate/privacy/memory.py"),
    output:
        **stage_outputs("privacy", "memory"),
    log:
        "logs/validate_memory/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_memory/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.memory",
        settings=stage_settings("memory"),
    script:
        "../scripts/validate.py"


rule validate_disclosure:
    """How much do releases of this size tell attackers of who was learned from, in expectation?"""
    input:
        **comparison(),
        pool=pool,
        models=tree_models,
        code=package("validate.py", "haemosynth/validate/privacy/disclosure.py"),
    output:
        **stage_outputs("privacy", "disclosure"),
    log:
        "logs/validate_disclosure/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_disclosure/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.disclosure",
        settings=stage_settings("disclosure"),
    script:
        "../scripts/validate.py"


rule validate_shadow:
    """What does somebody find who knows the recipe and everybody else? Refits with and without some patients."""
    input:
        **comparison(),
        code=lambda wildcards: package(
            "validate.py", "haemosynth/validate/privacy/shadow.py", *refitted_code(wildcards)
        ),
    output:
        **stage_outputs("privacy", "shadow"),
    log:
        "logs/validate_shadow/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_shadow/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/pyro.yaml"
    resources:
        mem_mb=6000,
        runtime=720,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.shadow",
        settings=lambda wildcards: {**stage_settings("shadow"), "methods": refitted(wildcards)},
    script:
        "../scripts/validate.py"


rule validate_singling_out:
    """Does the release give away attributes that only one training patient has?"""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/privacy/singling_out.py"),
    output:
        **stage_outputs("privacy", "singling_out"),
    log:
        "logs/validate_singling_out/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_singling_out/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/attacks.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.singling_out",
        settings=stage_settings("singling_out"),
    script:
        "../scripts/validate.py"


rule validate_linkability:
    """Does the release join two data sets that hold different attributes of a patient?"""
    input:
        **comparison_of_all(),
        code=package("validate.py", "haemosynth/validate/privacy/linkability.py"),
    output:
        **stage_outputs("privacy", "linkability"),
    log:
        "logs/validate_linkability/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_linkability/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/attacks.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.linkability",
        settings=stage_settings("linkability"),
        modalities=lambda wildcards: [m for m in FURTHER if m in modalities(config, wildcards.cohort)],
    script:
        "../scripts/validate.py"


rule validate_inference:
    """Does the release tell an attribute of a patient whose other attributes are known?"""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/privacy/inference.py"),
    output:
        **stage_outputs("privacy", "inference"),
    log:
        "logs/validate_inference/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_inference/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/attacks.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.inference",
        settings=stage_settings("inference"),
    script:
        "../scripts/validate.py"


rule validate_rare_patients:
    """Are the patients who stand out of the cohort safe too?"""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/privacy/rare_patients.py"),
    output:
        **stage_outputs("privacy", "rare_patients"),
    log:
        "logs/validate_rare_patients/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_rare_patients/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.rare_patients",
        settings=stage_settings("rare_patients"),
    script:
        "../scripts/validate.py"


rule validate_audit:
    """Do the privacy checks stop a planted leak, and let unseen patients pass?"""
    input:
        **comparison(),
        pool=pool,
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


rule validate_image_memorisation:
    """Synthetic images nearest to training patients, in pixels and in texture."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/privacy/image_memorisation.py"),
    output:
        **stage_outputs("privacy", "image_memorisation"),
    log:
        "logs/validate_image_memorisation/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_image_memorisation/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.image_memorisation",
        settings=stage_settings("image_memorisation"),
        modalities=["imaging"],
    script:
        "../scripts/validate.py"


rule validate_expression_memory:
    """Synthetic expression profiles: nearness to training patients, and attacks on membership."""
    input:
        **comparison("transcriptomic"),
        code=package("validate.py", "haemosynth/validate/privacy/expression_memory.py"),
    output:
        **stage_outputs("privacy", "expression_memory"),
    log:
        "logs/validate_expression_memory/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_expression_memory/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.privacy.expression_memory",
        settings=stage_settings("expression_memory"),
        modalities=["transcriptomic"],
    script:
        "../scripts/validate.py"
