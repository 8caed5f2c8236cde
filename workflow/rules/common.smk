# Helpers of the rules: where files lie and which code a job runs. No logic of the science.
import ast
import os
import shlex
import sys
from functools import cache
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

SCRIPTS = Path("workflow/scripts")
sys.path.insert(0, str(SCRIPTS))
if not sys.executable.startswith("'"):
    # Snakemake puts Python's path into shell commands as it stands: in a folder with spaces it must be quoted.
    sys.executable = shlex.quote(sys.executable)

from haemosynth.errors import InputError
from haemosynth.generate import REFERENCES
from haemosynth.study import check, expanded, modalities, source
from haemosynth.validate import STAGES

try:
    check(config, yaml.safe_load(Path("workflow/schemas/config.schema.yaml").read_text()))
    SOURCES = {name: expanded(source(config, name), name) for name in config["cohorts"]}
except InputError as error:
    raise WorkflowError(str(error)) from None

FILES = {
    "clinical": ["schema.yaml", "clinical.parquet"],
    "genomic": ["alterations.parquet", "mutations.parquet"],
}
# Drawn for patients who have the others: in files of their own, which only what reads them depends on.
FURTHER = {"transcriptomic": "expression.h5ad", "imaging": "images.zarr"}
# A cohort without a modality that another cohort of the study has writes that modality's tables without content.
# The patients of a cohort of images alone are a clinical table without columns.
MODALITIES = [m for m in FILES if m == "clinical" or any(m in modalities(config, name) for name in SOURCES)]
SIMULATED = [name for name, entry in SOURCES.items() if entry["format"] == "simulated"]
EXTERNAL = {name: entry["external"] for name, entry in config["generators"].items() if "external" in entry}
RECIPES = [name for name in config["generators"] if name not in EXTERNAL]
SEED_FOLDER = "results/{cohort}/seed-{seed}"
JOB = {"seed": config["seed"], "threads": config["numerical_threads"]}


DRAW = lambda wildcards: {
    "patients": config["synthetic_patients"],
    "most": config["release"]["most"],
    "published": wildcards.generator in config["publish"],
}


def one_of(names):
    """A wildcard constraint that matches these names alone."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    cohort=one_of(SOURCES),
    seed=r"\d+",
    generator=one_of([*REFERENCES, *config["generators"]]),
    method=r"\w+",


def cohort_files(folder):
    """The files of a canonical cohort in this folder, by name."""
    return {name.split(".")[0]: f"{folder}/{name}" for modality in MODALITIES for name in FILES[modality]}


def without_record(cohort):
    """Whether a cohort has images and no clinical record."""
    return "clinical" not in modalities(config, cohort)


def pictured():
    """The cohorts with images."""
    return [name for name in SOURCES if "imaging" in modalities(config, name)]


def image_files(cohort):
    """The image files of a cohort and their folders, so that a changed file is seen."""
    entry = SOURCES[cohort]
    path = Path(entry.get("images", {}).get("path", entry.get("path", "")))
    return sorted(str(file) for file in path.rglob("*") if file.is_file() and file.suffix != ".md")


def source_files(cohort):
    """The raw files of a cohort, so that a changed file is seen. Ingestion itself tells what is missing."""
    if without_record(cohort):
        return image_files(cohort)
    path = Path(SOURCES[cohort].get("path", ""))
    files = [path] if path.is_file() else [*path.glob("*"), *path.glob("case_lists/*"), *path.glob("gene_panel*/*")]
    return sorted(str(file) for file in files if file.is_file() and "path" in SOURCES[cohort])


def raw_strings(cohort):
    """The hashes of raw strings that nothing published may hold; simulated patients have none."""
    return [] if cohort in SIMULATED else [f"results/{cohort}/raw/strings.json"]


def having(modality):
    """The cohorts that have this modality."""
    return [name for name in SOURCES if modality in modalities(config, name)]


def further_files(cohort, folder):
    """The files of a cohort's further modalities in this folder."""
    return [f"{folder}/{file}" for modality, file in FURTHER.items() if modality in modalities(config, cohort)]


