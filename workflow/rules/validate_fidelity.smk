rule validate_marginals:
    """Distribution of every clinical column."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/marginals.py"),
    output:
        **stage_outputs("fidelity", "marginals"),
    log:
        "logs/validate_marginals/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_marginals/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.marginals",
        settings=stage_settings("marginals"),
    script:
        "../scripts/validate.py"


rule validate_correlations:
    """Association between clinical columns."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/correlations.py"),
    output:
        **stage_outputs("fidelity", "correlations"),
    log:
        "logs/validate_correlations/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_correlations/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.correlations",
        settings=stage_settings("correlations"),
    script:
        "../scripts/validate.py"


rule validate_missingness:
    """What is missing, together and for whom."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/missingness.py"),
    output:
        **stage_outputs("fidelity", "missingness"),
    log:
        "logs/validate_missingness/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_missingness/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.missingness",
        settings=stage_settings("missingness"),
    script:
        "../scripts/validate.py"


rule validate_detection:
    """Can a classifier tell synthetic from real patients?"""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/detection.py"),
    output:
        **stage_outputs("fidelity", "detection"),
    log:
        "logs/validate_detection/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_detection/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.detection",
        settings=stage_settings("detection"),
    script:
        "../scripts/validate.py"


rule validate_mutation_frequency:
    """Carriers per alteration, alterations per patient, variant allele frequency."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/mutation_frequency.py"),
    output:
        **stage_outputs("fidelity", "mutation_frequency"),
    log:
        "logs/validate_mutation_frequency/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_mutation_frequency/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.mutation_frequency",
        settings=stage_settings("mutation_frequency"),
    script:
        "../scripts/validate.py"


rule validate_co_occurrence:
    """Alterations found together more often than chance and mutation load explain."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/co_occurrence.py"),
    output:
        **stage_outputs("fidelity", "co_occurrence"),
    log:
        "logs/validate_co_occurrence/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_co_occurrence/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.co_occurrence",
        settings=stage_settings("co_occurrence"),
    script:
        "../scripts/validate.py"


rule validate_exclusivity:
    """Alterations found together less often than chance and mutation load explain."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/exclusivity.py"),
    output:
        **stage_outputs("fidelity", "exclusivity"),
    log:
        "logs/validate_exclusivity/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_exclusivity/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.exclusivity",
        settings=stage_settings("exclusivity"),
    script:
        "../scripts/validate.py"


rule validate_clonality:
    """Cancer cell fractions, and the order in which genes are mutated."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/fidelity/clonality.py"),
    output:
        **stage_outputs("fidelity", "clonality"),
    log:
        "logs/validate_clonality/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_clonality/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.clonality",
        settings=stage_settings("clonality"),
    script:
        "../scripts/validate.py"


rule validate_intensity:
    """Histograms and power spectra of images."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/fidelity/intensity.py"),
    output:
        **stage_outputs("fidelity", "intensity"),
    log:
        "logs/validate_intensity/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_intensity/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.intensity",
        settings=stage_settings("intensity"),
        modalities=["imaging"],
    script:
        "../scripts/validate.py"


rule validate_texture:
    """Texture of images: co-occurrence of grey levels."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/fidelity/texture.py"),
    output:
        **stage_outputs("fidelity", "texture"),
    log:
        "logs/validate_texture/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_texture/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.texture",
        settings=stage_settings("texture"),
        modalities=["imaging"],
    script:
        "../scripts/validate.py"


rule validate_lesions:
    """Number, size, uptake, shape and sites of lesions."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/fidelity/lesions.py"),
    output:
        **stage_outputs("fidelity", "lesions"),
    log:
        "logs/validate_lesions/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_lesions/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.lesions",
        settings=stage_settings("lesions"),
        modalities=["imaging"],
    script:
        "../scripts/validate.py"


rule validate_image_quality:
    """The distribution of images in the features of a network and of radiomic measurements."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/fidelity/image_quality.py"),
    output:
        **stage_outputs("fidelity", "image_quality"),
    log:
        "logs/validate_image_quality/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_image_quality/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.image_quality",
        modalities=("clinical", "genomic", "imaging"),
        settings=stage_settings("image_quality"),
    script:
        "../scripts/validate.py"


rule validate_image_coherence:
    """The record read from the images: as well as in real patients, and not better."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/fidelity/image_coherence.py"),
    output:
        **stage_outputs("fidelity", "image_coherence"),
    log:
        "logs/validate_image_coherence/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_image_coherence/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.image_coherence",
        modalities=("clinical", "genomic", "imaging"),
        settings=stage_settings("image_coherence"),
    script:
        "../scripts/validate.py"


rule validate_expression:
    """Distribution of every gene, co-expression, and what differs between subgroups."""
    input:
        **comparison("transcriptomic"),
        code=package("validate.py", "haemosynth/validate/fidelity/expression.py"),
    output:
        **stage_outputs("fidelity", "expression"),
    log:
        "logs/validate_expression/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_expression/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.expression",
        settings=stage_settings("expression"),
        modalities=["transcriptomic"],
    script:
        "../scripts/validate.py"


rule validate_coherence:
    """Whether the modalities of a patient belong together."""
    input:
        **comparison_of_all(),
        code=package("validate.py", "haemosynth/validate/fidelity/coherence.py"),
    output:
        **stage_outputs("fidelity", "coherence"),
    log:
        "logs/validate_coherence/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_coherence/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/coherence.yaml"
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.coherence",
        settings=stage_settings("coherence"),
        modalities=lambda wildcards: [m for m in FURTHER if m in modalities(config, wildcards.cohort)],
    script:
        "../scripts/validate.py"


rule validate_expression_clustering:
    """Clusters of expression: the same groups, the same sizes, the same subgroups in them."""
    input:
        **comparison("transcriptomic"),
        code=package("validate.py", "haemosynth/validate/fidelity/expression_clustering.py"),
    output:
        **stage_outputs("fidelity", "expression_clustering"),
    log:
        "logs/validate_expression_clustering/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_expression_clustering/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.fidelity.expression_clustering",
        settings=stage_settings("expression_clustering"),
        modalities=["transcriptomic"],
    script:
        "../scripts/validate.py"
