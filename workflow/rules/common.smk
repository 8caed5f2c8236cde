# Helpers of the rules: where files lie and which code a job runs. No logic of the science.
import os
import re
import shlex
import sys
from functools import cache
from itertools import product
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

SCRIPTS = Path("workflow/scripts")
sys.path.insert(0, str(SCRIPTS))
if not sys.executable.startswith("'"):
    # Snakemake puts Python's path into shell commands as it stands: in a folder with spaces it must be quoted.
    sys.executable = shlex.quote(sys.executable)

from haemosynth.core.errors import InputError
from haemosynth.generate import REFERENCES, draws_classes_last
from haemosynth.modalities import registry
from haemosynth.modalities.registry import ALTERED, FURTHER, OF_RECORD, RECORD
from haemosynth.reading.raw_files import raw_files
from haemosynth.study.settings import check, expand_paths, fill_in, modalities, source, update_names
from haemosynth.validate import STAGES

update_names(config)  # `make run` says which
try:
    check(config, yaml.safe_load(Path("workflow/schemas/config.schema.yaml").read_text()))
    fill_in(config)
    SOURCES = {name: expand_paths(source(config, name), name) for name in config["cohorts"]}
except InputError as error:
    raise WorkflowError(str(error)) from None

# A cohort without a modality of the record that another cohort of the study has writes its tables without content.
# The patients of a cohort of images alone are a clinical table without columns.
MODALITIES = [m for m in OF_RECORD if m == RECORD or any(m in modalities(config, name) for name in SOURCES)]
SIMULATED = [name for name, entry in SOURCES.items() if entry["format"] == "simulated"]
EXTERNAL = {name: entry["external"] for name, entry in config["generators"].items() if "external" in entry}
RECIPES = [name for name in config["generators"] if name not in EXTERNAL]
MADE = [name for name in REFERENCES if name in config["compare"]]  # references that are made of training patients
SEED_FOLDER = "results/{cohort}/seed-{seed}"
RECORD_FILE = registry.MODALITIES[RECORD].files[-1]
BALANCE = config.get("balance") or {}


def job(stream):
    """What every job is told: the study's seed, the name of its random stream, and how many threads it may use."""
    return {"seed": config["seed"], "stream": stream, "threads": config["numerical_threads"]}


def growing(memory):
    """Memory in MB that grows with the attempts of a job."""
    return lambda wildcards, attempt: memory * attempt


def asked(modality, job):
    """What a job of a modality asks for: memory, run time, and a GPU where the study has some."""
    needed = registry.MODALITIES[modality].asks(job)
    gpus = {"gpu": config["gpus"]} if needed.gpu else {}
    return {"mem_mb": growing(needed.memory), "runtime": needed.runtime} | gpus


def grouped(modality, job, name):
    """The group in which a job of a modality travels to a cluster; one that asks for a GPU travels alone."""
    return None if registry.MODALITIES[modality].asks(job).gpu else name


def asked_by(stage, candidates):
    """What a validation job of so many candidates asks for; they are measured one after another."""
    gpus = {"gpu": config["gpus"]} if stage.gpu else {}
    return {"mem_mb": growing(stage.memory), "runtime": stage.runtime * max(candidates, 1)} | gpus


def environment(modality, job):
    """The conda environment of a job of a modality."""
    return f"../../envs/{registry.MODALITIES[modality].asks(job).environment}.yaml"


DRAW = lambda wildcards: {
    "patients": config["synthetic_patients"],
    "most": config["release"]["most"],
    "published": wildcards.generator in config["publish"],
    "given": bool(method_given(RECORD, recipe_method(RECORD, wildcards))),
} | ({"balance": BALANCE} if BALANCE else {})


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
    return {
        name.split(".")[0]: f"{folder}/{name}"
        for modality in MODALITIES
        for name in registry.MODALITIES[modality].files
    }


def balanced_by(wildcards):
    """The training patients, whom quotas count, in a study that has some."""
    return list(cohort_files(f"{SEED_FOLDER}/train".format(**wildcards)).values()) if BALANCE else []


def without_record(cohort):
    """Whether the patients of a cohort have no clinical record, but images alone."""
    return RECORD not in modalities(config, cohort)


def part_files(cohort, modality):
    """The raw files of a further modality, so that a changed file is seen."""
    return registry.load(modality, "sources").source_files(SOURCES[cohort])


def source_files(cohort):
    """The raw files of a cohort, so that a changed file is seen. Ingestion itself says what is missing."""
    if without_record(cohort):
        return [file for modality in modalities(config, cohort) for file in part_files(cohort, modality)]
    return raw_files(SOURCES[cohort])


