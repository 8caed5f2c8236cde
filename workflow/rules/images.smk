# Images on their way to the split: read or simulated for the patients of the raw cohort, then divided as they are.
IMAGES = FURTHER["imaging"]


rule ingest_images:
    """Read the images of a real cohort: on one grid, in the units of their channels."""
    input:
        raw=list(cohort_files("results/{cohort}/raw").values()),
        source=lambda wildcards: image_files(wildcards.cohort),
        code=package("ingest_images.py"),
    output:
        images=directory(f"results/{{cohort}}/raw/{IMAGES}"),
    log:
        "logs/ingest_images/{cohort}.log",
    benchmark:
        "logs/benchmarks/ingest_images/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of([name for name in pictured() if name not in SIMULATED]),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
    script:
        "../scripts/ingest_images.py"


rule simulate_images:
    """Make PET/CT phantoms of a part of the simulated patients, with their truth beside them."""
    input:
        raw=list(cohort_files("results/{cohort}/raw").values()),
        truth="results/{cohort}/raw/truth.json",
        aggregates=lambda wildcards: sorted(
            str(table) for table in Path("resources", SOURCES[wildcards.cohort]["disease"]).glob("*.tsv")
        ),
        code=package("simulate_images.py"),
    output:
        images=directory(f"results/{{cohort}}/raw/{IMAGES}"),
        truth="results/{cohort}/raw/images_truth.json",
    log:
        "logs/simulate_images/{cohort}.log",
    benchmark:
        "logs/benchmarks/simulate_images/{cohort}.tsv"
    wildcard_constraints:
        cohort=one_of([name for name in pictured() if name in SIMULATED]),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
        source=lambda wildcards: SOURCES[wildcards.cohort],
    script:
        "../scripts/simulate_images.py"


rule divide_imaging:
    """Give training patients and holdout their images: all of a patient stand on one side."""
    input:
        images=f"results/{{cohort}}/raw/{IMAGES}",
        patients=[f"{SEED_FOLDER}/{side}/clinical.parquet" for side in ("train", "holdout")],
        code=package("divide_imaging.py"),
    output:
        images=[directory(f"{SEED_FOLDER}/{side}/{IMAGES}") for side in ("train", "holdout")],
    log:
        "logs/divide_imaging/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/divide_imaging/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
    script:
        "../scripts/divide_imaging.py"


rule fresh_imaging:
    """Give the halves of the holdout their images."""
    input:
        images=f"{SEED_FOLDER}/holdout/{IMAGES}",
        patients=[f"{SEED_FOLDER}/{side}/clinical.parquet" for side in ("synthetic/fresh", "control")],
        code=package("divide_imaging.py"),
    output:
        images=[directory(f"{SEED_FOLDER}/{side}/{IMAGES}") for side in ("synthetic/fresh", "control")],
    log:
        "logs/fresh_imaging/{cohort}/seed-{seed}.log",
    benchmark:
        "logs/benchmarks/fresh_imaging/{cohort}/seed-{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=JOB,
    script:
        "../scripts/divide_imaging.py"
