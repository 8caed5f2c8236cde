"""The dossier: one self-contained page that a data-access committee can read."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from haemosynth import __version__
from haemosynth.core.figures import STYLE, lay_out
from haemosynth.generate.balance import read_quotas, sentences
from haemosynth.modalities.registry import MODALITIES, RECORD, load
from haemosynth.privacy.release_check import OVERRIDE, failure, outcomes, overridden, verdict
from haemosynth.privacy.release_size import find_chosen_size
from haemosynth.privacy.tiers import TIERS, stamp_name
from haemosynth.privacy.words import disclosure_sentences
from haemosynth.report.content import Content, note_of, say_selected, select_rows
from haemosynth.report.landscape import draw_landscape, join_cohorts
from haemosynth.report.overview import PILLARS, Overview, draw_history, draw_scorecard, draw_survival, summarise_cohort
from haemosynth.report.reading import make_released_reading
from haemosynth.report.table_one import NOTE, NOTE_RELEASED, make_table_one

# How a composite is put into words; the interval's lower end decides, so that small cohorts are not praised by luck.
WORDS = (
    (0.8, "close to real patients"),
    (0.5, "like real patients in part"),
    (-float("inf"), "far from real patients"),
)
PRIVACY_WORDS = (
    (0.8, "like patients who were never seen"),
    (0.5, "some trace of the training patients"),
    (-float("inf"), "a strong trace of the training patients"),
)
SUBJECTS = {"joint": "all of them together"} | {name: modality.called for name, modality in MODALITIES.items()}
SIZES = (
    "Left: what the worst attack finds in expectation in releases of each number of patients, with two standard"
    " errors; dotted, the limits of the tier; green, what a printed table of the same training patients reveals. Right:"
    " C-index in unseen patients of a Cox model learned on the release, and distance of its numbers from theirs;"
    " dotted, the training patients themselves. In a good choice the right curves are flat and the left ones below"
    " their limits."
)
UNCERTAIN = "too uncertain to say"  # the interval reaches from the last band into the first
FEW_POINTS = 1.0  # training patients per fitted number below which the dossier warns
MOSTLY_MISSING = 0.5
SMALL_HOLDOUT = 200
FEW_CARRIERS = 20
SOFTWARE = ("numpy", "pandas", "scipy", "scikit-learn", "lifelines", "matplotlib", "snakemake")


def render(
    content: Content, config: Mapping[str, Any], generators: Sequence[str], release: bool, template: Path
) -> str:
    """The page as HTML.

    Args:
        generators: the published recipes, shown in full; every other recipe is next to them in the scorecard.
        release: the edition that leaves: counts under five withheld, nothing of single patients.
        template: the jinja2 template.
    """
    recipes = [name for name in config["generators"] if name in set(content.scorecard["generator"])]
    shown = [*generators, *(name for name in recipes if name not in generators)]
    summary = summarise_cohort(content.train, content.holdout, release)
    page: str = _open_template(template).render(
        cohort=content.cohort,
        edition="release" if release else "working",
        version=__version__,
        generators=list(generators),
        questions=PILLARS,
        warnings=_warnings(content, summary, generators, release),
        baseline=config.get("baseline"),
        note=" ".join(filter(None, (note_of(config, content.cohort), _balance_of(content, config)))),
        train=len(content.train),
        seeds=sorted(set(content.metrics["seed"])),
        software=[f"{name} {metadata.version(name)}" for name in SOFTWARE],
        explorer=stamp_name("explorer.html", config["release"]["tier"], bool(config.get("balance"))) if release else "",
        side_by_side=_side_by_side(content, generators, release),
        **_describe_checks(content, config, generators),
        **_describe_cohort(content, config, summary, generators, release),
        **_describe_models(content, config, generators),
        **_describe_single_patients(content, generators, release),
        **_show_modalities(content, generators, release),
        **_compare_recipes(content, generators, shown),
    )
    return page


def _open_template(template: Path) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template.name)


def _describe_checks(content: Content, config: Mapping[str, Any], generators: Sequence[str]) -> dict[str, Any]:
    """What the release check says, what attackers learn, and the number of patients."""
    gates = content.gate[content.gate["generator"].isin(generators)]
    tier = config["release"]["tier"]
    first = content.metrics[content.metrics["seed"] == content.metrics["seed"].min()]
    disclosure = [
        {
            "generator": name,
            "sentences": disclosure_sentences(
                first[first["generator"] == name], len(content.train), config["release"], content.sizes.get(name)
            ),
        }
        for name in generators
    ]
    sizes = [
        {
            "generator": name,
            "image": _data(content.size_figures[name]),
            "caption": SIZES,
            "table": _table(_tabulate_sizes(content.sizes[name])),
        }
        for name in generators
        if name in content.sizes and "told" in content.sizes[name]
    ]
    return {
        "shut": _shut(gates, generators),
        "tier": f"Tier {tier}: {TIERS[tier].stamp}.",
        "disclosure": disclosure,
        "sizes": sizes,
        "overridden": overridden(gates),
        "gate": _table(_gate(gates)),
    }


def _describe_cohort(
    content: Content, config: Mapping[str, Any], summary: Overview, generators: Sequence[str], release: bool
) -> dict[str, Any]:
    """The real cohort, what was read of it, and how many synthetic patients there are."""
    followed = None if release else draw_survival(content.train, content.holdout)
    return {
        "read": make_released_reading(content.train.schema) if release else list(content.read),
        "size": _table(pd.concat([summary.size, _count_released(content, config, generators)])),
        "followed": "" if followed is None else _picture(followed),
        "columns": _table(summary.columns),
        "alterations": _table(summary.alterations),
        "excluded": _table(summary.excluded),
        "notes": [] if release else list(content.train.schema.notes),
    }


def _describe_models(content: Content, config: Mapping[str, Any], generators: Sequence[str]) -> dict[str, Any]:
    """Recipes, their curves of learning, and imputation."""
    curves = [
        {"name": f"{modality}: {method}", "image": _picture(draw_history(history, f"{modality}: {method}"))}
        for (modality, method), history in content.histories.items()
        if len(history)
    ]
    assessed = len(content.assessment) > 0
    return {
        "recipe": _table(_recipes(content, config, generators)),
        "curves": curves,
        "assessment": _table(content.assessment),
        "assessment_image": _picture(load(RECORD, "impute.assess").figure(content.assessment)) if assessed else "",
    }


def _describe_single_patients(content: Content, generators: Sequence[str], release: bool) -> dict[str, Any]:
    """Single patients, which no release shows."""
    shown = [] if release else generators
    return {
        "patients": [
            {"generator": name, "image": _data(svg)} for name, svg in content.patients.items() if name in shown
        ],
        "at_risk": [
            {"generator": name, "table": _table(table)}
            for name, table in content.at_risk.items()
            if name in shown and len(table)
        ],
    }


def _show_modalities(content: Content, generators: Sequence[str], release: bool) -> dict[str, Any]:
    """The figures and galleries of further modalities."""
    edition = "release" if release else "working"
    drawings = [
        {
            "modality": modality,
            "title": load(modality, "figure").TITLE,
            "caption": load(modality, "figure").CAPTIONS[edition],
            "generator": generator,
            "image": _data(svg),
        }
        for (modality, generator, drawn_for), svg in content.drawings.items()
        if generator in generators and drawn_for == edition
    ]
    galleries = [
        {"modality": modality, "image": _picture(figure, "png"), "title": title, "caption": caption}
        for modality, parts in content.parts.items()
        for title, caption, figure in load(modality, "gallery").galleries(parts, generators, release)
    ]
    return {"drawings": drawings, "galleries": galleries}


def _compare_recipes(content: Content, generators: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    """Verdicts, the scorecard, the contest with the baseline, and the figures of every pillar."""
    contest = _contest(content.baseline, generators)
    sections = [
        {"name": pillar, "question": question, "figures": _show_figures(content, pillar, generators)}
        for pillar, question in PILLARS.items()
    ]
    return {
        "verdicts": _verdicts(content.composites, generators),
        "scorecard_image": _picture(draw_scorecard(content.stages, content.scorecard, shown)),
        "scorecard": _table(_scores(content.scorecard, shown)),
        "contest": _table(contest),
        "tally": _tally(contest),
        "sections": [section for section in sections if section["figures"]],
        "dictionary": _table(_glossary(content.dictionary)),
    }


def _show_figures(content: Content, pillar: str, generators: Sequence[str]) -> list[dict[str, Any]]:
    """The figures of the published recipes' stages of one pillar, with their captions."""
    seed = content.metrics["seed"].min()
    return [
        {
            "stage": f.stage,
            "generator": f.generator,
            "image": _data(f.svg),
            "caption": _caption(content.captions[f.stage], content.cohort, f.generator, seed),
        }
        for f in content.figures
        if f.pillar == pillar and f.generator in generators
    ]