def aggregates(cohort):
    """The published aggregates that a simulated cohort is made from."""
    return sorted(str(table) for table in Path("resources", SOURCES[cohort]["disease"]).glob("*.tsv"))


def simulation_code(cohort):
    """The code that simulates a cohort: what all diseases share, and that of its own."""
    return package(
        "simulate.py", *(registry.path_of(RECORD, f"simulate{part}") for part in ("", f".{SOURCES[cohort]['disease']}"))
    )


def raw_strings(cohort):
    """The hashes of raw strings that nothing published may hold; simulated patients have none."""
    return [] if cohort in SIMULATED else [f"results/{cohort}/raw/strings.json"]


def having(modality, simulated):
    """The cohorts that have this modality: those that are simulated, or the others."""
    return [name for name in SOURCES if modality in modalities(config, name) and (name in SIMULATED) == simulated]


def part_file(modality):
    """The file of a further modality in the folder of a cohort."""
    return registry.MODALITIES[modality].files[0]


def written(modality, *paths):
    """These outputs of a further modality, as folders where it is one; one alone stands for itself."""
    outputs = [directory(path) if registry.MODALITIES[modality].folder else path for path in paths]
    return outputs if len(outputs) > 1 else outputs[0]


def further_files(cohort, folder):
    """The files of a cohort's further modalities in this folder."""
    return [f"{folder}/{part_file(m)}" for m in FURTHER if m in modalities(config, cohort)]


def external_files(path):
    """The files of an external generator, so that a changed file is seen. The job itself tells what is missing."""
    place = Path(os.path.expandvars(path)).expanduser()
    return sorted(str(file) for file in ([place] if place.is_file() else place.glob("*")) if file.is_file())


def giving_endpoints(cohort):
    """The further modalities of a cohort from which endpoints of its record follow."""
    return [modality for modality in registry.GIVING_ENDPOINTS if modality in modalities(config, cohort)]


def giving_files(folder):
    """The files of these modalities in this folder."""
    return lambda wildcards: [
        f"{folder}/{part_file(modality)}".format(**wildcards) for modality in giving_endpoints(wildcards.cohort)
    ]


def settling_code(script):
    """The code of a script that takes endpoints from these modalities, with that of the recipe's algorithms."""

    def code(wildcards):
        own = [
            registry.path_of(modality, part)
            for modality in giving_endpoints(wildcards.cohort)
            for part in ("part", "settle")
        ]
        own += [
            registry.path_of(modality, f"generators.{recipe_algorithm(modality, wildcards)}")
            for modality in (giving_endpoints(wildcards.cohort) if "generator" in wildcards.keys() else ())
        ]
        own += [registry.path_of(RECORD, "classes_last")] if "generator" in wildcards.keys() else []
        return package(script, *own)

    return code


def record_model(wildcards):
    """Weights and description of a recipe's model of the record, if it draws classes last when patients are whole."""
    last = not without_record(wildcards.cohort) and ALTERED in modalities(config, wildcards.cohort)
    method = config["methods"][RECORD][recipe_method(RECORD, wildcards)]
    return [part(wildcards) for part in fitted(RECORD).values()] if last and draws_classes_last(method) else []


def giving_models(wildcards):
    """Weights and description of each of a recipe's models of these modalities, one after the other."""
    return [
        fitted(modality)[part](wildcards)
        for modality in giving_endpoints(wildcards.cohort)
        for part in ("weights", "description")
    ]


# Not by syntax tree: each start of Snakemake reads all modules, on a cluster in every job.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|[^\n#]+)", re.MULTILINE)


@cache
def imported(path):
    """The project's modules that a Python file imports, at its top or inside a function."""
    names = set()
    for module, listed in IMPORT.findall(path.read_text()):
        several = re.findall(r"[\w.]+", listed)
        names |= {module, *(f"{module}.{name}" for name in several)} if module else set(several)
    places = [
        SCRIPTS.joinpath(*name.split("."))
        for name in sorted(names)
        if "." not in name or name.startswith("haemosynth.")
    ]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return [file for file in files if file.is_file()]


def package(*entries):
    """The modules a job runs: these files of workflow/scripts and every project module they import."""
    todo, found = [SCRIPTS / entry for entry in entries], set()
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += imported(file)
    return sorted(str(file) for file in found)


def part_code(script, modality, *parts):
    """The code of a script that works with these modules of a modality's folder."""
    own = [registry.path_of(modality, part) for part in ("part", *parts) if registry.offers(modality, part)]
    return package(script, *own)


