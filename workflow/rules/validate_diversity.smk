# Diversity: do synthetic patients cover the variety of real ones?
rule validate_variability:
    """Total variation of columns, pairs and triples, entropy, variance."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/diversity/variability.py"),
    output:
        **stage_outputs("diversity", "variability"),
    log:
        "logs/validate_variability/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_variability/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.diversity.variability",
        settings=stage_settings("variability"),
    script:
        "../scripts/validate.py"


rule validate_coverage:
    """Share of the variety of real patients that synthetic ones reach."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/diversity/coverage.py"),
    output:
        **stage_outputs("diversity", "coverage"),
    log:
        "logs/validate_coverage/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_coverage/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.diversity.coverage",
        settings=stage_settings("coverage"),
    script:
        "../scripts/validate.py"


rule validate_features:
    """Principal components and clinical scores."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/diversity/features.py"),
    output:
        **stage_outputs("diversity", "features"),
    log:
        "logs/validate_features/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_features/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.diversity.features",
        settings=stage_settings("features"),
    script:
        "../scripts/validate.py"


rule validate_image_coverage:
    """Real images that have synthetic ones near them, and the spread of both."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/diversity/image_coverage.py"),
    output:
        **stage_outputs("diversity", "image_coverage"),
    log:
        "logs/validate_image_coverage/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_image_coverage/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.diversity.image_coverage",
        modalities=("clinical", "genomic", "imaging"),
        settings=stage_settings("image_coverage"),
    script:
        "../scripts/validate.py"


rule validate_expression_coverage:
    """Which part of the variety of real expression profiles is reached."""
    input:
        **comparison("transcriptomic"),
        code=package("validate.py", "haemosynth/validate/diversity/expression_coverage.py"),
    output:
        **stage_outputs("diversity", "expression_coverage"),
    log:
        "logs/validate_expression_coverage/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_expression_coverage/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.diversity.expression_coverage",
        settings=stage_settings("expression_coverage"),
        modalities=["transcriptomic"],
    script:
        "../scripts/validate.py"
