"""The dossier's picture of expression: real patients only in the working edition, and the same picture twice."""

import pytest
from fixtures_expression import halves

from haemosynth.core.figures import save_figure
from haemosynth.modalities.expression.figure import draw
from haemosynth.modalities.expression.part import expression_of


def words(figure) -> str:
    return " ".join(
        [axis.get_title(loc="left") for axis in figure.axes]
        + [t.get_text() for axis in figure.axes for t in (axis.get_legend().get_texts() if axis.get_legend() else [])]
    )


@pytest.mark.slow
def test_the_release_shows_synthetic_patients_alone(tmp_path):
    train, holdout = halves()
    release, working = draw(holdout, None), draw(holdout, train)
    assert "real" not in words(release)
    assert f"{expression_of(train).n_obs} of {len(train)} real" in words(working)
    assert "t(11;14)" in words(release)
    for name in ("a", "b"):
        save_figure(draw(holdout, None), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
