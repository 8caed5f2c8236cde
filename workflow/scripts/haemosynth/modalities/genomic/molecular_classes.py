"""Molecular classes of patients, by the founding events that haematologists name them after.

Myeloma: the primary translocations and hyperdiploidy, in the order in which they exclude each other (Fonseca et al.,
International Myeloma Working Group, Leukemia 2009;23:2210). Acute myeloid leukaemia: the fusions first, then NPM1,
CEBPA, TP53 or a complex karyotype, and the genes of splicing and chromatin (Papaemmanuil et al., N Engl J Med
2016;374:2209; Arber et al., Blood 2022;140:1200). Of CEBPA only the gene is known here, not whether a mutation lies in
the bZIP region; TP53 counts in one copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort

OTHER = "other"
LEAST = 20  # training patients of a class that has a name; curves of fewer say nothing
MOST = 7  # named classes, as many as colours that can be distinguished
# Class -> pattern of the events that define it, by their names in capitals with _ for every other sign.
HIERARCHIES: Mapping[str, Mapping[str, str]] = {
    "myeloma": {
        "MAF translocation": r"T_14_16|T_14_20|IGH_MAFB?",
        "t(4;14)": r"T_4_14|IGH_(NSD2|WHSC1|MMSET|FGFR3)",
        "CCND translocation": r"T_11_14|T_6_14|IGH_CCND[123]",
        "hyperdiploid": r"HYPERDIPLOID\w*|HRD",
    },
    "acute myeloid leukaemia": {
        "t(15;17)": r"T_15_17\w*|PML_RARA",
        "t(8;21)": r"T_8_21\w*|RUNX1_RUNX1T1",
        "inv(16)": r"INV_?16\w*|T_16_16|CBFB_MYH11",
        "KMT2A fusion": r"KMT2A_(?!PTD)\w+|T_9_11\w*|T_\d+_11Q23",
        "inv(3)": r"INV_?3\w*|T_3_3|GATA2_MECOM",
        "t(6;9)": r"T_6_9\w*|DEK_NUP214",
        "NPM1": r"NPM1",
        "CEBPA": r"CEBPA",
        "TP53 or complex": r"TP53|\w*COMPLEX\w*",
        "splicing or chromatin": r"ASXL1|BCOR|EZH2|RUNX1|SF3B1|SRSF2|STAG2|U2AF1|ZRSR2",
    },
}


def find_molecular_classes(train: Cohort) -> dict[str, list[str]]:
    """Class -> the cohort's events that define it, in the order in which they decide; empty where there are not two.

    Of the diseases, the one whose classes hold the most training patients; of its classes, at most seven, those with at
    least 20 training patients.
    """
    if train.alterations is None:
        return {}
    found: dict[str, list[str]] = {}
    most = 0
    for hierarchy in HIERARCHIES.values():
        events = {
            name: [event for event in train.schema.alterations if re.fullmatch(f"(CYTO_)?({pattern})", _plain(event))]
            for name, pattern in hierarchy.items()
        }
        sizes = classify_patients(train, events).value_counts()
        large = sorted((name for name in events if sizes.get(name, 0) >= LEAST), key=lambda name: -sizes[name])[:MOST]
        held = int(sum(sizes[name] for name in large))
        if held > most and len(large) > 1:
            most, found = held, {name: events[name] for name in events if name in large}
    return found


def classify_patients(cohort: Cohort, classes: Mapping[str, list[str]]) -> pd.Series:
    """(patients,) the class of each patient as a categorical: the first that has one of its events.

    `other` where all of the events are known to be absent, missing where none is present and any is unknown.
    """
    assert cohort.alterations is not None
    label = np.full(len(cohort), None, dtype=object)
    unknown = np.zeros(len(cohort), dtype=bool)
    for name, events in classes.items():
        if not events:
            continue
        states = cohort.alterations[events].to_numpy(float)
        unknown |= np.isnan(states).any(axis=1)
        label[(states == 1).any(axis=1) & (label == None)] = name  # noqa: E711 - elementwise
    label[(label == None) & ~unknown] = OTHER  # noqa: E711
    return pd.Series(pd.Categorical(label, categories=[*classes, OTHER]), index=cohort.patients)


def _plain(event: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", str(event).upper()).strip("_")
