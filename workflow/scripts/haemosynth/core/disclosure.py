"""The small-cell rule: what fewer real patients share is neither drawn, nor counted, nor named.

A count below five, or a mean of fewer than five patients, can be traced to persons by those who know some of them. Five
is the threshold of long use in official and health statistics (Hundepool et al., Statistical Disclosure Control, Wiley
2012, section 5.2: minimum frequency rule).
"""

from __future__ import annotations

MIN_CELL_COUNT = 5  # real patients behind anything that a figure, a table or a page shows
