"""Does translating images between scanners help a segmentation network on the other scanner? Phantoms, 64 x 64 pixels.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/translation.py [seeds]

The stage `image_translation` on 300 training and 200 held-out phantoms of two scanners, for several seeds of phantoms,
translation and U-Nets, whose luck the intervals of one run do not hold. The candidates are the training phantoms
themselves, those of the linear recipe, and the reference `independent`. Values are means over seeds, with the range.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from phantoms import phantoms

from haemosynth.core.streams import stream
from haemosynth.modalities.images.reference import reference
from haemosynth.modalities.images.stages import image_translation
from haemosynth.modalities.registry import load_algorithm
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

SETTINGS = image_translation.DEFAULTS | {
    "column": "scanner", "first": ["A"], "second": ["B"], "repeats": 1, "replicates": 60,
}  # fmt: skip


def main(seeds: int) -> None:
    torch.set_num_threads(1)
    linear = load_algorithm("images", "principal_components")
    rows = []
    for seed in range(seeds):
        train, holdout, given = (phantoms(n, 100 * k + seed) for n, k in ((300, 1), (200, 2), (300, 3)))
        bare = given.replace(images=None)
        with TemporaryDirectory() as folder:
            model = linear.fit(train, linear.DEFAULTS, stream(seed, "fit"), Path(folder) / "checkpoint")
        candidates = {
            "real": train,
            "principal_components": bare.replace(images=linear.sample(model, bare, stream(seed, "sample"))),
            "independent": bare.replace(images=reference("independent", train, bare, stream(seed, "independent"))),
        }
        for name, candidate in candidates.items():

            def streams(*names, seed=seed):
                return stream(seed, *names)

            start = time.process_time()
            comparison = Comparison(real=holdout, candidate=candidate, train=train, control=holdout)
            known = prepare_comparison(image_translation, comparison, SETTINGS, streams)
            values, _ = evaluate(image_translation, known, SETTINGS, streams)
            print(f"seed {seed}, {name}: {time.process_time() - start:.0f} CPU seconds", flush=True)
            print(values[["metric", "target", "value", "low", "high", "n"]].round(3).to_string(index=False), flush=True)
            rows.append(values.assign(candidate=name, seed=seed))
    table = pd.concat(rows).groupby(["candidate", "metric", "target"])["value"].agg(["mean", "min", "max"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
