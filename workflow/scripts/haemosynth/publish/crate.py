"""The metadata that make a release folder a Workflow Run RO-Crate (Leo et al., PLoS One 2024;19:e0309210)."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from haemosynth import __version__
from haemosynth.core.files import write_json
from haemosynth.privacy.tiers import TIERS

NAME = "ro-crate-metadata.json"
WORKFLOW = "workflow/Snakefile"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
# Of an equal release the bytes are equal, so the date is that of the code's version, not of the run (`run.json`).
UNDATED = "1970-01-01"
BALANCED = " The cohort is balanced: its classes have the quotas of the study, and weights restore their prevalence."


def write_crate(folder: Path, study: str, config: Mapping[str, Any], root: Path) -> None:
    """Describe every file in `folder` in `ro-crate-metadata.json`, and add the workflow as it was run.

    Args:
        study: the name of the real cohort that was learned from.
        config: the study's settings.
        root: the project, for `Snakefile`, `CITATION.cff` and the licence.
    """
    snakefile = root / "Snakefile"
    (folder / WORKFLOW).parent.mkdir(parents=True, exist_ok=True)
    (folder / WORKFLOW).write_bytes(snakefile.read_bytes() if snakefile.is_file() else b"")
    citation = _citation(root)
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != NAME)
    parts = [_file(file, folder) for file in files]
    outputs = [part for part in parts if part["@id"] not in (WORKFLOW, "config.yaml")]
    balance = ("balance",) if config.get("balance") else ()
    settings = [
        {"@id": f"#setting-{key}", "@type": "PropertyValue", "name": key, "value": str(config[key]),
         "exampleOfWork": {"@id": f"#parameter-{key}"}}
        for key in ("seed", "seeds", "synthetic_patients", "release", "publish", *balance)
        if key in config
    ]  # fmt: skip
    parameters = [
        {"@id": f"#parameter-{s['name']}", "@type": "FormalParameter", "name": s["name"], "additionalType": "Text",
         "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"},
         "workExample": {"@id": s["@id"]}}
        for s in settings
    ]  # fmt: skip
    for part in parts:
        if part["@id"] == WORKFLOW:
            part |= {
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
                "name": citation.get("title", "HaemoSynth"),
                "version": __version__,
                "programmingLanguage": {"@id": LANGUAGE},
                "license": {"@id": _license(citation)},
                "creator": _references(_people(citation)),
                "input": _references([*parameters, {"@id": "#settings"}, {"@id": "#cohort"}]),
                "output": [{"@id": "#synthetic"}],
            }
        elif part["@id"] == "config.yaml":
            part["exampleOfWork"] = {"@id": "#settings"}
        elif part["@id"] == "cohort/clinical.parquet":
            part["exampleOfWork"] = {"@id": "#synthetic"}
    packages = _packages(folder / "environment.txt")
    graph = [
        {"@id": NAME, "@type": "CreativeWork", "about": {"@id": "./"},
         "conformsTo": [{"@id": "https://w3id.org/ro/crate/1.1"},
                        {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"}]},
        {"@id": "./", "@type": "Dataset", "name": f"Synthetic patients after {study}{', balanced' if balance else ''}",
         "description": f"Synthetic patients with their validation. No row is a real patient. {_stamp(config)}"
         + (BALANCED if balance else ""),
         "datePublished": str(citation.get("date-released", UNDATED)), "license": {"@id": _license(citation)},
         "author": _references(_people(citation)), "conformsTo": [{"@id": profile} for profile in PROFILES],
         "mainEntity": {"@id": WORKFLOW}, "mentions": [{"@id": "#run"}], "hasPart": _references(parts)},
        *({"@id": profile, "@type": "CreativeWork", "name": name, "version": profile.rsplit("/", 1)[1]}
          for profile, name in PROFILES.items()),
        {"@id": _license(citation), "@type": "CreativeWork", "name": f"{citation.get('license', 'MIT')} licence",
         "description": "of the software and of this description"},
        {"@id": LANGUAGE, "@type": "ComputerLanguage", "name": "Snakemake", "url": {"@id": "https://snakemake.github.io"},
         "identifier": {"@id": "https://snakemake.github.io"}, "version": packages.get("snakemake", "9")},
        *_people(citation),
        {"@id": "#run", "@type": "CreateAction", "name": f"HaemoSynth run on {study}", "instrument": {"@id": WORKFLOW},
         "agent": _references(_people(citation))[0], "object": _references([*settings, {"@id": "config.yaml"}]),
         "result": _references(outputs), "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
         "softwareRequirements": [{"@id": f"#software-{name}"} for name in packages]},
        {"@id": "#cohort", "@type": "FormalParameter", "name": "raw cohort", "additionalType": "File",
         "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}},
        {"@id": "#settings", "@type": "FormalParameter", "name": "settings of the study", "additionalType": "File",
         "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}},
        {"@id": "#synthetic", "@type": "FormalParameter", "name": "synthetic patients", "additionalType": "File",
         "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}},
        *({"@id": f"#software-{name}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
          for name, version in packages.items()),
        *settings, *parameters, *parts,
    ]  # fmt: skip
    write_json({"@context": CONTEXT, "@graph": graph}, folder / NAME)


def _stamp(config: Mapping[str, Any]) -> str:
    """To whom the release may go, in words."""
    tier = config.get("release", {}).get("tier", "open")
    return f"Tier {tier}: {TIERS[tier].stamp}."


def _file(file: Path, folder: Path) -> dict[str, Any]:
    kind = mimetypes.types_map.get(file.suffix) or {
        ".parquet": "application/vnd.apache.parquet", ".tsv": "text/tab-separated-values", ".md": "text/markdown",
        ".yaml": "application/yaml",
    }.get(file.suffix, "text/plain")  # fmt: skip
    content = file.read_bytes()
    return {
        "@id": file.relative_to(folder).as_posix(), "@type": "File", "name": file.name, "encodingFormat": kind,
        "contentSize": str(len(content)), "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip


def _citation(root: Path) -> dict[str, Any]:
    path = root / "CITATION.cff"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _license(citation: Mapping[str, Any]) -> str:
    return f"https://spdx.org/licenses/{citation.get('license', 'MIT')}"


def _people(citation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The authors of CITATION.cff: persons, or an organisation where only a name is given."""
    people = []
    for number, author in enumerate(citation.get("authors") or [{"name": "The HaemoSynth developers"}], 1):
        person = "family-names" in author
        name = f"{author.get('given-names', '')} {author['family-names']}".strip() if person else author["name"]
        identity = author.get("orcid", f"#author-{number}")
        people.append({"@id": identity, "@type": "Person" if person else "Organization", "name": name})
    return people


def _references(entities: list[Any]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _packages(environment: Path) -> dict[str, str]:
    if not environment.is_file():
        return {}
    lines = environment.read_text(encoding="utf-8").splitlines()
    return {name: version for name, _, version in (line.partition("==") for line in lines)}
