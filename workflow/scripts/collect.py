"""All stages, seeds and candidates of a cohort -> one table, and every number read between its references."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.core.figures import save_figure
    from haemosynth.core.files import read_table, write_table
    from haemosynth.report.overview import draw_scorecard
    from haemosynth.validate import scorecard as cards

    def tables(paths):
        """Each table with the validation job it came from, which its path names."""
        for path in paths:
            _, cohort, seed, _, generator, _, name = Path(path).parts
            yield cards.Job(cohort, generator, int(seed.removeprefix("seed-")), name.split(".")[0]), read_table(path)

    metrics = cards.make_metrics_table(dict(tables(snakemake.input.metrics)))
    replicates = cards.make_replicates_table(dict(tables(snakemake.input.replicates)))
    scores = cards.compute_scores(metrics, replicates, snakemake.params.compare)
    card, stages = cards.make_scorecard(scores), cards.compute_stage_scores(scores)
    write_table(metrics, snakemake.output.metrics)
    write_table(cards.make_dictionary(snakemake.params.stages), snakemake.output.dictionary)
    write_table(card, snakemake.output.scorecard)
    write_table(stages, snakemake.output.stages)
    write_table(cards.compute_composites(scores), snakemake.output.composites)
    contests = cards.contests(metrics, replicates, snakemake.params.publish, snakemake.params.baseline)
    write_table(contests, snakemake.output.baseline)
    save_figure(draw_scorecard(stages, card, snakemake.params.shown), snakemake.output.figure)
