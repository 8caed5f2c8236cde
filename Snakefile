# HaemoSynth: synthetic haematology cohorts, and proof of how far they may be trusted.
# Run it with `make run STUDY=config/studies/beataml.yaml`; `snakemake --list-target-rules` lists what can be asked for.
from snakemake.utils import min_version

min_version("9.16")


configfile: "config/config.yaml"


if not config.get("cohorts"):

    configfile: "config/studies/demo.yaml"


include: "workflow/rules/common.smk"


rule all:
    """Everything: synthetic cohorts, scorecard, dossier, and the folder to publish."""
    default_target: True
    input:
        expand(
            "results/{cohort}/{file}",
            cohort=SOURCES,
            file=["metrics.tsv", "scorecard.tsv", "dossier.html"],
        ),
        imputed_draws(),
        expand(
            "results/{cohort}/published/{generator}/manifest.tsv",
            cohort=SOURCES,
            generator=config["publish"],
        ),


include: "workflow/rules/cohort.smk"
include: "workflow/rules/parts.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/publish.smk"


# A rule with wildcards cannot be asked for by name: every stage and every pillar gets a target of its bare name.
for stage in config["stages"]:

    rule:
        name:
            stage
        input:
            validated(".tsv", only=stage),

    workflow.get_rule(stage).docstring = workflow.get_rule(f"validate_{stage}").docstring


for pillar in dict.fromkeys(STAGES[stage].pillar for stage in config["stages"]):

    rule:
        name:
            pillar
        input:
            validated(".tsv", pillar=pillar),


rule synthetic:
    """The synthetic cohorts alone, without their validation."""
    input:
        [
            file
            for seed in config["seeds"]
            for generator in config["generators"]
            for cohort in SOURCES
            for folder in [f"results/{cohort}/seed-{seed}/synthetic/{generator}"]
            for file in [*cohort_files(folder).values(), *further_files(cohort, folder)]
        ],
