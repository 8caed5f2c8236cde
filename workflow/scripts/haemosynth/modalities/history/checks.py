"""What attacks on released histories may find at most; docs/privacy.md gives the reasons."""

from __future__ import annotations

from haemosynth.privacy.check import Check

CHECKS = {
    "history_repeats": Check(
        "history_memory", 0.005,
        "share of synthetic paths that are a training patient's in all times, above that of unseen patients",
        modality="history",
    ),
    "history_nearer_to_train": Check(
        "history_memory", 0.55,
        "share of synthetic paths nearer to training than to unseen patients; 0.5 without memory",
        modality="history",
    ),
    "history_membership_auc": Check(
        "history_memory", 0.6,
        "how well the worst attack on paths distinguishes training from unseen patients; 0.5 is guessing",
        modality="history",
    ),
}  # fmt: skip
