"""Generators of the clinical table: one file per algorithm, and the coding of columns that they share."""