def algorithm_code(modality, script):
    """The code of a method's algorithm and of the script that runs it, for the wildcards {method} or {generator}."""

    def code(wildcards):
        method = wildcards.get("method") or recipe_method(modality, wildcards)
        algorithm = config["methods"][modality][method]["algorithm"]
        own = ["draw"] if script == "sample.py" else []
        own += ["given"] if modality == RECORD and method_given(modality, method) else []
        own += ["joint"] if config["methods"][modality][method].get("joint") else []
        own += ["classes_last"] if script == "fit.py" and modality == RECORD else []
        return part_code(script, modality, f"generators.{algorithm}", *own)

    return code


def method_settings(modality):
    return lambda wildcards: config["methods"][modality][wildcards.method]


def recipe_method(modality, wildcards):
    return config["generators"][wildcards.generator][modality]


def recipe_algorithm(modality, wildcards):
    return config["methods"][modality][recipe_method(modality, wildcards)]["algorithm"]


def method_given(modality, method):
    return config["methods"][modality][method].get("given", [])


def given_parts(modality):
    """The sampled tables of the other modality of the record, where a recipe's method is given them; else none."""
    other = next(name for name in OF_RECORD if name != modality)

    def parts(wildcards):
        folder = f"{SEED_FOLDER}/synthetic/{{generator}}/parts".format(**wildcards)
        given = method_given(modality, recipe_method(modality, wildcards))
        return [f"{folder}/{name}.parquet" for name in registry.MODALITIES[other].sampled] if given else []

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
    return {m: config["methods"][m][of[m]] for m in modalities(config, wildcards.cohort) if m in OF_RECORD and m in of}


def refitted_code(wildcards):
    """The code of these methods' algorithms."""
    own = [registry.path_of(m, f"generators.{method['algorithm']}") for m, method in refitted(wildcards).items()]
    return [*own, registry.path_of(RECORD, "classes_last")]


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


def modalities_read(stage):
    """The further modalities that a stage reads: those it needs, or all that the cohort has."""
    if not stage.all_modalities:
        return [modality for modality in FURTHER if modality in stage.needs]
    return lambda wildcards: [modality for modality in FURTHER if modality in modalities(config, wildcards.cohort)]


def candidates(stage):
    """Who is validated: for privacy also `fresh`, real patients that nobody has learned from."""
    if stage.of_published:
        return config["publish"]
    return config["compare"] + (["fresh"] if stage.pillar == "privacy" else [])


def compared(stage, references):
    """The candidates of one job: all references, or one recipe, which its wildcard names."""
    return [name for name in candidates(stage) if name in REFERENCES] if references else ["{generator}"]


def comparison(stage, references):
    """The candidates of a job, the holdout they are compared with, and for privacy training patients and a control."""

    def further(folders):
        if stage.all_modalities:
            return lambda wildcards: [
                file
                for folder in folders
                for file in further_files(wildcards.cohort, f"{SEED_FOLDER}/{folder}".format(**wildcards))
            ]
        return [f"{SEED_FOLDER}/{folder}/{part_file(m)}" for folder in folders for m in modalities_read(stage)]

    sides = {"candidates": [f"synthetic/{name}" for name in compared(stage, references)]}
    sides |= {side: [side] for side in ("holdout", "train", "control")}
    return (
        {
            side: [file for f in folders for file in cohort_files(f"{SEED_FOLDER}/{f}").values()]
            for side, folders in sides.items()
        }
        | {f"further_{side}": further(folders) for side, folders in sides.items()}
        | {"number": release_size}
    )


def further_inputs(stage, references):
    """What some stages read of a recipe besides: the long draw of the release, and models that measure a tree of pairs."""
    if references:
        return {}
    return ({"pool": pool} if stage.pool else {}) | ({"models": tree_models} if stage.models else {})


def stage_code(stage):
    """The code of a stage, with that of the recipe's algorithms where it fits them again."""
    readers = [
        registry.path_of(modality, "part") for modality in FURTHER if stage.all_modalities or modality in stage.needs
    ]
    readers += [
        registry.path_of(m, "summary") for m in FURTHER if stage.all_modalities and registry.offers(m, "summary")
    ]
    trees = [registry.path_of(m, "generators.private_marginals") for m in OF_RECORD if stage.models]
    readers += trees  # whose levels the attack on them reads
    if not stage.refits:
        return package("validate.py", stage.path, *readers)
    return lambda wildcards: package("validate.py", stage.path, *readers, *refitted_code(wildcards))


