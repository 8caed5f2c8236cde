"""The clinical record: who a patient is, what was measured, and how long they lived."""

from haemosynth.modalities.modality import Modality, Resources

MODALITY = Modality(
    name="clinical",
    called="the clinical record",
    files=("schema.yaml", "clinical.parquet"),
    of_record=True,
    given=("genomic",),
    environment="tabular",
    jobs={
        "fit": Resources(memory=6000, runtime=120, gpu=True, environment="pyro"),
        "sample": Resources(memory=6000, runtime=60, environment="pyro"),
    },
    sampled=("clinical",),
    can_be_given=("vae", "forest", "gan", "diffusion"),  # the private ones would be private no more
)
