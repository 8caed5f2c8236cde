"""Read every cohort of a study and report all mistakes at once, in seconds: what `make check-study STUDY=...` calls."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))


def main() -> int:
    """0 where the study can be run; 1 where something must be mended first."""
    from haemosynth.core.errors import InputError
    from haemosynth.study.settings import read_settings

    try:
        config = read_settings(ROOT, sys.argv[1:])
    except InputError as error:
        print(f"error: {error}")
        return 1
    import yaml

    from haemosynth.report.reading import list_what_was_read
    from haemosynth.study.check import check_study, format_entry, mend
    from haemosynth.study.settings import update_names

    rules = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    for line in update_names(config):
        print(f"note: {line}")
    settings, cohorts = check_study(config, rules, ROOT)
    for found in cohorts:
        if found.cohort is not None:
            print("\n  ".join(list_what_was_read(found.cohort, found.left)), end="\n\n")
    for line in [*settings, *(line for found in cohorts for line in found.mistakes)]:
        print(f"error: {line}")
    for found in cohorts:
        own = [line for line in settings if f"cohorts.{found.name}." in line]
        if changed := mend(found.entry, [*own, *found.mistakes]):
            print(
                f"\nThe advice together, to be looked at: put this in the place of these keys of cohorts.{found.name}:"
            )
            print("\n".join(f"    {line}" for line in format_entry(changed)))
    number = len(settings) + sum(len(found.mistakes) for found in cohorts)
    told = {0: "no mistakes; the study can be run", 1: "1 mistake"}.get(number, f"{number} mistakes")
    print(f"{', '.join(sys.argv[1:]) or 'the demonstration'}: {told}")
    return 1 if number else 0


if __name__ == "__main__":
    sys.exit(main())