def stage_outputs(name, stage, references):
    """What a stage writes of each candidate of a job."""
    names = compared(stage, references)
    base = {candidate: f"{SEED_FOLDER}/validation/{candidate}/{stage.pillar}/{name}" for candidate in names}
    drawn = {
        candidate: report(
            f"{base[candidate]}.svg",
            caption=f"../scripts/{stage.caption}",
            category=stage.pillar,
            subcategory=name,
            labels={"cohort": "{cohort}", "generator": candidate, "seed": "{seed}"},
        )
        for candidate in names
    }
    return {
        "metrics": [f"{base[candidate]}.tsv" for candidate in names],
        "replicates": [f"{base[candidate]}.replicates.parquet" for candidate in names],
        "figures": list(drawn.values()),
        "beside": [f"{base[candidate]}.{ending}" for candidate in names for ending in stage.beside],
    }


def stage_settings(name, stage):
    number = config["synthetic_patients"]
    released = {"released": number if isinstance(number, int) else None}  # chosen sizes are read by the job
    settings = {**config["validation"]["common"], **config["validation"].get(name, {}), **released}
    settings |= {"balance": BALANCE} if BALANCE and stage.balanced else {}
    return (lambda wildcards: {**settings, "methods": refitted(wildcards)}) if stage.refits else settings


def stages_of(cohort, pillar=""):
    """The study's stages that a cohort has the modalities for, of one pillar or of all."""
    return [
        stage
        for stage in config["stages"]
        if set(STAGES[stage].needs) <= set(modalities(config, cohort)) and STAGES[stage].pillar.startswith(pillar)
    ]


def validated(ending, cohorts=SOURCES, seeds=config["seeds"], pillar="", only=""):
    """The results of all stages (of a pillar, or one stage `only`) over cohorts, seeds and candidates."""
    return [
        f"results/{cohort}/seed-{seed}/validation/{generator}/{STAGES[stage].pillar}/{stage}{ending}"
        for cohort in cohorts
        for seed in seeds
        for stage in stages_of(cohort, pillar)
        if only in ("", stage)
        for generator in candidates(STAGES[stage])
    ]


def imputed_draws():
    """The completed training tables of every cohort and seed."""
    draws = [f"{draw:02d}" for draw in range(1, config["imputation"]["draws"] + 1)]
    return expand(
        f"{SEED_FOLDER}/imputed/{config['imputation']['complete_with']}/draw-{{draw}}/{RECORD_FILE}",
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
        return [f"{SEED_FOLDER}/train/{RECORD_FILE}".format(**wildcards)]
    own = [m for m in OF_RECORD if m in modalities(config, wildcards.cohort)]
    names = [name for modality in own for name in registry.MODALITIES[modality].sampled]
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
        "captions": [SCRIPTS / STAGES[stage].caption for stage in stages_of(wildcards.cohort)],
        "models": [f"{folder}/models/{modality}/{method}/model.json" for modality, method in recipes],
        "histories": [f"{folder}/models/{modality}/{method}/history.tsv" for modality, method in recipes],
        "drawings": [
            f"{folder}/{modality}/{generator}.{edition}.svg"
            for modality in FURTHER
            if modality in modalities(config, wildcards.cohort) and registry.offers(modality, "figure")
            for generator in shown
            for edition in ("release", "working")
        ],
        "assessment": [] if without_record(wildcards.cohort) else f"{folder}/imputed/assessment.tsv",
        "parts": [
            file
            for part in ("train", *(f"synthetic/{g}" for g in shown))
            for file in further_files(wildcards.cohort, f"{folder}/{part}")
        ],
        "made": [file for g in shown for file in cohort_files(f"{folder}/synthetic/{g}").values()],
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


def page_code(script):
    """The code of a script that writes pages, with what modalities offer to pages."""
    offered = [
        (m, part) for m in registry.NAMES for part in ("molecular_classes", "explorer") if registry.offers(m, part)
    ]
    return package(script, *(registry.path_of(*part) for part in offered))


def single_patients(wildcards):
    """What tells of single patients, synthetic or real, which the working dossier alone shows."""
    if without_record(wildcards.cohort):
        return {}
    folder = f"results/{wildcards.cohort}/seed-{config['seeds'][0]}/patients"
    return {
        "patients": [f"{folder}/{generator}.svg" for generator in config["publish"]],
        "at_risk": [f"{folder}/{generator}.at_risk.tsv" for generator in config["publish"]],
    }
