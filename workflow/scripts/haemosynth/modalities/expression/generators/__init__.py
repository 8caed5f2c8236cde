"""Generators of gene expression, given the clinical record and the alterations."""
