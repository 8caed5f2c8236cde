"""What attacks on released expression profiles may find at most; docs/privacy.md gives the reasons."""

from __future__ import annotations

from haemosynth.privacy.check import Check

CHECKS = {
    "expression_nearer_to_train": Check(
        "expression_memory", 0.55,
        "share of synthetic expression profiles nearer to training than to unseen patients; 0.5 without memory",
        modality="expression",
    ),
    "expression_membership_auc": Check(
        "expression_memory", 0.6,
        "how well the worst attack on expression distinguishes training from unseen patients; 0.5 is guessing",
        modality="expression",
    ),
}  # fmt: skip
