# What a further modality needs of its own, from its raw files to what synthetic patients get: the same for each of them.
for modality in FURTHER:

    rule:
        name:
            f"ingest_{modality}"
        input:
            raw=list(cohort_files("results/{cohort}/raw").values()),
            source=lambda wildcards, modality=modality: part_files(wildcards.cohort, modality),
            code=part_code("ingest_part.py", modality, "ingest"),
        output:
            part=written(modality, f"results/{{cohort}}/raw/{part_file(modality)}"),
            left=f"results/{{cohort}}/raw/{modality}_left.tsv",
        log:
            f"logs/ingest_{modality}/{{cohort}}.log",
        benchmark:
            f"logs/benchmarks/ingest_{modality}/{{cohort}}.tsv"
        wildcard_constraints:
            cohort=one_of(having(modality, simulated=False)),
        group:
            "cohort"
        conda:
            environment(modality, "ingest")
        resources:
            **asked(modality, "ingest"),
        params:
            job=job(f"ingest_{modality}"),
            modality=modality,
            source=lambda wildcards: SOURCES[wildcards.cohort],
        script:
            "../scripts/ingest_part.py"

    workflow.get_rule(f"ingest_{modality}").docstring = (
        f"Read the {modality} of a real cohort; what is left out is listed."
    )


for modality in [m for m in FURTHER if registry.offers(m, "simulate")]:

    rule:
        name:
            f"simulate_{modality}"
        input:
            raw=list(cohort_files("results/{cohort}/raw").values()),
            truth="results/{cohort}/raw/truth.json",
            aggregates=lambda wildcards: aggregates(wildcards.cohort),
            code=part_code("simulate_part.py", modality, "simulate"),
        output:
            part=written(modality, f"results/{{cohort}}/raw/{part_file(modality)}"),
            truth=f"results/{{cohort}}/raw/{modality}_truth.json",
        log:
            f"logs/simulate_{modality}/{{cohort}}.log",
        benchmark:
            f"logs/benchmarks/simulate_{modality}/{{cohort}}.tsv"
        wildcard_constraints:
            cohort=one_of(having(modality, simulated=True)),
        group:
            "cohort"
        conda:
            environment(modality, "simulate")
        resources:
            **asked(modality, "simulate"),
        params:
            job=job(f"simulate_{modality}"),
            modality=modality,
            source=lambda wildcards: SOURCES[wildcards.cohort],
        script:
            "../scripts/simulate_part.py"

    workflow.get_rule(f"simulate_{modality}").docstring = f"Simulate the {modality} of a part of the patients."


SIDES = {
    "split": ("results/{cohort}/raw", "train", "holdout"),
    "halve": (f"{SEED_FOLDER}/holdout", "synthetic/fresh", "control"),
}


for modality, step in product(FURTHER, SIDES):

    rule:
        name:
            f"{step}_{modality}"
        input:
            part=f"{SIDES[step][0]}/{part_file(modality)}",
            patients=[f"{SEED_FOLDER}/{side}/{RECORD_FILE}" for side in SIDES[step][1:]],
            code=part_code("split_part.py", modality, "ingest", "divide"),
        output:
            parts=written(modality, *(f"{SEED_FOLDER}/{side}/{part_file(modality)}" for side in SIDES[step][1:])),
        log:
            f"logs/{step}_{modality}/{{cohort}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/{step}_{modality}/{{cohort}}/seed-{{seed}}.tsv"
        group:
            "cohort"
        conda:
            environment(modality, "split")
        resources:
            **asked(modality, "split"),
        params:
            job=job(f"{step}_{modality}"),
            modality=modality,
            learned=step == "split",
            source=lambda wildcards: SOURCES[wildcards.cohort],
        script:
            "../scripts/split_part.py"

    workflow.get_rule(f"{step}_{modality}").docstring = f"Give {' and '.join(SIDES[step][1:])} their {modality}."


for modality in FURTHER:

    rule:
        name:
            f"sample_{modality}"
        input:
            **fitted(modality),
            given=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values()),
            pool=(
                list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}/pool").values())
                if modality in registry.GIVING_ENDPOINTS
                else []
            ),
            code=algorithm_code(modality, "sample_part.py"),
        output:
            part=written(modality, f"{SEED_FOLDER}/synthetic/{{generator}}/{part_file(modality)}"),
        log:
            f"logs/sample_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/sample_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.tsv"
        wildcard_constraints:
            generator=one_of([name for name in RECIPES if modality in config["generators"][name]]),
        conda:
            environment(modality, "sample")
        resources:
            **asked(modality, "sample"),
        params:
            job=job(f"sample_{modality}"),
            modality=modality,
            algorithm=lambda wildcards, modality=modality: recipe_algorithm(modality, wildcards),
        script:
            "../scripts/sample_part.py"

    workflow.get_rule(f"sample_{modality}").docstring = (
        f"Draw the {modality} of synthetic patients, given who they are."
    )


for modality in FURTHER:

    rule:
        name:
            f"reference_{modality}"
        input:
            train=[*cohort_files(f"{SEED_FOLDER}/train").values(), f"{SEED_FOLDER}/train/{part_file(modality)}"],
            given=list(cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values()),
            code=part_code("reference_part.py", modality, "reference"),
        output:
            part=written(modality, f"{SEED_FOLDER}/synthetic/{{generator}}/{part_file(modality)}"),
        log:
            f"logs/reference_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/reference_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.tsv"
        wildcard_constraints:
            generator=one_of(MADE),
        conda:
            environment(modality, "reference")
        resources:
            **asked(modality, "reference"),
        params:
            job=job(f"reference_{modality}"),
            modality=modality,
        script:
            "../scripts/reference_part.py"

    workflow.get_rule(f"reference_{modality}").docstring = f"Give the patients of a reference their {modality}."


for modality in [m for m in FURTHER if registry.offers(m, "figure")]:

    rule:
        name:
            f"draw_{modality}"
        input:
            synthetic=[
                *cohort_files(f"{SEED_FOLDER}/synthetic/{{generator}}").values(),
                f"{SEED_FOLDER}/synthetic/{{generator}}/{part_file(modality)}",
            ],
            train=[*cohort_files(f"{SEED_FOLDER}/train").values(), f"{SEED_FOLDER}/train/{part_file(modality)}"],
            code=part_code("draw_part.py", modality, "figure"),
        output:
            release=f"{SEED_FOLDER}/{modality}/{{generator}}.release.svg",
            working=f"{SEED_FOLDER}/{modality}/{{generator}}.working.svg",
        log:
            f"logs/draw_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/draw_{modality}/{{cohort}}/{{generator}}/seed-{{seed}}.tsv"
        group:
            "report"
        conda:
            environment(modality, "figure")
        resources:
            **asked(modality, "figure"),
        params:
            job=job(f"draw_{modality}"),
            modality=modality,
        script:
            "../scripts/draw_part.py"

    workflow.get_rule(f"draw_{modality}").docstring = (
        f"Draw patients with {modality}, for either edition of the dossier."
    )
