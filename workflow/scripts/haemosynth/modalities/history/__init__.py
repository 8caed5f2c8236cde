"""Event histories: states and lines of therapy in time, responses, series of measurements, and endpoints from them."""

from haemosynth.modalities.modality import Modality, Resources

MODALITY = Modality(
    name="history",
    called="event histories",
    files=("history.parquet",),
    of_record=False,
    given=("clinical", "genomic"),
    environment="pyro",
    jobs={
        "fit": Resources(memory=4000, runtime=60),
        "figure": Resources(environment="report"),
    },
    gives_endpoints=True,
)
