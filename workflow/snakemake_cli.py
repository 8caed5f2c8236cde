"""Snakemake's command line without its limit on jobs a second: `python workflow/snakemake_cli.py` takes its arguments.

The limit of 100 is far from what any study starts, but for its sake Snakemake looks anew at the inputs of all waiting
jobs each second: in a study of 200 jobs a fifth of a core for as long as it runs. A limit that is asked for is kept.
"""

import sys

from snakemake.cli import args_to_api, parse_args
from snakemake.exceptions import print_exception


def main() -> bool:
    """Whether all that was asked for is there."""
    try:
        parser, args = parse_args(None)
        limit, usual = args.max_jobs_per_timespan, parser.get_default("max_jobs_per_timespan")
        if usual == f"{limit.max_jobs}/{limit.timespan:g}s":
            args.max_jobs_per_timespan = None
        return bool(args_to_api(args, parser))
    except Exception as error:  # as Snakemake's own
        print_exception(error)
        return False


if __name__ == "__main__":
    sys.exit(not main())