def expression_source(cohort):
    """The file of a cohort's expression, so that a changed one is seen; without a name, the tables of its folder."""
    folder, name = Path(SOURCES[cohort]["path"]), (SOURCES[cohort].get("expression") or {}).get("path")
    named = (folder if folder.is_dir() else folder.parent) / os.path.expandvars(str(name))
    return [str(named)] if name and named.is_file() else source_files(cohort)


def external_files(path):
    """The files of an external generator, so that a changed file is seen. The job itself tells what is missing."""
    place = Path(os.path.expandvars(path)).expanduser()
    return sorted(str(file) for file in ([place] if place.is_file() else place.glob("*")) if file.is_file())


@cache
def imported(path):
    """The project's modules that a Python file imports, found from its syntax tree."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    places = [SCRIPTS.joinpath(*name.split(".")) for name in names]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return [file for file in files if file.is_file()]


def package(*entries):
    """The modules a job runs: these files of workflow/scripts and every project module they import."""
    todo, found = [SCRIPTS / entry for entry in entries], []
    while todo:
        file = todo.pop()
        if file not in found:
            found.append(file)
            todo += imported(file)
    return sorted(str(file) for file in found)


def algorithm_code(modality, script):
    """The code of a method's algorithm and of the script that runs it, for the wildcard {method}."""

    def code(wildcards):
        algorithm = config["methods"][modality][wildcards.method]["algorithm"]
        modules = given_modules(modality, wildcards.method)
        return package(script, f"haemosynth/generate/{modality}/{algorithm}.py", *modules)

    return code


def given_modules(modality, method):
    """What a clinical method that is given alterations loads beside its algorithm."""
    return (
        ["haemosynth/generate/clinical/given.py"] if modality == "clinical" and method_given(modality, method) else []
    )


def method_settings(modality):
    return lambda wildcards: config["methods"][modality][wildcards.method]


def recipe_method(modality, wildcards):
    return config["generators"][wildcards.generator][modality]


def recipe_algorithm(modality, wildcards):
    return config["methods"][modality][recipe_method(modality, wildcards)]["algorithm"]


def method_given(modality, method):
    return config["methods"][modality][method].get("given", [])


def given_parts(modality, *names):
    """The sampled parts that a recipe's method of this modality is given; none where it is given nothing."""

    def parts(wildcards):
        folder = f"{SEED_FOLDER}/synthetic/{{generator}}/parts".format(**wildcards)
        given = method_given(modality, recipe_method(modality, wildcards))
        return [f"{folder}/{name}.parquet" for name in names] if given else []

    return parts


def fitted(modality):
    """The fitted model of a recipe's method, for the wildcard {generator}."""

    def part(ending):
        folder = f"{SEED_FOLDER}/models/{modality}"
        return lambda wildcards: f"{folder}/{recipe_method(modality, wildcards)}/{ending}".format(**wildcards)

    return {"weights": part("model.safetensors"), "description": part("model.json")}


def refitted(wildcards):
    """The settings of a recipe's methods of record and alterations, which the stage `shadow` fits again."""
    of = config["generators"][wildcards.generator]
    return {m: config["methods"][m][of[m]] for m in modalities(config, wildcards.cohort) if m in FILES and m in of}


def refitted_code(wildcards):
    """The code of these methods' algorithms."""
    return [f"haemosynth/generate/{m}/{method['algorithm']}.py" for m, method in refitted(wildcards).items()]


def release_size(wildcards):
    """The table that says how many patients are released, that of the first seed: its own for what is published.

    Everything else has as many as the first published recipe, so that all are compared at the same number.
    """
    if config["synthetic_patients"] != "auto" or not config["publish"]:
        return []
    own = wildcards.get("generator") in config["publish"]
    generator = wildcards.generator if own else config["publish"][0]
    return [f"results/{wildcards.cohort}/seed-{config['seeds'][0]}/synthetic/{generator}/size.tsv"]


