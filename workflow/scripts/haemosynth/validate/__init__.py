"""The validation stages: one self-contained file each, loaded when needed.

A stage is a module `validate/<pillar>/<stage>.py` with
    METRICS   what it measures (`Metric`), one entry per metric name
    DEFAULTS  its settings and their default values; a study may change them under `validation:`
    measure   (comparison, settings, rng) -> values, without intervals
    figure    (comparison, values, settings, label) -> the figure of this candidate
and perhaps
    prepare   (comparison, settings, rng) -> what is learned once and kept for all resamples
`evaluate` in `resampling.py` gives every stage its intervals. This file imports nothing heavy: the
workflow reads the table while it builds its graph.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Stage(NamedTuple):
    """Where a stage stands, which modalities it needs, and whether it asks about what is published alone."""

    pillar: str
    needs: tuple[str, ...]
    of_published: bool = False


STAGES = {
    "marginals": Stage("fidelity", ("clinical",)),
    "correlations": Stage("fidelity", ("clinical",)),
    "missingness": Stage("fidelity", ("clinical",)),
    "detection": Stage("fidelity", ("clinical",)),
    "mutation_frequency": Stage("fidelity", ("genomic",)),
    "co_occurrence": Stage("fidelity", ("genomic",)),
    "exclusivity": Stage("fidelity", ("genomic",)),
    "clonality": Stage("fidelity", ("genomic",)),
    "variability": Stage("diversity", ("clinical",)),
    "coverage": Stage("diversity", ("clinical",)),
    "features": Stage("diversity", ("clinical",)),
    "survival": Stage("utility", ("clinical",)),
    "bayesian_network": Stage("utility", ("clinical",)),
    "competing_risks": Stage("utility", ("clinical",)),
    "bayesian_survival": Stage("utility", ("clinical",)),
    "cross_classification": Stage("utility", ("clinical",)),
    "feature_extraction": Stage("utility", ("clinical",)),
    "control_arm": Stage("utility", ("clinical",)),
    "dirichlet": Stage("utility", ("genomic",)),
    "clustering": Stage("utility", ("clinical",)),
    "distance": Stage("privacy", ("clinical",)),
    "memory": Stage("privacy", ("clinical",)),
    "disclosure": Stage("privacy", ("clinical",)),
    "audit": Stage("privacy", ("clinical",), of_published=True),
    "shadow": Stage("privacy", ("clinical",), of_published=True),
    "singling_out": Stage("privacy", ("clinical",)),
    "linkability": Stage("privacy", ("clinical",)),
    "inference": Stage("privacy", ("clinical",)),
    "rare_patients": Stage("privacy", ("clinical",)),
    "image_quality": Stage("fidelity", ("imaging",)),
    "image_coherence": Stage("fidelity", ("imaging",)),
    "image_coverage": Stage("diversity", ("imaging",)),
    "segmentation": Stage("utility", ("imaging",)),
    "image_classes": Stage("utility", ("imaging",)),
    "intensity": Stage("fidelity", ("imaging",)),
    "texture": Stage("fidelity", ("imaging",)),
    "lesions": Stage("fidelity", ("imaging",)),
    "coherence": Stage("fidelity", ("clinical", "genomic")),
    "expression": Stage("fidelity", ("transcriptomic",)),
    "expression_clustering": Stage("fidelity", ("transcriptomic",)),
    "expression_coverage": Stage("diversity", ("transcriptomic",)),
    "expression_classification": Stage("utility", ("transcriptomic", "genomic")),
    "expression_survival": Stage("utility", ("transcriptomic", "clinical")),
    "expression_memory": Stage("privacy", ("transcriptomic",)),
    "image_memorisation": Stage("privacy", ("imaging",)),
}


def load(stage: str) -> ModuleType:
    """The module of a stage."""
    return import_module(f"haemosynth.validate.{STAGES[stage].pillar}.{stage}")
