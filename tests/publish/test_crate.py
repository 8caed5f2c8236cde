"""A release is a Workflow Run RO-Crate by the public validator's rules, and names every file it holds."""

import json
from pathlib import Path

import pandas as pd
import pytest
from fixtures_small import RESOURCES, small_cohort

from haemosynth.publish.release import Papers, write_release

ROOT = RESOURCES.parent


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crate") / "out"
    papers = Papers(
        study="small", tables={"metrics.tsv": pd.DataFrame({"a": [1.0]})}, figures={"marginals": "<svg/>"},
        pages={"dossier.html": "<html></html>", "DATA_CARD.md": "# card"},
        config={"cohorts": {"small": {"path": "/secret", "format": "tables"}}, "seed": 1, "publish": ["default"],
                "release": {"tier": "open", "most": 4}},
        run={"finished": "now"},
    )  # fmt: skip
    write_release(folder, small_cohort(40), papers, ROOT)
    return folder


TERMS = [
    "name",
    "description",
    "about",
    "hasPart",
    "license",
    "datePublished",
    "author",
    "mainEntity",
    "mentions",
    "version",
    "url",
    "identifier",
    "creator",
    "programmingLanguage",
    "encodingFormat",
    "contentSize",
    "agent",
    "instrument",
    "object",
    "result",
    "actionStatus",
    "softwareRequirements",
    "softwareVersion",
    "additionalType",
    "exampleOfWork",
    "workExample",
    "value",
    "Dataset",
    "CreativeWork",
    "Person",
    "Organization",
    "ComputerLanguage",
    "CreateAction",
    "SoftwareApplication",
    "SoftwareSourceCode",
    "PropertyValue",
]
BIOSCHEMAS = "https://bioschemas.org/"
# The part of RO-Crate's published context that a release uses: the validator fetches it, tests have no network.
CONTEXT = {
    "@context": {
        **{term: f"http://schema.org/{term}" for term in TERMS},
        "File": "http://schema.org/MediaObject",
        "conformsTo": "http://purl.org/dc/terms/conformsTo",
        "ComputationalWorkflow": f"{BIOSCHEMAS}ComputationalWorkflow",
        "FormalParameter": f"{BIOSCHEMAS}FormalParameter",
        "input": f"{BIOSCHEMAS}ComputationalWorkflow#input",
        "output": f"{BIOSCHEMAS}ComputationalWorkflow#output",
    }
}


@pytest.fixture
def published_context(monkeypatch):
    import requests
    from rocrate_validator.utils.http import HttpRequester

    def get(self, url, **_):
        answer = requests.Response()
        answer.status_code = 200 if url == "https://w3id.org/ro/crate/1.1/context" else 504
        answer.headers["Content-Type"] = "application/ld+json"
        answer._content, answer.url = json.dumps(CONTEXT).encode(), url
        return answer

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate", "workflow-run-crate"])
def test_the_public_validator_accepts_it_without_a_network(crate, profile, published_context):
    from rocrate_validator import models, services

    result = services.validate(
        services.ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier=profile,
            requirement_severity=models.Severity.REQUIRED,
            offline=True,
        )
    )
    assert not result.has_issues(), [issue.message for issue in result.get_issues()]


def test_every_file_but_the_lists_themselves_is_part_of_it(crate):
    graph = {entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    files = {f.relative_to(crate).as_posix() for f in Path(crate).rglob("*") if f.is_file()}
    assert parts == files - {"ro-crate-metadata.json", "manifest.tsv", "run.json"}
    assert "/secret" not in (crate / "ro-crate-metadata.json").read_text()


def test_no_entity_stands_twice_and_every_reference_is_found(crate):
    entities = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    names = [entity["@id"] for entity in entities]
    assert len(names) == len(set(names))
    for entity in entities:
        for value in entity.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and not item["@id"].startswith("http"):
                    assert item["@id"] in names, item