def tree_models(wildcards):
    """Weights and description of those models of a recipe that measure a tree of pairs with noise; else nothing."""
    found = []
    for modality in modalities(config, wildcards.cohort) if wildcards.generator in RECIPES else ():
        if recipe_algorithm(modality, wildcards) == "private_marginals":
            found += [fitted(modality)[part](wildcards) for part in ("weights", "description")]
    return found


def pool(wildcards):
    """The long draw that a release is the first part of; references and what others made have none."""
    recipe = wildcards.generator in RECIPES and not without_record(wildcards.cohort)
    folder = f"{SEED_FOLDER}/synthetic/{{generator}}/pool".format(**wildcards)
    return list(cohort_files(folder).values()) if recipe else []


def comparison(*further):
    """A candidate, the holdout it is compared with, and for privacy the training patients and a control.

    `further` names modalities that a stage reads besides the clinical and the genomic one.
    """
    folders = {"candidate": "synthetic/{generator}", "holdout": "holdout", "train": "train", "control": "control"}
    files = [FURTHER[modality] for modality in further]
    return {
        name: [
            *cohort_files(f"{SEED_FOLDER}/{folder}").values(),
            *(f"{SEED_FOLDER}/{folder}/{file}" for file in files),
        ]
        for name, folder in folders.items()
    } | {"number": release_size}


def comparison_of_all():
    """The same with every modality that the cohort has."""

    def files(folder):
        return lambda wildcards: further_files(wildcards.cohort, f"{SEED_FOLDER}/{folder}".format(**wildcards))

    folders = {"candidate": "synthetic/{generator}", "holdout": "holdout", "train": "train", "control": "control"}
    return comparison() | {f"further_{name}": files(folder) for name, folder in folders.items()}


def stage_outputs(pillar, stage):
    base = f"{SEED_FOLDER}/validation/{{generator}}/{pillar}/{stage}"
    return {
        "metrics": f"{base}.tsv",
        "replicates": f"{base}.replicates.parquet",
        "figure": report(
            f"{base}.svg",
            caption=f"../report/{stage}.rst",
            category=pillar,
            subcategory=stage,
            labels={"cohort": "{cohort}", "generator": "{generator}", "seed": "{seed}"},
        ),
    }


def stage_settings(stage):
    number = config["synthetic_patients"]
    released = {"released": number if isinstance(number, int) else None}  # chosen sizes are read by the job
    return {**config["validation"]["common"], **config["validation"].get(stage, {}), **released}


def stages_of(cohort, pillar=""):
    """The study's stages that a cohort has the modalities for, of one pillar or of all."""
    return [
        stage
        for stage in config["stages"]
        if set(STAGES[stage].needs) <= set(modalities(config, cohort)) and STAGES[stage].pillar.startswith(pillar)
    ]


def candidates(stage):
    """Who is validated: for privacy also `fresh`, real patients that nobody has learned from."""
    if STAGES[stage].of_published:
        return config["publish"]
    return config["compare"] + (["fresh"] if STAGES[stage].pillar == "privacy" else [])


def validated(ending, cohorts=SOURCES, seeds=config["seeds"], pillar="", only=""):
    """The results of all stages (of a pillar, or one stage `only`) over cohorts, seeds and candidates."""
    return [
        f"results/{cohort}/seed-{seed}/validation/{generator}/{STAGES[stage].pillar}/{stage}{ending}"
        for cohort in cohorts
        for seed in seeds
        for stage in stages_of(cohort, pillar)
        if only in ("", stage)
        for generator in candidates(stage)
    ]


