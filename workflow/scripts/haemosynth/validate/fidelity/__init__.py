"""Fidelity: do synthetic patients look like real ones, column by column and jointly?"""
