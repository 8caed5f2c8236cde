"""The SLURM profile knows every rule: its memory grows with the attempts, and short validation jobs travel together."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
RULES = {
    name: body
    for file in (ROOT / "workflow/rules").glob("*.smk")
    for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", file.read_text(), flags=re.DOTALL | re.MULTILINE)
}
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())


def test_every_rule_with_a_memory_gets_more_of_it_at_each_attempt():
    asked = {name: found[1] for name, body in RULES.items() if (found := re.search(r"mem_mb=(\d+)", body))}
    assert len(asked) > 40
    assert PROFILE["set-resources"] == {name: {"mem_mb": f"{memory} * attempt"} for name, memory in asked.items()}


def test_validation_jobs_travel_together_but_those_that_train_networks():
    short = {name for name, body in RULES.items() if name.startswith("validate_") and "gpu=" not in body}
    assert set(PROFILE["groups"]) == short
