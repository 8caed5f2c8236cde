"""Measured tables: metabolites, proteins, cell fractions or any other numbers beside expression, a row per patient."""

from haemosynth.modalities.modality import Modality, Resources

MODALITY = Modality(
    name="metabolomics",
    called="metabolites and proteins",
    files=("metabolomics.h5ad",),
    of_record=False,
    given=("clinical", "genomic"),
    environment="expression",
    jobs={
        "ingest": Resources(runtime=30),
        "fit": Resources(memory=8000, runtime=60),
        "sample": Resources(memory=8000),
        "figure": Resources(environment="report"),
    },
)
