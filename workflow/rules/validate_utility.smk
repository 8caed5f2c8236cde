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


rule validate_competing_risks:
    """Remission, relapse, progression and transplant, with death as the competing event."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/competing_risks.py"),
    output:
        **stage_outputs("utility", "competing_risks"),
    log:
        "logs/validate_competing_risks/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_competing_risks/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/survival.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.competing_risks",
        settings=stage_settings("competing_risks"),
    script:
        "../scripts/validate.py"


rule validate_bayesian_survival:
    """Posterior hazard ratios and predicted survival of a Bayesian model on either side."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/bayesian_survival.py"),
    output:
        **stage_outputs("utility", "bayesian_survival"),
    log:
        "logs/validate_bayesian_survival/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_bayesian_survival/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/pyro.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.bayesian_survival",
        settings=stage_settings("bayesian_survival"),
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


rule validate_bayesian_network:
    """Dependencies between alterations, record, treatment and outcome: Bayesian networks over resamples."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/bayesian_network.py"),
    output:
        **stage_outputs("utility", "bayesian_network"),
    log:
        "logs/validate_bayesian_network/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_bayesian_network/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/network.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.bayesian_network",
        settings=stage_settings("bayesian_network"),
    script:
        "../scripts/validate.py"


rule validate_cross_classification:
    """Prediction learned on synthetic and tested on real patients, and the reverse, by outcome and subgroup."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/cross_classification.py"),
    output:
        **stage_outputs("utility", "cross_classification"),
    log:
        "logs/validate_cross_classification/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_cross_classification/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.cross_classification",
        settings=stage_settings("cross_classification"),
    script:
        "../scripts/validate.py"


rule validate_feature_extraction:
    """Features that matter in models learned from synthetic and from real patients."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/feature_extraction.py"),
    output:
        **stage_outputs("utility", "feature_extraction"),
    log:
        "logs/validate_feature_extraction/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_feature_extraction/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/tabular.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.feature_extraction",
        settings=stage_settings("feature_extraction"),
    script:
        "../scripts/validate.py"


rule validate_control_arm:
    """Emulated randomised trials whose control arm is replaced or enlarged by synthetic patients."""
    input:
        **comparison(),
        code=package("validate.py", "haemosynth/validate/utility/control_arm.py"),
    output:
        **stage_outputs("utility", "control_arm"),
    log:
        "logs/validate_control_arm/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_control_arm/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/survival.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.control_arm",
        settings=stage_settings("control_arm"),
    script:
        "../scripts/validate.py"


rule validate_segmentation:
    """Networks that learn from synthetic images outline the structures of real ones."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/utility/segmentation.py"),
    output:
        **stage_outputs("utility", "segmentation"),
    log:
        "logs/validate_segmentation/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_segmentation/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=6000,
        runtime=120,
        gpu=config["gpus"],
    params:
        job=JOB,
        stage="haemosynth.validate.utility.segmentation",
        modalities=("clinical", "genomic", "imaging"),
        settings=stage_settings("segmentation"),
    script:
        "../scripts/validate.py"


rule validate_image_classes:
    """Classes of images, learned from synthetic ones and told in real ones."""
    input:
        **comparison("imaging"),
        code=package("validate.py", "haemosynth/validate/utility/image_classes.py"),
    output:
        **stage_outputs("utility", "image_classes"),
    log:
        "logs/validate_image_classes/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_image_classes/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.image_classes",
        modalities=("clinical", "genomic", "imaging"),
        settings=stage_settings("image_classes"),
    script:
        "../scripts/validate.py"


rule validate_expression_classification:
    """Classifiers of molecular subgroups by expression, learned from synthetic and tested on real patients."""
    input:
        **comparison("transcriptomic"),
        code=package("validate.py", "haemosynth/validate/utility/expression_classification.py"),
    output:
        **stage_outputs("utility", "expression_classification"),
    log:
        "logs/validate_expression_classification/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_expression_classification/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.expression_classification",
        settings=stage_settings("expression_classification"),
        modalities=["transcriptomic"],
    script:
        "../scripts/validate.py"


rule validate_expression_survival:
    """A prognostic signature learned from synthetic patients and tested on real ones."""
    input:
        **comparison("transcriptomic"),
        code=package("validate.py", "haemosynth/validate/utility/expression_survival.py"),
    output:
        **stage_outputs("utility", "expression_survival"),
    log:
        "logs/validate_expression_survival/{cohort}/{generator}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/validate_expression_survival/{cohort}/{generator}/seed-{seed}.tsv"
    conda:
        "../../envs/expression.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        stage="haemosynth.validate.utility.expression_survival",
        settings=stage_settings("expression_survival"),
        modalities=["transcriptomic"],
    script:
        "../scripts/validate.py"
