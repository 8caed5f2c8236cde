"""Which alterations a study wants: those with enough carriers, or a list of genes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haemosynth.core.errors import InputError


def read_min_carriers(panel: Any, where: str) -> int | None:
    """The least number of carriers of a recurrent panel; None for a panel that lists its genes.

    Raises:
        InputError: the panel is neither a list of genes nor {recurrent: {min_carriers: N}}.
    """
    if isinstance(panel, list) and panel and all(isinstance(gene, str) for gene in panel):
        return None
    if isinstance(panel, Mapping) and set(panel) == {"recurrent"} and isinstance(panel["recurrent"], Mapping):
        least = panel["recurrent"].get("min_carriers")
        if set(panel["recurrent"]) == {"min_carriers"} and isinstance(least, int) and least >= 1:
            return least
    raise InputError(f"{where}.panel: expected a list of genes or {{recurrent: {{min_carriers: 10}}}}, found {panel!r}")
