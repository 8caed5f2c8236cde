"""On a cluster the memory of every rule grows with the attempts, and short jobs travel together."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
RULES = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())


def test_every_rule_asks_for_memory_that_grows_at_each_attempt():
    asked = RULES.count("resources:")
    growing = len(re.findall(r"mem_mb=growing\(|\*\*asked(?:_by)?\(", RULES))
    assert growing == asked > 15
    assert not re.search(r"mem_mb=\d", RULES)
    assert PROFILE["retries"] > 0


def test_validation_jobs_travel_together_but_those_that_train_networks():
    rule = re.search(r"group:\s+(.*)", (ROOT / "workflow/rules/validate.smk").read_text()).group(1)
    assert rule == 'None if stage.gpu else "validation"'
    assert PROFILE["group-components"]["validation"] > 1


def test_all_other_jobs_travel_with_their_neighbours_but_those_that_learn():
    alone = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"(?m)^ *rule\b", path.read_text())[1:]:
            name = re.match(r'\s*(\w+):|:\s+name:\s+f"(\w+?)_?\{', rule)
            if "script:" in rule and "group:" not in rule:
                alone.add(name[1] or name[2])
    assert alone == {"impute", "assess_imputation", "fit", "sample", "reference", "external"}, alone
