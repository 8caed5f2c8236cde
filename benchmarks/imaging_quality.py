"""Three generators of images on phantoms of 64 x 64 pixels, trained on one core, read by the stages of images.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/imaging_quality.py [folder]

300 training patients, 200 held out. The record of the synthetic patients is that of further phantoms, so that images
alone are compared. CPU seconds of one process. Models, the table and pictures of samples are written to `folder`.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from phantoms import phantoms

from haemosynth.core.figures import new_figure
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import save
from haemosynth.modalities.images.part import Images, images_of
from haemosynth.modalities.images.part import write as write_images
from haemosynth.modalities.images.reference import reference
from haemosynth.modalities.registry import load_algorithm
from haemosynth.validate import load
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

STAGES = {
    "image_quality": {}, "image_coverage": {}, "image_coherence": {}, "segmentation": {},
    "image_classes": {"column": "scanner"},
}  # fmt: skip


def drawn(images: Images, path: Path) -> None:
    """Twelve images: CT, PET, mask."""
    figure, axes = new_figure(12, 3.2, nrows=3, ncols=12)
    for i in range(12):
        planes = [*images.pixels[i], images.mask[i]]
        for row, (plane, window) in enumerate(zip(planes, [*images.windows, (0, 1)], strict=True)):
            axes[row, i].imshow(plane, cmap="gray", vmin=window[0], vmax=window[1])
            axes[row, i].axis("off")
    figure.savefig(path, dpi=80)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    train, holdout, given = phantoms(300, 1), phantoms(200, 2), phantoms(300, 3).replace(images=None)
    drawn(images_of(holdout), folder / "real.png")
    candidates = {"real": train}
    for kind in ("independent", "uniform"):
        candidates[kind] = given.replace(images=reference(kind, train, given, stream(1, kind)))
    for name in ("principal_components", "autoencoder", "diffusion"):
        algorithm = load_algorithm("images", name)
        start = time.process_time()
        model = algorithm.fit(train, algorithm.DEFAULTS, stream(1, "fit", name), folder / f"{name}.checkpoint")
        trained = time.process_time()
        images = algorithm.sample(model, given, stream(1, "sample", name))
        spent = time.process_time() - trained
        print(f"{name}: {trained - start:.0f} s trained, {spent:.1f} s for {len(images)} images", flush=True)
        save(model, *(folder / f"{name}.{ending}" for ending in ("safetensors", "json", "tsv")))
        write_images(images, folder / f"{name}.zarr")
        drawn(images, folder / f"{name}.png")
        candidates[name] = given.replace(images=images)
    rows = []
    for stage_name, chosen in STAGES.items():
        stage = load(stage_name)
        settings = stage.DEFAULTS | {"repeats": 3, "replicates": 60} | chosen
        for name, candidate in candidates.items():
            comparison = Comparison(real=holdout, candidate=candidate, train=train, control=holdout)

            def streams(*names, stage_name=stage_name):
                return stream(1, stage_name, *names)

            values, _ = evaluate(stage, prepare_comparison(stage, comparison, settings, streams), settings, streams)
            rows.append(values[values.target == "all"].assign(candidate=name))
    table = pd.concat(rows)
    table["shown"] = [f"{r.value:.3g} ({r.low:.3g} to {r.high:.3g})" for r in table.itertuples()]
    wide = table.pivot_table("shown", "metric", "candidate", aggfunc="first")[list(candidates)]
    wide.to_csv(folder / "table.tsv", sep="\t")
    print(wide.to_string())


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "imaging-benchmark"))
