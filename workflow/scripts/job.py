"""What every script does first: pin threads and instruction set, open the log, take the job's own random stream."""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Other code paths of the numerical libraries round differently: with these, the same software gives the same bytes.
INSTRUCTION_SET = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS",
)  # fmt: skip


class Job:
    """A running job: its settings (params) and its random streams."""

    def __init__(self, snakemake) -> None:
        self.name = snakemake.params.job["stream"]
        self.wildcards = dict(snakemake.wildcards.items())
        self.seed = snakemake.params.job["seed"]

    def stream(self, *names: object, without: str = "", generator: str = "", of: str = ""):
        """The job's random stream; `names` branch it, `without` leaves one wildcard out of its name.

        generator: whose stream it is, where a job without this wildcard makes several. of: the name of another job,
        whose stream this one repeats.
        """
        from haemosynth.core.streams import stream

        told = self.wildcards | ({"generator": generator} if generator else {})
        kept = [f"{name}={value}" for name, value in sorted(told.items()) if name != without]
        return stream(self.seed, of or self.name, *kept, *names)


@contextmanager
def job(snakemake) -> Iterator[Job]:
    """Run a script's body; a user's mistake ends it with one line in the log and no traceback.

    Beside the log are the checksums of what a job has written (`workflow/run.py` looks whether it still is so).
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.update(INSTRUCTION_SET)
    os.environ.update(dict.fromkeys(THREADS, str(snakemake.params.job["threads"])))
    Path(snakemake.log[0]).parent.mkdir(parents=True, exist_ok=True)
    log = os.open(snakemake.log[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from haemosynth.core.errors import InputError
    from haemosynth.core.files import write_checksums

    checksums = Path(snakemake.log[0]).with_suffix(".sha256")
    checksums.unlink(missing_ok=True)
    try:
        yield Job(snakemake)
        write_checksums(snakemake.output, checksums)
    except InputError as error:
        for line in error.lines:
            print(f"error: {line}", file=sys.stderr, flush=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        print(f"error: {error.filename or 'results'}: {os.strerror(error.errno)}; what is finished stays: make room"
              " and run again", file=sys.stderr, flush=True)  # fmt: skip
        sys.exit(1)
