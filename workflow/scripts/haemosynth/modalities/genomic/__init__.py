"""Mutations and cytogenetic events: who carries what, with reads and allele fractions."""

from haemosynth.modalities.modality import Modality, Resources

MODALITY = Modality(
    name="genomic",
    called="mutations and chromosomes",
    files=("alterations.parquet", "mutations.parquet"),
    of_record=True,
    given=("clinical",),
    environment="tabular",
    jobs={
        "fit": Resources(memory=6000, runtime=120, environment="pyro"),
        "sample": Resources(memory=6000, runtime=60, environment="pyro"),
    },
    sampled=("alterations", "mutations"),
)
