"""Checks of a study's settings, before anything is run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from haemosynth.core.errors import InputError, Mistakes, suggestion
from haemosynth.generate import REFERENCES
from haemosynth.generate.quota_form import check_balance
from haemosynth.modalities.registry import FORMER, FURTHER, MODALITIES, NAMES, OF_RECORD, RECORD, algorithms
from haemosynth.validate import DEFAULT_STAGES, STAGES

DISEASE = "myeloma"  # of a simulated cohort that names none


def merge(*settings: Mapping[str, Any]) -> dict[str, Any]:
    """Later settings laid over earlier ones: dictionaries key by key, everything else replaced."""
    result: dict[str, Any] = {}
    for layer in settings:
        for key, value in layer.items():
            old = result.get(key)
            result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return result


def read_settings(root: Path, studies: Sequence[str]) -> dict[str, Any]:
    """The settings of a study over the defaults; those of the demonstration where it names no cohort.

    Args:
        root: the folder that holds `config`. studies: study files, later ones over earlier ones.

    Raises:
        InputError: a file is missing, no YAML, or holds a key twice.
    """
    config = merge(*(_settings_of(path) for path in (root / "config" / "config.yaml", *map(Path, studies))))
    if config.get("cohorts"):
        return config
    return merge(config, _settings_of(root / "config" / "studies" / "demo.yaml"))


def _settings_of(path: Path) -> dict[str, Any]:
    import yaml

    class Once(yaml.SafeLoader):
        """YAML whose keys occur once: of two the first would be lost without a word."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for position, (key, _) in enumerate(node.value):
                if isinstance(key, yaml.ScalarNode) and key.value != "<<" and key.value in keys[:position]:
                    raise InputError(
                        f"{path}, line {key.start_mark.line + 1}: the key {key.value!r} occurs twice; write what both "
                        f"say under one"
                    )
            return super().construct_mapping(node, deep)

    if not path.is_file():
        raise InputError(f"{path}: no such study file")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Once)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it again as UTF-8") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def check(config: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    """Check a study's settings against their JSON schema (`rules`) and against each other.

    Raises:
        InputError: a line for every mistake that names the key, what was expected and, for a misspelt key, the nearest
            known one.
    """
    import jsonschema

    mistakes = Mistakes()
    rules = _with_modalities(rules)
    # Checked by hand for the wording; everything else by the schema.
    for path, known, content in _objects(rules, rules, config, ()):
        for key in content:
            if key not in known:
                mistakes.add([f"config: unknown key {'.'.join((*path, str(key)))!r}; {suggestion(key, known)}"])
    for name, entry in (config.get("cohorts") or {}).items():
        named = entry.get("modalities") if isinstance(entry, Mapping) else None
        if named is not None and not isinstance(named, list):
            wanted = re.findall(r"\w+", str(named)) or [RECORD]
            mistakes.add([
                f"config: cohorts.{name}.modalities: expected a list, found {named!r}; "
                f"`modalities: [{', '.join(wanted)}]`"
            ])  # fmt: skip
    misspelt = any("unknown key" in line for line in mistakes.lines)
    for fault in sorted(
        jsonschema.Draft202012Validator(rules).iter_errors(config), key=lambda e: [str(p) for p in e.path]
    ):
        if fault.validator == "additionalProperties" and misspelt:
            continue  # told above
        where = ".".join(str(part) for part in fault.absolute_path)
        mistakes.add([f"config: {where + ': ' if where else ''}{fault.message}"])
    mistakes.tell()
    _check_references(config)


def _with_modalities(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the modalities that there are as keys of methods and recipes."""
    properties = dict(rules["properties"])
    methods = {name: {"$ref": "#/$defs/methods"} for name in NAMES}
    properties["methods"] = {**properties["methods"], "required": [RECORD], "properties": methods}
    recipe = properties["generators"]["additionalProperties"]
    named = {**recipe["properties"], **{name: {"type": "string"} for name in NAMES}}
    either = [{"required": [RECORD]}, {"required": ["external"], "maxProperties": 1}]
    properties["generators"] = {
        **properties["generators"],
        "additionalProperties": {**recipe, "anyOf": either, "properties": named},
    }
    return {**rules, "properties": properties}


