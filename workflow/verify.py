"""Check a published folder that someone received against its manifest: what `make verify FOLDER=...` calls."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))


def main() -> int:
    """0 where every file is there and unchanged and none was added; else one line for each that is not."""
    from haemosynth.core.errors import InputError
    from haemosynth.publish.release import find_differences

    try:
        found = find_differences(Path(sys.argv[1]))
    except InputError as error:
        found = [str(error)]
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if not found:
        print(f"{sys.argv[1]}: every file is there and unchanged")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
