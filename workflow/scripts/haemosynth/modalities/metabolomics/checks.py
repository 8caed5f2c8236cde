"""What attacks on released measurements may find at most; docs/privacy.md gives the reasons."""

from __future__ import annotations

from haemosynth.privacy.check import Check

CHECKS = {
    "metabolomics_repeats": Check(
        "metabolomics_memory", 0.005,
        "share of synthetic profiles that repeat recorded values of a training patient, above that of unseen patients",
        modality="metabolomics",
    ),
    "metabolomics_nearer_to_train": Check(
        "metabolomics_memory", 0.55,
        "share of synthetic measurements nearer to training than to unseen patients; 0.5 without memory",
        modality="metabolomics",
    ),
    "metabolomics_membership_auc": Check(
        "metabolomics_memory", 0.6,
        "how well the worst attack on measurements distinguishes training from unseen patients; 0.5 is guessing",
        modality="metabolomics",
    ),
}  # fmt: skip
