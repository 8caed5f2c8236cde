"""Generators of images and their masks: one file per algorithm, and the coding of pixels and records they share."""
