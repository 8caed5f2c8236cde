# Every stage is two rules, made from what its module declares (haemosynth/validate/__init__.py): one job measures all
# references, which any recipe is read between, and one each recipe. Another recipe measures no reference again.
for (name, stage), references in product(STAGES.items(), [True, False]):
    if references and not compared(stage, references):
        continue

    rule:
        name:
            f"validate_{name}{'_references' if references else ''}"
        input:
            **comparison(stage, references),
            **further_inputs(stage, references),
            code=stage_code(stage),
        output:
            **stage_outputs(name, stage, references),
        log:
            f"logs/validate_{name}/{{cohort}}/{'references' if references else '{generator}'}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/validate_{name}/{{cohort}}/{'references' if references else '{generator}'}/seed-{{seed}}.tsv"
        wildcard_constraints:
            generator=one_of(config["generators"]),
        group:
            None if stage.gpu else "validation"
        conda:
            f"../../envs/{stage.environment}.yaml"
        resources:
            **asked_by(stage, len(compared(stage, references))),
        params:
            job=job(f"validate_{name}"),
            stage=stage.module,
            candidates=compared(stage, references) if references else lambda wildcards: [wildcards.generator],
            modalities=modalities_read(stage),
            settings=stage_settings(name, stage),
            balance=BALANCE if stage.reads_prevalence else {},
        script:
            "../scripts/validate.py"

    workflow.get_rule(f"validate_{name}{'_references' if references else ''}").docstring = (
        f"{stage.about} (all references)" if references else stage.about
    )
