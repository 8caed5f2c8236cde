rule publish:
    """Write the folder that may leave, if the gate lets it through."""
    input:
        unpack(pages),
        synthetic=lambda wildcards: released(wildcards.cohort, wildcards.generator),
        strings=lambda wildcards: raw_strings(wildcards.cohort),
        template="workflow/report/dossier.html.j2",
        explorer=sorted(map(str, [*Path("workflow/report").glob("explorer.*"), *Path("resources/explorer").iterdir()])),
        code=page_code("publish.py"),
    output:
        manifest="results/{cohort}/published/{generator}/manifest.tsv",
    log:
        "logs/publish/{cohort}/{generator}.log",
    wildcard_constraints:
        generator=one_of(config["publish"]),
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        job=job("publish"),
        config=config,
        modalities=lambda wildcards: modalities(config, wildcards.cohort),
    script:
        "../scripts/publish.py"
