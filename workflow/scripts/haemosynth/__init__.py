"""HaemoSynth: synthetic haematology cohorts, and proof of how far they may be trusted."""

__version__ = "0.1.0"
