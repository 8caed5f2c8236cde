"""Metrics -> the gate: every check of what would be published, with its limit."""

from job import job

with job(snakemake):
    import pandas as pd

    from haemosynth.core.files import read_table, write_table
    from haemosynth.privacy.release_check import COLUMNS, gate

    metrics = read_table(snakemake.input.metrics)
    first = metrics[(metrics["seed"] == snakemake.params.seed)]
    chosen = {key: snakemake.params[key] for key in ("modalities", "tier")}
    if snakemake.params.get("balanced"):
        chosen["balanced"] = True
    checks = [
        gate(first[first["generator"] == name], snakemake.params.limits, **chosen) for name in snakemake.params.publish
    ]
    nothing = [pd.DataFrame(columns=COLUMNS)]  # a study that publishes nothing
    write_table(pd.concat(checks or nothing, ignore_index=True), snakemake.output[0])
