"""The rules by which cBioPortal's importer (validateData.py of cBioPortal-core, offline) judges a study folder.

Written down from its documentation and behaviour: what it refuses is a problem, what it only remarks is a remark. Two
remarks cannot be avoided: no SWISSPROT column, and no disease-free survival where none was recorded.
"""

import csv
import re
from pathlib import Path

NULL = ("[not applicable]", "[not available]", "[pending]", "[discrepancy]", "[completed]", "[null]", "", "na")
FIELDS = {
    "study": (
        {"cancer_study_identifier", "type_of_cancer", "name", "description"},
        {"citation", "pmid", "groups", "add_global_case_list", "tags_file", "reference_genome"},
    ),
    "CANCER_TYPE": ({"genetic_alteration_type", "datatype", "data_filename"}, set()),
    "CLINICAL": ({"cancer_study_identifier", "genetic_alteration_type", "datatype", "data_filename"}, set()),
    "MUTATION_EXTENDED": (
        {"cancer_study_identifier", "genetic_alteration_type", "datatype", "stable_id", "show_profile_in_analysis_tab",
         "profile_name", "profile_description", "data_filename"},
        {"normal_samples_list", "swissprot_identifier", "variant_classification_filter", "namespaces"},
    ),
    "case_list": (
        {"cancer_study_identifier", "stable_id", "case_list_name", "case_list_description", "case_list_ids"},
        {"case_list_category"},
    ),
}  # fmt: skip
TYPES = {
    ("CANCER_TYPE", "CANCER_TYPE"), ("CLINICAL", "PATIENT_ATTRIBUTES"), ("CLINICAL", "SAMPLE_ATTRIBUTES"),
    ("CLINICAL", "TIMELINE"), ("MUTATION_EXTENDED", "MAF"),
}  # fmt: skip
LENGTHS = {"cancer_study_identifier": 255, "type_of_cancer": 63, "name": 255, "description": 1024}
CATEGORIES = ("all_cases_in_study", "all_cases_with_mutation_data", "other")
PATIENT_LEVEL = ("AGE", "DFS_STATUS", "DFS_MONTHS", "GENDER", "OS_STATUS", "OS_MONTHS", "PATIENT_DISPLAY_NAME", "SEX",
                 "TUMOR_SITE")  # fmt: skip
SAMPLE_LEVEL = ("METASTATIC_SITE", "OTHER_SAMPLE_ID", "PRIMARY_SITE", "SAMPLE_CLASS", "SAMPLE_DISPLAY_NAME",
                "SAMPLE_TYPE", "TUMOR_TISSUE_SITE", "TUMOR_TYPE")  # fmt: skip
OF_NUMBERS = ("AGE", "DFS_MONTHS", "OS_MONTHS")
OF_TEXT = (*(name for name in (*PATIENT_LEVEL, *SAMPLE_LEVEL) if name not in OF_NUMBERS), "CANCER_TYPE",
           "CANCER_TYPE_DETAILED", "HISTOLOGY", "KNOWN_MOLECULAR_CLASSIFIER")  # fmt: skip
STATUS = {
    "OS_STATUS": ("LIVING", "DECEASED", "0:LIVING", "1:DECEASED"),
    "DFS_STATUS": ("0:DiseaseFree", "1:Recurred/Progressed", "1:Recurred", "1:Progressed", "DiseaseFree",
                   "Recurred/Progressed", "Recurred", "Progressed"),
}  # fmt: skip
FILTERED = ("Silent", "Intron", "3'UTR", "3'Flank", "5'UTR", "5'Flank", "IGR", "RNA")
CLASSES = (*FILTERED, "Frame_Shift_Del", "Frame_Shift_Ins", "In_Frame_Del", "In_Frame_Ins", "Missense_Mutation",
           "Nonsense_Mutation", "Splice_Site", "Translation_Start_Site", "Nonstop_Mutation", "Targeted_Region",
           "De_novo_Start_InFrame", "De_novo_Start_OutOfFrame", "Splice_Region", "Fusion", "Unknown")  # fmt: skip
