"""Gene expression: counts, normalised values or levels of thousands of genes, one profile per patient."""

from haemosynth.modalities.modality import Modality, Resources

MODALITY = Modality(
    name="expression",
    called="gene expression",
    files=("expression.h5ad",),
    of_record=False,
    given=("clinical", "genomic"),
    environment="expression",
    formerly="transcriptomic",
    jobs={
        "ingest": Resources(memory=8000, runtime=60),
        "split": Resources(memory=8000),
        "fit": Resources(memory=16000, runtime=120),
        "sample": Resources(memory=8000, runtime=60),
        "reference": Resources(memory=8000),
        "figure": Resources(memory=8000, environment="report"),
    },
)
