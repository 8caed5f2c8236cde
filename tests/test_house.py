"""The tree: a modality is named in its own folder alone, packages stand in layers, and no stage imports a stage."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from haemosynth.modalities.registry import MODALITIES, NAMES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow/scripts/haemosynth"
FOLDER = PACKAGE / "modalities"
FORMER = tuple(modality.formerly for modality in MODALITIES.values() if modality.formerly)
# From the ground up: what stands in a layer imports what stands below it, and its own.
LAYERS = (
    ("core",),
    ("modalities",),  # the interface: modality.py, registry.py and what they share
    ("stats", "reading", "encode"),
    ("learn", "generate", "validate"),  # the engine of validation, without stages
    ("privacy",),
    tuple(f"modalities.{name}" for name in NAMES),
    ("privacy.stages", "validate.stages"),
    ("study",),
    ("report",),
    ("publish",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def files(folder=ROOT / "workflow"):
    return [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]


def room_of(module):
    """The room of a module: its package, with the modality's folder or `stages` told apart."""
    parts = module.split(".")[1:]
    two = ".".join(parts[:2])
    return two if two in LEVEL else parts[0] if parts else ""


def module_of(path):
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """The project's modules that a file imports, but for types alone."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in hidden:
            for alias in node.names:
                whole = PACKAGE.parent.joinpath(*node.module.split("."), alias.name)
                there = whole.with_suffix(".py").is_file() or (whole / "__init__.py").is_file()
                yield f"{node.module}.{alias.name}" if there else node.module


def test_nothing_outside_its_folder_names_a_modality():
    found = []
    for path in files():
        if FOLDER in path.parents:
            continue
        tree = ast.parse(path.read_text())
        named = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        own = [module for module in imported(path) if module.startswith("haemosynth.modalities.")]
        found += [(path.name, text) for text in named if text in (*NAMES, *FORMER)]
        found += [(path.name, module) for module in own if module.split(".")[2] in NAMES]
    assert found == []


def test_no_rule_names_a_modality():
    words = [f'"{name}"' for name in (*NAMES, *FORMER)]
    for path in [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]:
        assert [word for word in words if word in path.read_text()] == [], path.name


def test_modalities_know_one_another_where_they_are_given_one_another():
    for name in NAMES:
        for path in files(FOLDER / name):
            others = {module.split(".")[2] for module in imported(path) if module.startswith("haemosynth.modalities.")}
            others = (others & set(NAMES)) - {name}
            assert others <= {*MODALITIES[name].given, "clinical", "genomic"}, path


@pytest.mark.parametrize("path", files(PACKAGE), ids=lambda path: module_of(path))
def test_arrows_point_down_only(path):
    own = room_of(module_of(path))
    if own not in LEVEL:
        return  # the package itself
    for module in imported(path):
        other = room_of(module)
        if module.startswith("haemosynth.") and other in LEVEL:
            assert LEVEL[other] <= LEVEL[own], f"{module_of(path)} imports {module}"


def test_no_circle_of_packages():
    above: dict[str, set[str]] = {room: set() for room in LEVEL}
    for path in files(PACKAGE):
        own = room_of(module_of(path))
        others = {room_of(module) for module in imported(path) if module.startswith("haemosynth.")}
        if own in LEVEL:
            above[own] |= (others & set(LEVEL)) - {own}
    TopologicalSorter(above).prepare()  # raises CycleError, which names the circle


def test_no_stage_imports_a_stage():
    from haemosynth.validate import STAGES

    modules = {stage.module for stage in STAGES.values()}
    for stage in STAGES.values():
        path = PACKAGE.parent / stage.path
        assert {module for module in imported(path) if module in modules} == set(), stage.module


def test_functions_can_be_read_at_a_glance():
    """At most 90 lines and nine arguments; compiled kernels take arrays and no objects."""
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 90, f"{path.name}: {node.name}"
                compiled = any("njit" in ast.unparse(decorator) for decorator in node.decorator_list)
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                assert compiled or len(arguments) <= 9, f"{path.name}: {node.name}"


def test_functions_say_what_they_do():
    # An imperative verb says who acts: `draw_visits`, not `drawn_visits`. Statistics keep the name they are known by.
    participles = {"built", "drawn", "found", "given", "held", "kept", "known", "left", "made", "said", "seen", "shown"}
    participles |= {"chosen", "lent", "sent", "taken", "told", "written"}
    verbs = {"embed", "feed", "need", "seed"}
    statistics = {"adjusted", "collapsed", "integrated", "restricted", "squared", "weighted"}
    for path in files(PACKAGE):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not node.decorator_list:
                first = node.name.strip("_").split("_")[0]
                participle = first in participles or (first.endswith("ed") and first not in verbs | statistics)
                assert not participle, f"{module_of(path)}: {node.name}"
