"""The whole pipeline on simulated cohorts, in seconds and memory by number of patients.

    .venv/bin/python benchmarks/scale.py [--measure] [sizes ...]      (default: 1000 10000 100000)

A cohort of each size is simulated and split 60 : 40; the default generators learn from the training patients and draw
as many, 100,000 at most; this is the candidate of every stage of the default settings. Each step runs in a process of
its own, so that its peak memory is its own. Stages run with all their resamples, or with `--measure` one `prepare` and
one `measure`. Times of every step are kept in results/scale/ and not measured again: an interrupted run goes on.
Prints a table and writes docs/performance-scale.svg.
"""

import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import json
import resource
import subprocess
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np
import yaml

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.files import write_json
from haemosynth.core.streams import stream
from haemosynth.modalities.cohort_files import read_cohort, write_cohort
from haemosynth.modalities.registry import load_algorithm

SIDES = ("real", "candidate", "train", "control")
GENERATORS = {"clinical": "vae", "genomic": "dirichlet_process"}
MOST_DRAWN = 100_000  # records of the candidate
WORK = ROOT / "results/scale"


def streams(*names):
    return stream(1, "scale", *map(str, names))


def simulate(size, folder):
    from haemosynth.modalities.clinical.simulate import simulate_cohort

    source = {"format": "simulated", "disease": "myeloma", "patients": size, "endpoint": ["OS", "PFS"]}
    cohort, _ = simulate_cohort("scale", source, ROOT / "resources", streams("simulate"))
    write_cohort(cohort, folder / "raw")


def divide(size, folder):
    from haemosynth.study.split import halve, split

    train, holdout = split(
        read_cohort(folder / "raw"), 0.6, None, {"recurrent": {"min_carriers": 10}}, streams("split")
    )
    for side, part in (("train", train), ("real", holdout), ("control", halve(holdout, streams("halves"))[1])):
        write_cohort(part, folder / side)


def fit(modality, algorithm, folder):
    from haemosynth.generate.fitted import save

    model, train = load_algorithm(modality, algorithm), read_cohort(folder / "train")
    fitted = model.fit(train, dict(model.DEFAULTS), streams("fit", modality), None)
    save(fitted, *(folder / f"{modality}.{ending}" for ending in ("safetensors", "json", "tsv")))


def draw_patients(size, folder):
    from haemosynth.generate.constraints import enforce
    from haemosynth.generate.fitted import load

    train = read_cohort(folder / "train")
    model = {name: load(folder / f"{name}.safetensors", folder / f"{name}.json") for name in GENERATORS}
    clinical, genomic = (load_algorithm(modality, algorithm) for modality, algorithm in GENERATORS.items())
    n = min(len(train), MOST_DRAWN)
    table = clinical.sample(model["clinical"], train.schema, n, streams("sample", "clinical"))
    record = Cohort(replace(train.schema, alterations={}), set_types(table, train.schema))
    drawn = genomic.sample(model["genomic"], record, streams("sample", "genomic"))
    candidate = enforce(Cohort.of(train.schema, record.clinical, drawn.alterations, drawn.sequenced, drawn.mutations))
    write_cohort(candidate, folder / "candidate")


def validate(stage, folder, measure_only):
    """One stage of the default study."""
    from haemosynth.validate import load
    from haemosynth.validate.resampling import evaluate, prepare_comparison, read_stage_settings
    from haemosynth.validate.stage import Comparison

    module, chosen = load(stage), yaml.safe_load((ROOT / "config/config.yaml").read_text())["validation"]
    settings = read_stage_settings(module, {**chosen["common"], **chosen.get(stage, {})}, stage)
    comparison = Comparison(**{side: read_cohort(folder / side) for side in SIDES})
    comparison = prepare_comparison(module, comparison, settings, streams)
    if measure_only:
        module.measure(comparison, settings, np.random.default_rng(0))
    else:
        evaluate(module, comparison, settings, streams)


STEPS = {
    "simulate": simulate,
    "split": divide,
    "fit clinical": lambda size, folder: fit("clinical", GENERATORS["clinical"], folder),
    "fit genomic": lambda size, folder: fit("genomic", GENERATORS["genomic"], folder),
    "sample": draw_patients,
}


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


def measured(step, size, measure_only):
    """What `child` found, now or in an earlier run."""
    name = step + (" once" if measure_only and step not in STEPS else "")
    kept = WORK / str(size) / f"{name}.json"
    if not kept.exists():
        found = child(step, size, WORK / str(size), measure_only)
        write_json(found, kept)
    return json.loads(kept.read_text())


def exponent(sizes, seconds):
    """Slope of log seconds on log patients between the two largest sizes: 1 is linear, 0 is bounded."""
    if len(sizes) < 2 or min(seconds[-2:]) <= 0:
        return float("nan")
    return float(np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2]))


def draw(sizes, table, measure_only):
    """A panel for generation and one for each pillar; every line carries its name at its right end."""
    from haemosynth.core.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, new_figure, save_figure
    from haemosynth.validate import STAGES

    panels = {"generation": [step for step in table if step in STEPS]}
    for step in table:
        if step not in STEPS:
            panels.setdefault(STAGES[step].pillar, []).append(step)
    figure, axes = new_figure(11, 8, nrows=2, ncols=3)
    colours = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
    lowest = min(one["seconds"] for found in table.values() for one in found)
    highest = max(one["seconds"] for found in table.values() for one in found)
    gap = np.log(highest / lowest) / 19  # between names
    for axis, (title, steps) in zip(axes.flat, panels.items(), strict=False):
        place = -np.inf
        for i, step in enumerate(sorted(steps, key=lambda step: table[step][-1]["seconds"])):
            seconds = [one["seconds"] for one in table[step]]
            measured_at = sizes[: len(seconds)]  # a step may end at a smaller size
            axis.plot(measured_at, seconds, "o-", color=colours[i % 7], ms=3, lw=1.2)
            place = max(np.log(seconds[-1]), place + gap)
            axis.annotate(
                step.replace("_", " "), (measured_at[-1], seconds[-1]), (sizes[-1] * 1.25, np.exp(place)), fontsize=7.5,
                va="center", color=colours[i % 7], annotation_clip=False,
                arrowprops={"arrowstyle": "-", "lw": 0.4, "relpos": (0, 0.5), "color": colours[i % 7]},
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", ylim=(lowest / 1.5, highest * 2))
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set_title(title, loc="left", fontsize=10)
    for axis in list(axes.flat)[len(panels) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set_ylabel("processor seconds, " + ("one measurement" if measure_only else "all resamples"))
    for axis in axes[-1]:
        axis.set_xlabel("patients")
    save_figure(figure, ROOT / "docs/performance-scale.svg")


def main(sizes, measure_only):
    from haemosynth.validate import STAGES

    named = yaml.safe_load((ROOT / "config/config.yaml").read_text())["stages"]
    stages = [stage for stage in named if set(STAGES[stage].needs) <= {"clinical", "genomic"}]
    table = {step: [] for step in (*STEPS, *stages)}
    for size in sizes:
        for step, found in table.items():
            found.append(measured(step, size, measure_only))
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
        if step in STEPS:
            STEPS[step](size, folder)
        else:
            validate(step, folder, measure_only)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({"seconds": time.process_time() - start, "memory": memory}))
    else:
        main([int(word) for word in words if word != "--measure"] or [1000, 10_000, 100_000], measure_only)
