"""The curves of a fit."""

import pandas as pd

from haemosynth.report.overview import draw_history


def test_the_one_point_of_a_fit_that_stopped_at_once_is_seen():
    one = pd.DataFrame({"step": [200], "validation": [0.5]})
    assert draw_history(one, "diffusion").axes[0].lines[0].get_marker() == "o"
    two = pd.concat([one, one.assign(step=400)])
    assert draw_history(two, "diffusion").axes[0].lines[0].get_marker() != "o"
