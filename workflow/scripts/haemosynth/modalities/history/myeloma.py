"""What is planted in the courses of simulated myeloma. Rates are per day, hazards per month; all are assumptions.

The population of the two clones has the values of the worked example in docs/methods.md (s = -0.015, r = 0.005,
p = 0.01, Y0 = 40 g/l); directions of effects are those of high-risk disease (Rajkumar, Am J Hematol 2022;97:1086).
"""

STATES = ("line 1", "line 2", "line 3", "line 4", "refractory", "death")
TRANSITIONS = {
    "line 1": ["line 2", "death"], "line 2": ["line 3", "death"], "line 3": ["line 4", "death"],
    "line 4": ["refractory", "death"], "refractory": ["death"],
}  # fmt: skip
ENDPOINTS = {"OS": ["death"], "PFS": ["line 2", "death"]}
M_PROTEIN, LIGHT_CHAIN, HAEMOGLOBIN = "M-protein", "free light chain", "haemoglobin"
LINES = 4  # after which nobody is measured any more
MEASUREMENTS = {
    M_PROTEIN: {
        "unit": "g/l",
        "process": "two_clones",
        "limit": 1.0,
        "progression": ["line 2", "line 3", "line 4", "refractory"],
    },
    LIGHT_CHAIN: {"unit": "mg/l", "process": "two_clones", "limit": 5.0},
    HAEMOGLOBIN: {"unit": "g/l", "process": "state_mean"},
}
REGIMENS = {
    "line 1": ("VRd", "DaraVRd", "VCd"), "line 2": ("DaraRd", "Kd", "Rd"), "line 3": ("Pd", "DaraPd"),
    "line 4": ("selinexor", "CAR-T"),
}  # fmt: skip
# Of the parameters log Y0, logit p, log r, log -s: mean in the first line, standard deviation, change with each line.
MEAN = (3.688879, -4.595120, -5.298317, -4.199705)
SPREAD = (0.35, 0.8, 0.3, 0.3)
BY_LINE = (-0.5, 1.2, 0.35, -0.15)
ERROR = 0.06  # standard deviation of the logarithm of a value
# (parameter, driver, size): drivers are alterations (0/1) or `age` in decades over 65.
EFFECTS = (
    ("logit p", "TP53", 0.8), ("log r", "gain(1q)", 0.3), ("log r", "t(4;14)", 0.3), ("log -s", "t(11;14)", -0.15),
)  # fmt: skip
DEATH = 0.004  # a month in the first line
DEATH_BY_LINE = 0.6  # log hazard ratio of each line
DEATH_EFFECTS = (("age", 0.5), ("TP53", 0.6), ("gain(1q)", 0.3))
FOLLOWED = (24.0, 120.0)  # months, uniform
VISIT_DAYS, JITTER_DAYS, DROP_OUT = 28.0, 4.0, 0.004  # drop-out at each visit ends the visits, not the follow-up
LIGHT_CHAIN_START, LIGHT_CHAIN_SPREAD, LIGHT_CHAIN_ERROR = 300.0, 0.8, 0.1
HAEMOGLOBIN_MEAN = {"line 1": 118.0, "line 2": 112.0, "line 3": 104.0, "line 4": 98.0}
HAEMOGLOBIN_PATIENT, HAEMOGLOBIN_NOISE, HAEMOGLOBIN_MEMORY = 9.0, 6.0, 0.6  # memory from visit to visit
