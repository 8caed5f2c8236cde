"""The wiring of `--sdm conda`: each rule runs in an environment of its own that holds what its file lists.

A stand-in plays conda (`tests/conda/conda` says what it does and does not show).
"""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from test_workflow import copy_tree

SEED = "results/small/seed-1"
TARGETS = [
    f"{SEED}/validation/default/fidelity/marginals.tsv",
    f"{SEED}/validation/default/utility/survival.tsv",
    f"{SEED}/imputed/assessment.tsv",
]
# A job says where it found what it imported, once it is done.
WITNESS = """
import atexit, sys
def told():
    own, path = set(), sys.argv[0]
    for name, module in sorted(sys.modules.items()):
        place = getattr(module, "__file__", None) or ""
        if "." not in name and "site-packages" in place:
            own.add(f"{name}\\t{place}")
    with open(sys.prefix + "/imported.tsv", "a") as file:
        file.write("".join(f"{path}\\t{line}\\n" for line in sorted(own)))
atexit.register(told)
"""


@pytest.fixture
def conda(tmp_path, monkeypatch):
    place = tmp_path / "conda/bin"
    place.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conda"), place)
    (place / "activate").write_text('export PATH="$1/bin:$PATH"\n')
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_CHANNEL", sysconfig.get_path("purelib"))
    return place / "conda"


def run(place, *rest):
    command = [sys.executable, "workflow/run.py", "--study", "study.yaml", "--cores", "2", "--", *rest]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


def imports(folder):
    """The packages that the modules of a folder import."""
    nodes = [node for path in folder.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in named}


@pytest.mark.slow
def test_each_rule_runs_in_its_own_environment(conda, tmp_path):
    place = copy_tree(tmp_path / "tree")
    done = run(place, *TARGETS, "--sdm", "conda", "--conda-create-envs-only")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    made = [path for path in (place / ".snakemake/conda").iterdir() if (path / "pyvenv.cfg").is_file()]
    assert len(made) == 4  # tabular, torch, pyro, survival
    for env in made:
        (next(env.glob("lib/python*/site-packages")) / "sitecustomize.py").write_text(WITNESS)
    done = run(place, *TARGETS, "--sdm", "conda")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = [line.split("\t") for env in made for line in (env / "imported.tsv").read_text().splitlines()]
    assert {Path(script).name.partition(".")[2] for script, _, _ in told} >= {
        "simulate.py", "split.py", "fit.py", "validate.py", "assess_imputation.py"
    }  # fmt: skip
    # What the project imports lies in the job's environment. Snakemake's own packages can be reached behind it, and
    # libraries take from there what they can do without (rich, psutil); that is left aside.
    strangers = {name for _, name, file in told if not file.startswith(str(place))}
    assert "snakemake" in strangers
    assert not strangers & imports(place / "workflow/scripts"), strangers


def test_a_version_that_the_channel_lacks_is_refused(conda, tmp_path):
    file = tmp_path / "env.yaml"
    file.write_text("channels: [conda-forge]\ndependencies: [python=3.11, numpy=0.0.1]\n")
    command = [conda, "env", "create", "--file", file, "--prefix", tmp_path / "env"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ResolvePackageNotFound: numpy=0.0.1" in done.stderr
    assert not (tmp_path / "env").exists()
