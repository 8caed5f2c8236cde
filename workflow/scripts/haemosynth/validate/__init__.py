"""The validation stages, found where they lie.

A stage is a module `<stage>.py` in a folder `stages`, of a modality (`modalities/<modality>/stages`), of privacy
(`privacy/stages`) or, where it compares modalities, of validation (`validate/stages`), with
    STAGE     what the workflow must know of it (`Stage`), written in literals
    METRICS   what it measures (`Metric`), one entry per metric name
    DEFAULTS  its settings and their default values; a study may change them under `validation:`
    measure   (comparison, settings, rng) -> values, without intervals
    figure    (comparison, values, settings, label) -> the figure of this candidate
and perhaps
    prepare   (comparison, settings, rng) -> what is learned once and kept for all resamples
The caption of its figure, `<stage>.rst`, lies beside it. Other modules of the folder are helpers of one stage.
`evaluate` in `resampling.py` gives every stage its intervals. This file imports nothing heavy and no stage: the
workflow reads the declarations while it builds its graph.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from haemosynth.modalities.registry import ALTERED, RECORD

PACKAGE = Path(__file__).parents[1]
PILLARS = ("fidelity", "diversity", "utility", "privacy")


class Stage(NamedTuple):
    """What the workflow must know of a stage before it runs.

    needs: the modalities that a cohort must have. environment: the file of `envs/` that it runs in. memory: MB.
    runtime: minutes. gpu: whether a GPU serves it. all_modalities: it reads every modality that the cohort has. pool:
    it reads the long draw that the release is the first part of. models: it reads fitted trees of pairs. refits: it
    fits the recipe again. of_published: it asks about what is published alone. by_default: it runs where a study names
    no stages. balanced: it is given the quotas of a study, and runs where there are some and no stages are named.
    beside: endings of further files that it writes, for whoever holds the results and for no release. module and
    about are filled in from the file: its dotted name, and the first line of its description.
    """

    pillar: str
    needs: tuple[str, ...]
    environment: str = "tabular"
    memory: int = 2000
    runtime: int = 30
    gpu: bool = False
    all_modalities: bool = False
    pool: bool = False
    models: bool = False
    refits: bool = False
    of_published: bool = False
    by_default: bool = True
    balanced: bool = False
    beside: tuple[str, ...] = ()
    module: str = ""
    about: str = ""

    @property
    def path(self) -> str:
        """The stage's file, from the folder of the scripts."""
        return self.module.replace(".", "/") + ".py"

    @property
    def reads_prevalence(self) -> bool:
        """Whether it compares whole cohorts, whose classes must then be as frequent as in the real one."""
        return self.pillar != "privacy" and not self.balanced

    @property
    def caption(self) -> str:
        """The caption of its figure, from the folder of the scripts."""
        return self.module.replace(".", "/") + ".rst"


KNOWN = {"Stage": Stage, "RECORD": RECORD, "ALTERED": ALTERED}  # what a declaration may name


@cache
def find_stages(package: Path = PACKAGE) -> dict[str, Stage]:
    """The stages by name, pillar by pillar, in alphabetical order.

    Raises:
        ValueError: two stages have one name, or a pillar is unknown.
    """
    found: dict[str, Stage] = {}
    for file in sorted(package.rglob("stages/*.py")):
        stage = _declaration(file, ".".join(file.relative_to(package.parent).with_suffix("").parts))
        if stage is None:
            continue
        if file.stem in found or stage.pillar not in PILLARS:
            raise ValueError(f"{file}: the name of another stage, or not one of the pillars {', '.join(PILLARS)}")
        found[file.stem] = stage
    return dict(sorted(found.items(), key=lambda item: (PILLARS.index(item[1].pillar), item[0])))


def _declaration(file: Path, module: str) -> Stage | None:
    """`STAGE = Stage(...)` of a module, read without running the module; None for a helper."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.targets[0]) == "STAGE"
        ):
            about = (ast.get_docstring(tree) or "").split("\n", maxsplit=1)[0]
            stage: Stage = eval(compile(ast.Expression(node.value), str(file), "eval"), dict(KNOWN))
            return stage._replace(module=module, about=about)
    return None


if TYPE_CHECKING:
    STAGES: dict[str, Stage]  # all of them
    DEFAULT_STAGES: list[str]  # those that run where a study names none


def __getattr__(name: str) -> Any:
    """STAGES and DEFAULT_STAGES, read when they are first asked for: a job that runs one stage needs neither."""
    if name == "STAGES":
        globals()[name] = find_stages()
    elif name == "DEFAULT_STAGES":
        globals()[name] = [stage for stage, known in find_stages().items() if known.by_default]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals()[name]


def load(stage: str) -> ModuleType:
    """The module of a stage."""
    return import_module(find_stages()[stage].module)
