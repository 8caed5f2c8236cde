"""Patients as numbers. The codings differ because their questions do, and none can replace another:

design.py      levels as codes and numbers as they are, for both sides of a comparison: distributions, correlations
records.py     points of one scale, record and alterations: distances between patients, attacks
baseline.py    covariates known at baseline, winsorised and completed: survival models
conditions.py  what a generator of a further modality is given: normal scores, missing at the mean
predictors.py  what alterations are predicted from: ranks, their squares, levels, martingale residuals

Two more go back to values and lie with what draws them: `modalities/clinical/generators/encoding.py` (levels and a
position inside each) and `modalities/clinical/impute/encoding.py` (normal scores of what is missing).
"""