def _side_by_side(content: Content, generators: Sequence[str], release: bool) -> list[dict[str, Any]]:
    """Real and synthetic patients as papers show them: the landscape of alterations, survival by class, and Table 1."""
    found = []
    for generator in (name for name in generators if name in content.made):
        made = content.made[generator]
        pictures = [
            {"title": title, "caption": caption, "image": _picture(figure)}
            for title, caption, figure in draw_landscape(content.train, content.holdout, made, release)
        ]
        table = make_table_one(join_cohorts(content.train, content.holdout), made, release)
        note = NOTE + (NOTE_RELEASED if release else "")
        if pictures or len(table) > 1:
            # Levels are indented under their column.
            shown = _table(table.replace(r"^  ", "\u2003", regex=True))
            found.append({"generator": generator, "figures": pictures, "table": shown, "note": note})
    return found


def _count_released(content: Content, config: Mapping[str, Any], generators: Sequence[str]) -> pd.DataFrame:
    """How many synthetic patients each published recipe has."""
    numbers = {
        name: find_chosen_size(content.sizes[name])
        if name in content.sizes
        else int(config["synthetic_patients"] or len(content.train))
        for name in generators
    }
    texts = [f"synthetic patients{f' ({name})' if len(numbers) > 1 else ''}" for name in numbers]
    return pd.DataFrame({"": texts, "value": [str(number) for number in numbers.values()]})


