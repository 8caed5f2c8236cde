"""Does translating images between scanners help a segmentation network on the other scanner? Phantoms, 64 x 64 pixels.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/translation.py [seeds]

A U-Net learns from masked images of scanner A and is tested on scanner B, whose training images have no masks: as they
are; translated into the style of B (`modalities/images/generators/translation.py`); both together; and, as the best
that could be had, from masked images of B. Mean over seeds of phantoms, translation and U-Net, with the range.
"""

import sys
import time

import numpy as np
import pandas as pd
import torch
from phantoms import phantoms

from haemosynth.core.streams import stream
from haemosynth.modalities.images.generators.translation import DEFAULTS, fit, translate
from haemosynth.modalities.images.image_features import radiomic
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.stages.segmentation import DEFAULTS as SEGMENTATION
from haemosynth.modalities.images.stages.segmenter import dice, joined, learn


def of_scanner(cohort, scanner):
    return images_of(cohort).of(cohort.patients[(cohort.clinical["scanner"] == scanner).to_numpy()])


def main(seeds: int) -> None:
    torch.set_num_threads(1)
    rows = []
    for seed in range(seeds):
        train, test = phantoms(300, 10 + seed), phantoms(200, 100 + seed)
        first, second, unseen = of_scanner(train, "A"), of_scanner(train, "B"), of_scanner(test, "B")
        start = time.process_time()
        model = fit(first, second, DEFAULTS, stream(seed, "translation"))
        spent = time.process_time() - start
        translated = translate(model, first, "forward", stream(seed, "translate"))
        chosen = SEGMENTATION["steps"], SEGMENTATION["batch"], SEGMENTATION["learning_rate"], seed
        sets = {
            "A": first, "A as B": translated, "A, and A as B": joined(first, translated), "B itself": second,
        }  # fmt: skip
        row = {k: float(np.nanmean(dice(unseen.mask > 0, learn(v, *chosen)(unseen)))) for k, v in sets.items()}
        grain = {k: radiomic(v)["CT sharpness"].mean() for k, v in {**sets, "B": second}.items()}
        print(f"seed {seed}: {spent:.0f} s; CT sharpness A {grain['A']:.1f}, as B {grain['A as B']:.1f}, ", end="")
        print(f"B {grain['B']:.1f}; Dice on B {row}", flush=True)
        rows.append(row)
    table = pd.DataFrame(rows)
    print(table.agg(["mean", "min", "max"]).round(3).to_string())
    change = table.sub(table["A"], axis=0)
    print("change of Dice against A alone\n", change.agg(["mean", "min", "max"]).round(3).to_string())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