def update_names(config: dict[str, Any]) -> list[str]:
    """Put the present names of modalities in place of those of earlier versions in a study's settings.

    Returns:
        a line for each, that says where it is and what the modality is called now. Where a study has both names,
        the entry of the former one is left, and `check` says that it is unknown.
    """
    lines = []

    def renamed(keys: Any, where: str) -> Any:
        for former, name in FORMER.items():
            if isinstance(keys, list | dict) and former in keys and name not in keys:
                lines.append(f"{where}: {former!r} is now called {name!r}")
                words = [name if key == former else key for key in keys]
                keys = dict(zip(words, keys.values(), strict=True)) if isinstance(keys, dict) else words
        return keys

    if "methods" in config:
        config["methods"] = renamed(config["methods"], "methods")
    for group, inner in (("generators", None), ("cohorts", "modalities")):
        for name, entry in (config.get(group) or {}).items():
            if inner is None:
                config[group][name] = renamed(entry, f"{group}.{name}")
            elif isinstance(entry, dict) and inner in entry:
                entry[inner] = renamed(entry[inner], f"{group}.{name}.{inner}")
    for methods in (config.get("methods") or {}).values():
        for name, method in methods.items() if isinstance(methods, dict) else ():
            if isinstance(method, dict) and "given" in method:
                method["given"] = renamed(method["given"], f"methods.{name}.given")
    return lines


def _objects(
    root: Mapping[str, Any], rules: Mapping[str, Any], content: Any, path: tuple[str, ...]
) -> list[tuple[tuple[str, ...], list[str], Mapping[str, Any]]]:
    """Every object of the content whose keys the schema lists in full: (path, known keys, object)."""
    if "$ref" in rules:
        rules = root["$defs"][rules["$ref"].rsplit("/", 1)[1]]
    if not isinstance(content, Mapping):
        return []
    known = rules.get("properties", {})
    extra = rules.get("additionalProperties")
    here = [(path, list(known), content)] if extra is False else []
    for key, value in content.items():
        inner = known.get(key, extra if isinstance(extra, Mapping) else {})
        here += _objects(root, inner, value, (*path, str(key)))
    return here


def _check_references(config: Mapping[str, Any]) -> None:
    """Every name that refers to another part of the settings must be found there."""
    methods, generators = config["methods"], config["generators"]
    imputation = config["imputation"]
    mistakes = Mistakes()
    for name in generators:
        if name in REFERENCES:
            raise InputError(f"config: generators.{name}: the name of a reference; choose another")
    named: list[tuple[str, Sequence[str], Sequence[str]]] = [
        ("compare", config["compare"], [*(name for name in REFERENCES if name != "fresh"), *generators]),
        ("publish", config["publish"], config["compare"]),
        ("publish", config["publish"], list(generators)),
        ("baseline", [config["baseline"]] if config.get("baseline") else [], list(generators)),
        ("stages", config["stages"] or [], list(STAGES)),
        ("validation", list(config["validation"]), ["common", *STAGES]),
        ("imputation.complete_with", [imputation["complete_with"]], list(imputation["methods"])),
        ("imputation.assess", imputation["assess"], list(imputation["methods"])),
    ]
    for modality, entries in methods.items():
        named += [
            (f"methods.{modality}.{m}.algorithm", [entry["algorithm"]], algorithms(modality))
            for m, entry in entries.items()
        ]
    external = [name for name, chosen in generators.items() if "external" in chosen]
    for name in external:
        if name in config["publish"]:
            raise InputError(f"config: publish: {name} is external; what others made is validated, not published")
        if name == config.get("baseline"):
            raise InputError(f"config: baseline: {name} is external; expected a recipe of this study")
        for cohort in config["cohorts"]:
            further = sorted({*FURTHER} & {*modalities(config, cohort)})
            if name in config["compare"] and further:
                raise InputError(
                    f"config: compare: {name} is external, and cohort {cohort} has {further[0]} data; "
                    "external patients have a record and alterations alone"
                )
    for recipe, chosen in generators.items():
        if recipe in external:
            continue
        named += [(f"generators.{recipe}.{m}", [method], list(methods.get(m, {}))) for m, method in chosen.items()]
        _check_order(recipe, chosen, methods)
    for key, words, known in named:
        for word in words:
            if word not in known:
                mistakes.add([f"config: {key}: {word!r} is unknown here; {suggestion(word, known)}"])
    mistakes.tell()
    _check_size(config)
    check_balance(config)
    for reference in ("real", "independent", "uniform"):
        if reference not in config["compare"]:
            raise InputError(
                f"config: compare: the reference {reference!r} is missing; every metric is read against it"
            )
    for cohort in config["cohorts"]:
        for recipe in (name for name in config["compare"] if name in generators and name not in external):
            missing = sorted(set(modalities(config, cohort)) - set(add_defaults(generators[recipe], methods)))
            if missing:
                raise InputError(
                    f"config: generators.{recipe}: cohort {cohort} needs a method for {', '.join(missing)}"
                )


def _check_size(config: Mapping[str, Any]) -> None:
    """A size that is chosen by looking at patients breaks the guarantee of a differentially private release."""
    if config["synthetic_patients"] != "auto":
        return
    for name in config["publish"]:
        methods = config["generators"].get(name, {})
        private = [m for m in methods.items() if _algorithm(config, *m).startswith("private_")]
        if private:
            raise InputError(
                f"config: publish: {name} is differentially private, and synthetic_patients: auto looks at patients;"
                " give a number, or null for as many as there are training patients: synthetic_patients: null"
            )