WEB_COLOURS = ("lightsalmon", "lightyellow", "limegreen", "gainsboro", "mediumpurple")  # of which OncoTree has these
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Verdict:
    """What the importer would say of a folder."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.remarks: list[str] = []

    def must(self, holds: bool, told: str) -> None:
        if not holds:
            self.problems.append(told)

    def should(self, holds: bool, told: str) -> None:
        if not holds:
            self.remarks.append(told)


def judge(folder: Path) -> Verdict:
    """Problems and remarks of a study folder."""
    verdict = Verdict()
    metas = [
        _meta(path, verdict) for path in sorted(folder.iterdir()) if re.search(r"(\b|_)meta(\b|[_0-9])", path.name)
    ]
    studies = [meta for meta in metas if "type_of_cancer" in meta]
    verdict.must(len(studies) == 1, "not one study file")
    if len(studies) != 1:
        return verdict
    study = studies[0]
    identifier = study["cancer_study_identifier"]
    verdict.must(re.fullmatch(r"[a-z0-9_]+", identifier) is not None, f"identifier {identifier}")
    verdict.must(study.get("reference_genome", "hg19") in ("hg19", "hg38", "mm10"), "reference genome")
    files: dict[str, dict[str, str]] = {}
    for meta in metas:
        kind = "study" if meta is study else meta.get("genetic_alteration_type", "")
        if kind not in FIELDS or (kind != "study" and (kind, meta.get("datatype")) not in TYPES):
            verdict.must(False, f"type {kind}, {meta.get('datatype')}")
            continue
        _fields(meta, kind, verdict)
        verdict.must(meta.get("cancer_study_identifier", identifier) == identifier, "another identifier")
        for field, length in LENGTHS.items():
            verdict.must(kind != "study" or len(meta[field]) <= length, f"{field} is too long")
        if kind != "study":
            key = meta["datatype"] if kind == "CLINICAL" else kind
            verdict.must(key == "TIMELINE" or key not in files, f"two files of {key}")
            verdict.must((folder / meta["data_filename"]).is_file(), f"{meta['data_filename']} is missing")
            files[key] = meta
    _cancer_type(folder, study["type_of_cancer"], files.get("CANCER_TYPE"), verdict)
    verdict.must("SAMPLE_ATTRIBUTES" in files, "no sample file")
    if "SAMPLE_ATTRIBUTES" not in files:
        return verdict
    samples = _clinical(folder / files["SAMPLE_ATTRIBUTES"]["data_filename"], "sample", verdict)
    owners = {row["SAMPLE_ID"]: row["PATIENT_ID"] for row in samples["rows"]}
    verdict.must(len(owners) == len(samples["rows"]), "a sample occurs twice")
    verdict.must(all(0 < len(sample) <= 63 for sample in owners), "length of sample identifiers")
    if "PATIENT_ATTRIBUTES" in files:
        patients = _clinical(folder / files["PATIENT_ATTRIBUTES"]["data_filename"], "patient", verdict)
        _patients(patients, set(owners.values()), set(samples["names"]), verdict)
    lists = {f"{identifier}_all"} if study.get("add_global_case_list", "").lower() == "true" else set()
    listed = _case_lists(folder / "case_lists", identifier, lists, set(owners), verdict)
    verdict.must(f"{identifier}_all" in lists, f"no case list {identifier}_all")
    for meta in metas:
        if meta.get("datatype") == "TIMELINE":
            _timeline(folder / meta["data_filename"], set(owners.values()), verdict)
    if "MUTATION_EXTENDED" in files:
        meta = files["MUTATION_EXTENDED"]
        verdict.must(meta["stable_id"] == "mutations", "stable id of the mutations")
        verdict.must(f"{identifier}_sequenced" in lists, f"no case list {identifier}_sequenced")
        _mutations(folder / meta["data_filename"], set(owners), listed, verdict)
    return verdict


def _timeline(path: Path, patients: set[str], verdict: Verdict) -> None:
    """Events of patients of the study, in whole days; the four columns that every timeline has come first."""
    _, names, rows = _table(path, verdict)
    verdict.must(names[:4] == ["PATIENT_ID", "START_DATE", "STOP_DATE", "EVENT_TYPE"], f"{path.name}: first columns")
    for patient, start, stop, event, *_ in rows:
        verdict.must(patient in patients, f"{path.name}: patient {patient}")
        verdict.must(re.fullmatch(r"-?\d+", start) is not None, f"{path.name}: start {start}")
        verdict.must(
            stop == "" or (stop.lstrip("-").isdigit() and int(stop) >= int(start)), f"{path.name}: stop {stop}"
        )
        verdict.must(event != "", f"{path.name}: an event without type")


def _meta(path: Path, verdict: Verdict) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    verdict.must(all(":" in line for line in lines), f"{path.name}: a line without colon")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _fields(meta: dict[str, str], kind: str, verdict: Verdict) -> None:
    needed, allowed = FIELDS[kind]
    verdict.must(needed <= set(meta), f"{kind}: fields {needed - set(meta)} are missing")
    verdict.should(set(meta) <= needed | allowed, f"{kind}: fields {set(meta) - needed - allowed} are unknown")


def _table(path: Path, verdict: Verdict) -> tuple[list[str], list[str], list[list[str]]]:
    """Comment lines, names and rows of a data file, cells between tabs as they stand."""
    text = path.read_bytes().decode("utf-8")
    verdict.must("\n" in text and "\r" not in text, f"{path.name}: line ends")
    lines = text.removesuffix("\n").split("\n")
    comments = [line for line in lines if line.startswith("#")]
    verdict.must(lines[: len(comments)] == comments, f"{path.name}: a data line begins with #")
    header, *body = lines[len(comments) :]
    sample = "\n".join([header, *body[:5]]) + "\n"
    try:
        found = csv.Sniffer().sniff(sample, delimiters="\t")
        verdict.must(found.delimiter == "\t", f"{path.name}: not tab-delimited")
        verdict.should('\t"' not in sample and '"\t' not in sample, f"{path.name}: quotes round cells")
    except csv.Error:
        verdict.should(False, f"{path.name}: its structure is not seen")
    names = header.split("\t")
    verdict.must(len(set(names)) == len(names), f"{path.name}: a name occurs twice")
    rows = [line.split("\t") for line in body]
    for row in rows:
        verdict.must(len(row) == len(names), f"{path.name}: {len(row)} cells, {len(names)} names")
        verdict.must(any(cell.strip() for cell in row), f"{path.name}: blank line")
    return comments, names, rows


def _cancer_type(folder: Path, kind: str, meta: dict[str, str] | None, verdict: Verdict) -> None:
    """The type must be defined by the study: a portal need not know it."""
    verdict.must(meta is not None, f"{kind} is no defined cancer type")
    if meta is None:
        return
    _, first, others = _table(folder / meta["data_filename"], verdict)
    rows = [first, *others]
    verdict.must(all(len(row) == 4 and all(cell.strip() for cell in row) for row in rows), "cancer type: four columns")
    verdict.must(kind in [row[0].strip().lower() for row in rows], f"{kind} is not the defined cancer type")
    verdict.must(all(row[2].lower() in WEB_COLOURS for row in rows), "cancer type: colour")
    verdict.must(all(row[3] == "tissue" for row in rows), "cancer type: parent")


def _clinical(path: Path, level: str, verdict: Verdict) -> dict:
    comments, names, rows = _table(path, verdict)
    verdict.must(len(comments) == 4, f"{path.name}: four comment lines")
    heads = [line[1:].split("\t") for line in comments]
    for cells in heads:
        verdict.must(len(cells) == len(names), f"{path.name}: comment of {len(cells)} cells, {len(names)} names")
        verdict.must(
            all(cell.strip().lower() not in NULL for cell in cells), f"{path.name}: empty definition in {cells}"
        )
    kinds = dict(zip(names, heads[2], strict=False))
    verdict.must(set(kinds.values()) <= {"STRING", "NUMBER", "BOOLEAN"}, f"{path.name}: types")
    verdict.must(all(cell.lstrip("-").isdigit() and int(cell) >= -1 for cell in heads[3]), f"{path.name}: priorities")
    for name in names:
        verdict.must(name.isupper(), f"{name} is not in capitals")
        verdict.must(name not in ("MUTATION_COUNT", "FRACTION_GENOME_ALTERED"), f"{name} is refused")
        verdict.must(level == "patient" or name not in PATIENT_LEVEL, f"{name} belongs to patients")
        verdict.must(level == "sample" or name not in SAMPLE_LEVEL, f"{name} belongs to samples")
        verdict.must(name not in OF_NUMBERS or kinds[name] == "NUMBER", f"{name} is a number")
        verdict.must(name not in OF_TEXT or kinds[name] == "STRING", f"{name} is text")
    needed = {"PATIENT_ID"} | ({"SAMPLE_ID"} if level == "sample" else set())
    verdict.must(needed <= set(names), f"{path.name}: identifiers are missing")
    table = [dict(zip(names, row, strict=False)) for row in rows]
    for row in table:
        for name, cell in row.items():
            value = cell.strip()
            if name in ("PATIENT_ID", "SAMPLE_ID"):
                verdict.must(value.lower() not in NULL, f"{name} is missing")
                verdict.must(re.search(r"[^A-Za-z0-9._()\[\]',+\-:;]", value) is None, f"{name} {value}")
            elif value.lower() not in NULL and kinds[name] == "NUMBER":
                verdict.must(_is_number(value) or (value[0] in "<>" and _is_number(value[1:])), f"{name}: {value}")
            parts = value.split("-")
            looks_like_date = len(parts) == 2 and any(part.lower() in MONTHS for part in parts)
            verdict.must("date" in name.lower() or not looks_like_date, f"{name}: {value} looks like a date")
    return {"names": [name for name in names if name not in ("PATIENT_ID", "SAMPLE_ID")], "rows": table}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _patients(patients: dict, with_samples: set[str], at_samples: set[str], verdict: Verdict) -> None:
    names, rows = patients["names"], patients["rows"]
    verdict.must(not at_samples & set(names), f"{at_samples & set(names)} of patients and samples")
    verdict.must(len({row["PATIENT_ID"] for row in rows}) == len(rows), "a patient occurs twice")
    verdict.should({row["PATIENT_ID"] for row in rows} == with_samples, "patients of the two files differ")
    for end in ("OS", "DFS"):
        verdict.should({f"{end}_MONTHS", f"{end}_STATUS"} <= set(names), f"no {end}_MONTHS and {end}_STATUS")
    for row in rows:
        for name in (name for name in names if name.endswith("_STATUS")):
            value = row[name].strip()
            if value.lower() in NULL:
                continue
            if name in STATUS:
                verdict.must(value in STATUS[name], f"{name}: {value}")
            elif name.removesuffix("STATUS") + "MONTHS" in names:
                verdict.must(re.match(r"[01]:", value) is not None, f"{name}: {value}")
        dead = row.get("OS_STATUS") == "1:DECEASED"
        verdict.should(not dead or row.get("OS_MONTHS", "") != "", "a death without its time")


def _case_lists(folder: Path, study: str, lists: set[str], samples: set[str], verdict: Verdict) -> set[str]:
    """Check the lists, add their stable ids to `lists`, and give the samples of that of sequenced ones."""
    sequenced: set[str] = set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        meta = _meta(path, verdict)
        _fields(meta, "case_list", verdict)
        name = meta["stable_id"]
        verdict.must(name.startswith(f"{study}_") and name not in lists, f"stable id {name}")
        lists.add(name)
        verdict.must(meta.get("case_list_category", "other") in CATEGORIES, f"{path.name}: category")
        ids = [sample.strip() for sample in meta["case_list_ids"].split("\t")]
        verdict.should(len(set(ids)) == len(ids), f"{path.name}: a sample occurs twice")
        verdict.must(set(ids) <= samples, f"{path.name}: unknown samples")
        sequenced = set(ids) if name.endswith("_sequenced") else sequenced
    return sequenced


def _mutations(path: Path, samples: set[str], listed: set[str], verdict: Verdict) -> None:
    _, names, rows = _table(path, verdict)
    verdict.must({"Tumor_Sample_Barcode", "Hugo_Symbol", "Variant_Classification"} <= set(names), "MAF columns")
    verdict.must(bool({"HGVSp_Short", "Amino_Acid_Change"} & set(names)), "no column of protein changes")
    for row in (dict(zip(names, row, strict=False)) for row in rows):
        change, kind, gene = row["HGVSp_Short"], row["Variant_Classification"], row["Hugo_Symbol"]
        verdict.must(row["Tumor_Sample_Barcode"] in samples, f"unknown sample {row['Tumor_Sample_Barcode']}")
        verdict.must(row["Tumor_Sample_Barcode"] in listed, f"{row['Tumor_Sample_Barcode']} is not listed")
        verdict.must(gene.strip() not in ("", "NA", "Unknown"), "a mutation without gene")
        verdict.should(not gene[:1].isdigit(), f"{gene} begins with a digit")
        verdict.must(kind.strip() != "", "a mutation without class")
        verdict.should(kind in CLASSES, f"class {kind}")
        verdict.should(kind == "Splice_Site" or change not in ("", "NULL", "NA"), "no protein change")
        verdict.must(len(change) <= 255 and not re.search(r"[,;]|.p\.", change), f"protein change {change}")
        for name in ("t_alt_count", "t_ref_count"):
            verdict.must(re.fullmatch(r"-?\d+|\.|", row[name]) is not None, f"{name} {row[name]}")