def imputed_draws():
    """The completed training tables of every cohort and seed."""
    draws = [f"{draw:02d}" for draw in range(1, config["imputation"]["draws"] + 1)]
    return expand(
        f"{SEED_FOLDER}/imputed/{config['imputation']['complete_with']}/draw-{{draw}}/clinical.parquet",
        cohort=[name for name in SOURCES if not without_record(name)],
        seed=config["seeds"],
        draw=draws,
    )


def released(cohort, generator, seed=config["seeds"][0]):
    """The files of the synthetic cohort that is published."""
    folder = f"results/{cohort}/seed-{seed}/synthetic/{generator}"
    return [*cohort_files(folder).values(), *further_files(cohort, folder)]


def parts(wildcards):
    """The sampled modalities of one recipe for one cohort."""
    folder = f"{SEED_FOLDER}/synthetic/{{generator}}/parts".format(**wildcards)
    if without_record(wildcards.cohort):
        return [f"{SEED_FOLDER}/train/clinical.parquet".format(**wildcards)]
    names = ["clinical"] + (["alterations", "mutations"] if "genomic" in modalities(config, wildcards.cohort) else [])
    return [f"{folder}/{name}.parquet" for name in names]


def pages(wildcards):
    """What the dossier of a cohort shows: the first seed's figures, imputation and models of what is published."""
    seed = config["seeds"][0]
    folder = f"results/{wildcards.cohort}/seed-{seed}"
    shown = [wildcards.generator] if "generator" in wildcards.keys() else config["publish"]
    recipes = [
        (modality, config["generators"][g][modality])
        for g in shown
        for modality in modalities(config, wildcards.cohort)
    ]
    return {
        "train": list(cohort_files(f"{folder}/train").values()),
        "holdout": list(cohort_files(f"{folder}/holdout").values()),
        "figures": [
            f"{folder}/validation/{generator}/{STAGES[stage].pillar}/{stage}.svg"
            for generator in shown
            for stage in stages_of(wildcards.cohort)
        ],
        "captions": [f"workflow/report/{stage}.rst" for stage in stages_of(wildcards.cohort)],
        "models": [f"{folder}/models/{modality}/{method}/model.json" for modality, method in recipes],
        "histories": [f"{folder}/models/{modality}/{method}/history.tsv" for modality, method in recipes],
        "expression": [
            f"{folder}/expression/{generator}.{edition}.svg"
            for generator in shown
            for edition in ("release", "working")
            if "transcriptomic" in modalities(config, wildcards.cohort)
        ],
        "assessment": [] if without_record(wildcards.cohort) else f"{folder}/imputed/assessment.tsv",
        "images": (
            [f"{folder}/{part}/{FURTHER['imaging']}" for part in ("train", *(f"synthetic/{g}" for g in shown))]
            if wildcards.cohort in pictured()
            else []
        ),
        "metrics": f"results/{wildcards.cohort}/metrics.tsv",
        "dictionary": f"results/{wildcards.cohort}/metrics_dictionary.tsv",
        "scorecard": f"results/{wildcards.cohort}/scorecard.tsv",
        "stages": f"results/{wildcards.cohort}/stages.tsv",
        "composites": f"results/{wildcards.cohort}/composites.tsv",
        "baseline": f"results/{wildcards.cohort}/against_baseline.tsv",
        "gate": f"results/{wildcards.cohort}/gate.tsv",
        "sizes": [f"{folder}/synthetic/{generator}/size.tsv" for generator in shown],
        "size_figures": [f"{folder}/synthetic/{generator}/size.svg" for generator in shown],
    }


def single_patients(wildcards):
    """What tells of single patients, synthetic or real, which the working dossier alone shows."""
    if without_record(wildcards.cohort):
        return {}
    folder = f"results/{wildcards.cohort}/seed-{config['seeds'][0]}/patients"
    return {
        "patients": [f"{folder}/{generator}.svg" for generator in config["publish"]],
        "at_risk": [f"{folder}/{generator}.at_risk.tsv" for generator in config["publish"]],
    }