def _algorithm(config: Mapping[str, Any], modality: str, method: str) -> str:
    return str(config["methods"].get(modality, {}).get(method, {}).get("algorithm", ""))


def _check_order(recipe: str, chosen: Mapping[str, str], methods: Mapping[str, Any]) -> None:
    """Record and alterations: each may be given the other, but not both at once; a method must be able to."""
    entries = {m: methods.get(m, {}).get(chosen.get(m, ""), {}) for m in OF_RECORD}
    record, altered = (list(entry.get("given", [])) for entry in entries.values())
    first, second = (chosen.get(m, "") for m in OF_RECORD)
    if record and altered:
        raise InputError(
            f"config: generators.{recipe}: {first} is given {', '.join(record)} and "
            f"{second} is given {', '.join(altered)}; one of the two must come first"
        )
    if record and entries[RECORD]["algorithm"] not in MODALITIES[RECORD].can_be_given:
        raise InputError(
            f"config: methods.{RECORD}.{first}: {entries[RECORD]['algorithm']} can be given nothing; "
            f"expected one of {', '.join(MODALITIES[RECORD].can_be_given)}"
        )
    _check_joint(recipe, entries)
    if entries[RECORD].get("classes_last") and str(entries[RECORD].get("algorithm", "")).startswith("private_"):
        raise InputError(
            f"config: methods.{RECORD}.{first}: classes_last: true; classes are learned from training patients without "
            "noise, which a differentially private method must not do: leave it out"
        )
    if record and entries[RECORD].get("where"):
        raise InputError(
            f"config: methods.{RECORD}.{first}: where and given together; patients with given alterations "
            "cannot be chosen by their record"
        )


def _check_joint(recipe: str, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Record and alterations that are drawn together: both methods must say so."""
    first, second = entries.values()
    together, takes_up = bool(first.get("joint")), second.get("algorithm") == "joint"
    if together and first.get("given"):
        raise InputError(f"config: generators.{recipe}: its first method is joint and given; expected one of the two")
    if together and str(first.get("algorithm", "")).startswith("private_"):
        raise InputError(f"config: generators.{recipe}: {first['algorithm']} cannot be joint")
    if (together and second and not takes_up) or (takes_up and not together):
        raise InputError(
            f"config: generators.{recipe}: record and alterations are drawn together where the method of the record "
            "has joint: true and that of the alterations the algorithm joint; expected both, or neither"
        )


def add_defaults(recipe: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with the first method of every further modality that it does not name.

    A differentially private recipe has those that it names alone: others would give no guarantee.
    """
    algorithms_of = [methods.get(m, {}).get(method, {}).get("algorithm", "") for m, method in recipe.items()]
    if any(str(algorithm).startswith("private_") for algorithm in algorithms_of):
        return dict(recipe)
    first = {name: next(iter(methods[name])) for name in FURTHER if methods.get(name) and name not in recipe}
    return {**recipe, **first}


def fill_in(config: dict[str, Any]) -> None:
    """Write into checked settings what they leave out: stages that are run, and methods of further modalities."""
    config["stages"] = config.get("stages") or [
        name for name in STAGES if name in DEFAULT_STAGES or (STAGES[name].balanced and config.get("balance"))
    ]
    config["generators"] = {
        name: recipe if "external" in recipe else add_defaults(recipe, config["methods"])
        for name, recipe in config["generators"].items()
    }


def modalities(config: Mapping[str, Any], cohort: str) -> list[str]:
    """The modalities of a cohort, as its entry or the defaults name them."""
    return list(source(config, cohort)["modalities"])


def source(config: Mapping[str, Any], cohort: str) -> dict[str, Any]:
    """A cohort's entry with the defaults filled in (a panel replaces the default panel)."""
    entry = config["cohorts"][cohort]
    simulated = {"disease": DISEASE} if entry.get("format") == "simulated" else {}
    return {**config.get("cohort_defaults", {}), **simulated, **entry}


def expand_paths(entry: Mapping[str, Any], cohort: str) -> dict[str, Any]:
    """A cohort's entry with environment variables and `~` in its path expanded, once.

    Raises:
        InputError: the path names an environment variable that is not set.
    """
    for name in FURTHER:
        if isinstance(entry.get(name), Mapping) and entry[name].get("path"):
            entry = {**entry, name: expand_paths(entry[name], f"{cohort}.{name}")}
    if "path" not in entry:
        return dict(entry)
    path = os.path.expanduser(os.path.expandvars(str(entry["path"])))
    unset = re.search(r"\$\{?(\w+)", path)
    if unset:
        raise InputError(
            f"config: cohorts.{cohort}.path: the environment variable {unset[1]} is not set; "
            f"set it to the folder that holds the cohort"
        )
    return {**entry, "path": path}
