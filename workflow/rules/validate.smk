# Every stage is one rule, made from what its module declares (haemosynth/validate/__init__.py).
for name, stage in STAGES.items():

    rule:
        name:
            f"validate_{name}"
        input:
            **comparison(stage),
            **further_inputs(stage),
            code=stage_code(stage),
        output:
            **stage_outputs(name, stage),
        log:
            f"logs/validate_{name}/{{cohort}}/{{generator}}/seed-{{seed}}.log",
        benchmark:
            f"logs/benchmarks/validate_{name}/{{cohort}}/{{generator}}/seed-{{seed}}.tsv"
        group:
            None if stage.gpu else "validation"
        conda:
            f"../../envs/{stage.environment}.yaml"
        resources:
            **asked_by(stage),
        params:
            job=job(f"validate_{name}"),
            stage=stage.module,
            modalities=modalities_read(stage),
            settings=stage_settings(name, stage),
            balance=BALANCE if stage.reads_prevalence else {},
        script:
            "../scripts/validate.py"

    workflow.get_rule(f"validate_{name}").docstring = stage.about
