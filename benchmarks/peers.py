"""One published generator on one table, inside its own environment: what `benchmarks/leaderboard.py` calls.

It imports nothing of this project, whose libraries the environment does not hold. A table of text and numbers and its
description (`levels` and `numbers`, lists of columns) go in, and a table of as many synthetic patients as are asked for
comes out. Every method has the settings that its authors ship. Where one cannot hold missing values, levels have one
more, and a number has a second column that says where it is missing; what is drawn so is missing again.

    python peers.py ctgan train.csv description.json 332 1 out.csv
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

NOTHING = "not recorded"
MARK = " is missing"


def without_missing(table: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    """The table with a level for missing categories, and numbers at their median with a column that says so."""
    filled = table.copy()
    for name in table:
        if name in numbers:
            if table[name].isna().any():
                filled[name + MARK] = np.where(table[name].isna(), "yes", "no")
                filled[name] = table[name].fillna(table[name].median())
        else:
            filled[name] = table[name].fillna(NOTHING)
    return filled


def with_missing(filled: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The reverse of `without_missing`."""
    table = filled[columns].copy()
    for name in columns:
        if name + MARK in filled:
            table[name] = table[name].mask((filled[name + MARK] == "yes").to_numpy())
        table[name] = table[name].mask((table[name] == NOTHING).to_numpy())
    return table


def from_sdv(name: str, table: pd.DataFrame, numbers: list[str], n: int) -> pd.DataFrame:
    """CTGAN, TVAE or the Gaussian copula, as the Synthetic Data Vault has them."""
    from sdv import single_table
    from sdv.metadata import Metadata

    kinds = {c: {"sdtype": "numerical" if c in numbers else "categorical"} for c in table}
    described = Metadata.load_from_dict({"tables": {"table": {"columns": kinds}}})
    model = getattr(single_table, name)(described)
    model.fit({"table": table})
    drawn = model.sample(n)
    return drawn["table"] if isinstance(drawn, dict) else drawn


def arf(table: pd.DataFrame, numbers: list[str], n: int) -> pd.DataFrame:
    """Adversarial random forests."""
    from arfpy import arf as forests

    filled = without_missing(table, numbers)
    filled = filled.astype({name: "category" for name in filled if name not in numbers})
    model = forests.arf(x=filled, verbose=False)
    model.forde()
    return with_missing(model.forge(n=n), list(table))


def synthpop(table: pd.DataFrame, numbers: list[str], n: int) -> pd.DataFrame:
    """A Python port of synthpop's classification and regression trees."""
    from synthpop import CARTMethod

    filled = without_missing(table, numbers)
    coded, levels = filled.copy(), {}
    for name in filled:
        if name not in numbers:
            levels[name] = sorted(filled[name].unique())
            coded[name] = filled[name].map({level: code for code, level in enumerate(levels[name])}).astype(int)
    kinds = {c: "numerical" if c in numbers else "categorical" for c in filled}
    model = CARTMethod(kinds, smoothing=False, random_state=1)
    model.fit(coded)
    drawn = model.sample(n)
    for name, own in levels.items():
        drawn[name] = [own[int(code)] for code in drawn[name]]
    return with_missing(drawn, list(table))


def tabddpm(table: pd.DataFrame, numbers: list[str], n: int) -> pd.DataFrame:
    """TabDDPM, as synthcity has it."""
    from synthcity.plugins import Plugins
    from synthcity.plugins.core.dataloader import GenericDataLoader

    filled = without_missing(table, numbers)
    model = Plugins().get("ddpm")
    model.fit(GenericDataLoader(filled, sensitive_features=[]))
    return with_missing(model.generate(count=n).dataframe(), list(table))


def mostlyai(table: pd.DataFrame, numbers: list[str], n: int) -> pd.DataFrame:
    """TabularARGN, the engine of MOSTLY AI."""
    from mostlyai import engine

    with tempfile.TemporaryDirectory() as folder:
        kinds = {c: "TABULAR_NUMERIC_AUTO" if c in numbers else "TABULAR_CATEGORICAL" for c in table}
        engine.split(tgt_data=table, tgt_encoding_types=kinds, workspace_dir=folder)
        engine.analyze(workspace_dir=folder)
        engine.encode(workspace_dir=folder)
        engine.train(workspace_dir=folder)
        # A rare level is drawn as another one, not as a word that the column does not have.
        engine.generate(sample_size=n, rare_category_replacement_method="SAMPLE", workspace_dir=folder)
        return pd.read_parquet(Path(folder) / "SyntheticData")


def main() -> None:
    """Fit, draw and write."""
    peer, source, description, patients, seed, target = sys.argv[1:]
    told = json.loads(Path(description).read_text(encoding="utf-8"))
    numbers, n = told["numbers"], int(patients)
    table = pd.read_csv(source, dtype=dict.fromkeys(told["levels"], str), keep_default_na=False, na_values=[""])
    np.random.seed(int(seed))  # noqa: NPY002 - what these packages draw from
    try:
        import torch

        torch.manual_seed(int(seed))
        torch.set_num_threads(1)
    except ImportError:
        pass
    vault = {"ctgan": "CTGANSynthesizer", "tvae": "TVAESynthesizer", "gaussian_copula": "GaussianCopulaSynthesizer"}
    if peer in vault:
        drawn = from_sdv(vault[peer], table, numbers, n)
    else:
        drawn = {"arf": arf, "synthpop": synthpop, "tabddpm": tabddpm, "mostlyai": mostlyai}[peer](table, numbers, n)
    drawn[list(table)].to_csv(target, index=False)


if __name__ == "__main__":
    main()
