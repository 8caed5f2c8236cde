"""Genomic generators."""
