"""What attacks on released images may find at most; docs/privacy.md gives the reasons."""

from __future__ import annotations

from haemosynth.privacy.check import Check

CHECKS = {
    "image_copies": Check(
        "image_memorisation", 0.01, "share of synthetic images that are a copy of a training patient's image",
        modality="images",
    ),
    "image_nearer_to_train": Check(
        "image_memorisation", 0.55,
        "share of synthetic images nearer to training than to unseen patients; 0.5 without memory", modality="images",
    ),
    "image_copies_caught": Check(
        "image_memorisation", 0.8,
        "share of planted copies of training images that are recognised; else image_copies cannot be trusted",
        least=True, modality="images",
    ),
    "image_membership_auc": Check(
        "image_memorisation", 0.6,
        "how well measurements or descriptions of images distinguish training from unseen patients; 0.5 is guessing",
        modality="images",
    ),
}  # fmt: skip
