"""Make a published folder again from its own settings and the raw cohort: what `make reproduce FOLDER=...` calls.

The study runs in a folder of its own with this code. At the end every file is compared with the published one. Where
the patients lie is not published: a study file gives it as the cohort's `path` (simulated cohorts need none).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))


def add_paths(config: dict[str, Any], study: dict[str, Any], cohort: str, folder: Path) -> dict[str, Any]:
    """The published settings with the paths, and nothing else, of a study file."""
    from haemosynth.core.errors import InputError
    from haemosynth.modalities.registry import FURTHER
    from haemosynth.publish.release import WITHHELD

    entry, told = config["cohorts"][cohort], study.get("cohorts", {}).get(cohort, {})
    for part, own in ((entry, told), *((entry.get(key), told.get(key)) for key in FURTHER)):
        if isinstance(part, dict) and part.get("path") == WITHHELD:
            if not (isinstance(own, dict) and own.get("path")):
                raise InputError(
                    f"{folder / 'config.yaml'}: the path of the cohort {cohort} is withheld; give a study file that"
                    f" names it: STUDY=my_study.yaml with cohorts: {{{cohort}: {{path: ...}}}}"
                )
            part["path"] = own["path"]
    return config


def main() -> int:
    """0 where every file of the folder was made again, byte for byte."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the published folder")
    parser.add_argument("--study", type=Path, help="study file that names where the raw cohort lies")
    parser.add_argument("--into", type=Path, help="where to work; default: results/reproduced/COHORT")
    parser.add_argument("--cores", default="all")
    chosen = parser.parse_args()
    from haemosynth.core.errors import InputError
    from haemosynth.core.files import read_table, read_yaml, write_yaml
    from haemosynth.publish.release import find_differences, make_manifest

    folder: Path = chosen.folder
    try:
        for line in (changed := find_differences(folder)):
            print(f"error: {line}", file=sys.stderr)
        if changed:
            return 1
        config = read_yaml(folder / "config.yaml")
        cohort, generator = next(iter(config["cohorts"])), str(read_table(folder / "gate.tsv")["generator"][0])
        place = chosen.into or Path("results/reproduced") / cohort
        place.mkdir(parents=True, exist_ok=True)
        study = read_yaml(chosen.study) if chosen.study else {}
        write_yaml(add_paths(config, study, cohort, folder), place / "study.yaml")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name in ("Snakefile", "config", "envs", "resources", "workflow"):
        if not (place / name).exists():
            (place / name).symlink_to(ROOT / name)
    made = Path("results") / cohort / "published" / generator
    command = [sys.executable, "workflow/run.py", "--study", "study.yaml", "--cores", chosen.cores]
    if code := subprocess.run([*command, "--", str(made / "manifest.tsv")], cwd=place, check=False).returncode:
        return code
    before, now = (
        dict(zip(table["file"], table["sha256"], strict=True)) for table in map(make_manifest, (folder, place / made))
    )
    unequal = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    for name in unequal:
        print(f"{name}: {'differs' if name in before and name in now else 'is in one of the two only'}")
    if "environment.txt" in unequal or "code_version.txt" in unequal:
        print("the software is not the published one (environment.txt, code_version.txt)")
    same = sum(before[name] == now.get(name) for name in before)
    print(f"{same} of {len(before)} files are the same, byte for byte: {place / made}")
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
