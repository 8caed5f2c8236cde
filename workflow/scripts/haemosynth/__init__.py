"""HaemoSynth: synthetic haematology cohorts, and measurements of how far they may be trusted."""

__version__ = "0.2.0"