def _tabulate_sizes(curve: pd.DataFrame) -> pd.DataFrame:
    attackers = ["disclosure_auc", "attack", "table_auc", "told", "disclosure_tpr_1", "disclosure_outlying_auc"]
    return curve[["patients", *attackers, "c_index", "margin_distance", *TIERS, "chosen"]]


def _data(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _picture(figure: Figure, form: str = "svg") -> str:
    """A figure as a data URI: SVG, or PNG where it holds many pixels."""
    if form == "png":
        raw = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            figure.savefig(raw, format="png", dpi=110, metadata={"Software": None})
        return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        lay_out(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _data(buffer.getvalue())


def _caption(text: str, cohort: str, generator: str, seed: Any) -> str:
    """A caption of the workflow's report as plain text: its names filled in, without markup and forced line ends."""
    import jinja2

    job = SimpleNamespace(wildcards=SimpleNamespace(cohort=cohort, generator=generator, seed=seed))
    plain = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).render(snakemake=job)
    plain = re.sub(r"\*\*(.+?)\*\*|`{1,2}(.+?)`{1,2}", lambda found: found[1] or found[2], plain, flags=re.DOTALL)
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", plain.strip()))


def _shut(gates: pd.DataFrame, generators: Sequence[str]) -> list[str]:
    """The checks that hold a release back; a recipe that was never checked is held back too."""
    found = []
    for generator in generators:
        checks = gates[gates["generator"] == generator]
        if checks.empty:
            found.append(f"no check of {generator} was made")
        elif not verdict(checks):
            found += [row.check.replace("_", " ") for row in select_rows(checks) if not row.passed]
    return list(dict.fromkeys(found))


def _table(table: pd.DataFrame) -> dict[str, Any]:
    """Head and rows as text; numbers with three digits, so that columns can be compared."""
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    body = [[_text(value) for value in row] for row in select_rows(table)]
    return {"head": [str(name).replace("_", " ") for name in table], "rows": body, "numeric": numeric}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _verdicts(composites: pd.DataFrame, generators: Sequence[str]) -> list[dict[str, Any]]:
    verdicts = []
    for row in select_rows(composites[composites["generator"].isin(generators)]):
        if pd.isna(row.relative) or pd.isna(row.low):
            continue  # nothing of this pillar was scored; the warnings name the metrics
        bands = PRIVACY_WORDS if row.pillar == "privacy" else WORDS
        words = next(word for least, word in bands if row.low >= least)
        if row.low < bands[1][0] and row.high >= bands[0][0]:
            words = UNCERTAIN
        verdicts.append(
            {
                "generator": row.generator,
                "pillar": row.pillar,
                "subject": SUBJECTS.get(row.modality, row.modality),
                "words": words,
                "relative": f"{row.relative:.2f}",
                "interval": f"{row.low:.2f} to {row.high:.2f}",
                "bar": f"{100 * min(max(row.relative, 0), 1):.0f}",
            }
        )
    return verdicts


def _warnings(content: Content, summary: Overview, generators: Sequence[str], release: bool) -> list[str]:
    found = []
    for modality, parts in content.parts.items():
        if "train" in parts and (told := load(modality, "gallery").unit_of(parts["train"])):
            found.append(told)
    for row in select_rows(content.gate[content.gate["generator"].isin(generators)]):
        if row.check == OVERRIDE:
            found.append(f"The release check was overruled for {row.generator}: {row.meaning}.")
        elif not row.passed:
            found.append(f"A check of {row.generator} failed: {failure(row._asdict()).replace('_', ' ')}.")
    for (modality, method), model in content.models.items():
        parameters = int(model.get("parameters", 0))
        patients = int(model.get("patients", len(content.train)))
        if patients < len(content.train):
            found.append(
                f"{modality}: {method} learned from {patients} of the {len(content.train)} training patients, drawn at "
                "random."
            )
        if model.get("left_out"):
            found.append(
                f"{modality}: {method} neither learned nor releases levels and alterations of too few patients: "
                f"{', '.join(model['left_out'])}."
            )
        if model.get("selected"):
            found.append(f"{modality}: {method} {say_selected(model['selected'])}.")
        if model.get("drawn_last"):
            names = ", ".join(one["name"] for one in model["drawn_last"])
            found.append(
                f"{modality}: {method} draws last, given the whole patient, what alterations and other columns nearly "
                f"decide: {names}."
            )
        if parameters and patients / parameters < FEW_POINTS:
            found.append(
                f"{modality}: {method} has {parameters} fitted numbers for {patients} training patients; "
                "early stopping and priors restrain it, not its size."
            )
    silent = content.scorecard[
        (content.scorecard["generator"].isin(generators)) & (content.scorecard["status"] == "no_signal")
    ]
    if len(silent):
        names = ", ".join(f"{r.metric.replace('_', ' ')} ({r.modality})" for r in select_rows(silent))
        found.append(
            f"Too little signal in this cohort to distinguish real patients from patients without structure: {names}. "
            "They are not scored."
        )
    sparse = [name for name, share in content.train.clinical.isna().mean().items() if share > MOSTLY_MISSING]
    if sparse:
        found.append(f"Missing in more than half of the training patients: {', '.join(map(str, sparse))}.")
    if content.train.alterations is not None:
        carriers = (content.train.alterations == 1).sum()
        rare = int((carriers < FEW_CARRIERS).sum())
        if rare:
            found.append(
                f"{rare} of {len(carriers)} alterations have fewer than {FEW_CARRIERS} carriers among the training "
                "patients: their associations are learned poorly, and their carriers are the easiest to single out."
            )
    if len(content.holdout) < SMALL_HOLDOUT:
        found.append(f"Only {len(content.holdout)} patients are held out: intervals are wide.")
    if len(set(content.metrics["seed"])) == 1:
        found.append("One seed: the intervals do not show how much another split or another fit would change.")
    if len(summary.excluded):
        found.append(f"{len(summary.excluded)} columns or alterations were left out; the reasons are below.")
    if not release and content.train.schema.notes:
        found.append(f"Reading the cohort left {len(content.train.schema.notes)} notes, which are below.")
    return found


def _recipes(content: Content, config: Mapping[str, Any], generators: Sequence[str]) -> pd.DataFrame:
    made = []
    for generator in generators:
        for modality, method in config["generators"][generator].items():
            model = content.models.get((modality, method))
            if model is None:
                continue
            entry = config["methods"][modality][method]
            parameters, patients = int(model.get("parameters", 0)), int(model.get("patients", len(content.train)))
            changed = {key: value for key, value in entry.items() if key not in ("algorithm", "given")}
            made.append(
                (
                    generator, modality, entry["algorithm"], ", ".join(entry.get("given") or []) or "nothing",
                    str(parameters), f"{patients / parameters:.2g}" if parameters else "",
                    ", ".join(f"{key} {value}" for key, value in changed.items()) or "defaults",
                )
            )  # fmt: skip
    head = ["recipe", "modality", "algorithm", "given", "fitted numbers", "training patients per number", "settings"]
    return pd.DataFrame(made, columns=head)


def _scores(scorecard: pd.DataFrame, shown: Sequence[str]) -> pd.DataFrame:
    chosen = scorecard[scorecard["generator"].isin(shown)]
    order = {name: i for i, name in enumerate(shown)}
    keys = ["pillar", "stage", "modality", "metric"]
    chosen = chosen.assign(_order=chosen["generator"].map(order)).sort_values([*keys, "_order"], kind="stable")
    columns = [*keys, "generator", "value", "ceiling", "floor", "relative", "low", "high", "status"]
    return chosen[columns].reset_index(drop=True)


def _contest(baseline: pd.DataFrame, generators: Sequence[str]) -> pd.DataFrame:
    chosen = baseline[baseline["generator"].isin(generators) & (baseline["metric"] == "all")]
    return chosen[["generator", "against", "pillar", "stage", "modality", "difference", "low", "high", "verdict"]]


def _tally(contest: pd.DataFrame) -> list[dict[str, Any]]:
    """Wins, ties and losses of each published recipe over the stages."""
    return [
        {
            "generator": generator,
            **{word: int((part["verdict"] == word).sum()) for word in ("win", "tie", "loss")},
        }
        for generator, part in contest.groupby("generator", sort=False)
    ]


def _balance_of(content: Content, config: Mapping[str, Any]) -> str:
    """What is said of a balanced cohort; empty where the study has no quotas."""
    if not config.get("balance"):
        return ""
    quotas = read_quotas(config["balance"], content.train, config["synthetic_patients"])
    return " ".join(sentences(quotas, content.train, config["synthetic_patients"] or len(content.train))[:-1])


def _gate(gate: pd.DataFrame) -> pd.DataFrame:
    table = gate[["generator", "check", "modality", "value", "limit", "chance", "passed", "open", "meaning"]].copy()
    table["passed"] = outcomes(gate)
    table["open"] = [
        ("yes" if free else "no") if word else "" for free, word in zip(gate["open"], table["passed"], strict=True)
    ]
    return table.fillna({"modality": ""})


def _glossary(dictionary: pd.DataFrame) -> pd.DataFrame:
    best = {"error": "0 is best", "agreement": "1 is best", "descriptive": "not scored"}
    table = dictionary.assign(
        best=[best.get(r.kind, f"{r.target:g} is best") for r in select_rows(dictionary)],
        formula=dictionary["formula"].str.replace("`", ""),
    )
    return table[["stage", "name", "best", "unit", "ceiling", "floor", "formula", "source"]]
