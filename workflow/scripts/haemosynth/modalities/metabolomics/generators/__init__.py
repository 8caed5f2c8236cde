"""Generators of measured tables; one file per algorithm."""
