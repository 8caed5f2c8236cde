"""The whole validation of a simulated cohort, in seconds and memory by number of patients.

    .venv/bin/python benchmarks/validation_scale.py [--measure] [sizes ...]      (default: 1000 10000 100000)

A cohort of each size is simulated and split 60 : 40; the candidate is the reference `independent` at the size of the
training patients. Every stage of the default study runs with its settings, `prepared` and `evaluate`, in a process of
its own, so that its peak memory is its own; `--measure` runs one `prepare` and one `measure` instead of the resamples.
Prints a table and writes docs/performance-scale.svg.
"""

import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np
import yaml

from haemosynth.cohort import read_cohort, write_cohort
from haemosynth.streams import stream

SIDES = ("real", "candidate", "train", "control")


def streams(*names):
    return stream(1, "scale", *map(str, names))


def build(size, folder):
    """Simulate, split, and make the candidate."""
    from haemosynth.generate.reference import halves, reference
    from haemosynth.simulate import simulate_cohort
    from haemosynth.split import split

    source = {"format": "simulated", "disease": "myeloma", "patients": size, "endpoint": ["OS", "PFS"]}
    cohort, _ = simulate_cohort("scale", source, ROOT / "resources", streams("simulate"))
    train, holdout = split(cohort, 0.6, None, {"recurrent": {"min_carriers": 10}}, streams("split"))
    candidate = reference("independent", train, len(train), streams("candidate"))
    for side, part in zip(SIDES, (holdout, candidate, train, halves(holdout, streams("halves"))[1]), strict=True):
        write_cohort(part, folder / side)


def validate(stage, folder, measure_only):
    """One stage of the default study."""
    from haemosynth.validate import load
    from haemosynth.validate.resampling import evaluate, prepared, stage_settings
    from haemosynth.validate.stage import Comparison

    module, chosen = load(stage), yaml.safe_load((ROOT / "config/config.yaml").read_text())["validation"]
    settings = stage_settings(module, {**chosen["common"], **chosen.get(stage, {})}, stage)
    comparison = Comparison(**{side: read_cohort(folder / side) for side in SIDES})
    comparison = prepared(module, comparison, settings, streams)
    if measure_only:
        module.measure(comparison, settings, np.random.default_rng(0))
    else:
        evaluate(module, comparison, settings, streams)


def child(step, size, folder, measure_only):
    """Run one step in a process of its own: (seconds of CPU, peak GB)."""
    words = [
        sys.executable,
        __file__,
        "--child",
        step,
        str(size),
        str(folder),
        *(["--measure"] if measure_only else []),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} at {size} patients failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def exponent(sizes, seconds):
    """Slope of log seconds on log patients between the two largest sizes: 1 is linear, 0 is bounded."""
    if len(sizes) < 2 or min(seconds[-2:]) <= 0:
        return float("nan")
    return float(np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2]))


def draw(sizes, table, measure_only):
    from haemosynth.figures import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, SKY, VERMILION, new_figure, save_figure

    figure, axis = new_figure(7.6, 4.6)
    colours = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY, NEUTRAL)
    for i, (step, found) in enumerate(table.items()):
        look = {"marker": "os^Dv"[i % 5], "ls": ("-", "--", ":")[i // 7 % 3], "color": colours[i % 7]}
        seconds = [one["seconds"] for one in found]
        axis.plot(sizes, seconds, **look, ms=4, lw=1.3, label=step.replace("_", " "))
    axis.set(xscale="log", yscale="log", xlabel="patients of the simulated cohort")
    axis.set_ylabel("seconds of one processor, " + ("one measurement" if measure_only else "with all resamples"))
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.minorticks_off()
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    save_figure(figure, ROOT / "docs/performance-scale.svg")


def main(sizes, measure_only):
    stages = yaml.safe_load((ROOT / "config/config.yaml").read_text())["stages"]
    table = {step: [] for step in ("simulate and split", *stages)}
    with tempfile.TemporaryDirectory() as work:
        for size in sizes:
            for step, found in table.items():
                found.append(child(step, size, Path(work) / str(size), measure_only))
                one = found[-1]
                print(f"{size:>8,}  {step:22} {one['seconds']:9.1f} s {one['memory']:6.2f} GB", flush=True)
    print(f"\n| step | {' | '.join(f'{size:,}' for size in sizes)} | exponent | peak GB |")
    print(f"|---|{'---:|' * (len(sizes) + 2)}")
    for step, found in table.items():
        seconds = [one["seconds"] for one in found]
        cells = " | ".join(f"{value:.1f}" for value in seconds)
        print(f"| {step} | {cells} | {exponent(sizes, seconds):.2f} | {found[-1]['memory']:.2f} |")
    draw(sizes, table, measure_only)


if __name__ == "__main__":
    words = sys.argv[1:]
    measure_only = "--measure" in words
    if words[:1] == ["--child"]:
        step, size, folder = words[1], int(words[2]), Path(words[3])
        start = time.process_time()
        if step == "simulate and split":
            build(size, folder)
        else:
            validate(step, folder, measure_only)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({"seconds": time.process_time() - start, "memory": memory}))
    else:
        main([int(word) for word in words if word != "--measure"] or [1000, 10_000, 100_000], measure_only)
