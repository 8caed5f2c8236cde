"""A mistake in the settings is one line that names the key and what was expected."""

import re
from pathlib import Path

import pytest
import yaml

from haemosynth.core.errors import InputError
from haemosynth.study.settings import check, expand_paths, fill_in, merge, modalities, update_names
from haemosynth.validate import STAGES

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
COHORT = {"cohorts": {"mine": {"format": "cbioportal", "path": "/data", "endpoint": "OS"}}}


def study(changes):
    return merge(DEFAULTS, COHORT, changes)


@pytest.mark.parametrize("path", sorted((ROOT / "config/studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_study_of_the_project_is_valid(path):
    check(merge(DEFAULTS, yaml.safe_load(path.read_text())), RULES)


def test_three_lines_are_enough():
    check(study({}), RULES)
    assert modalities(study({}), "mine") == ["clinical", "genomic"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": [1]}, "unknown key 'sedes'; did you mean 'seeds'"),
        ({"split": {"train_fracton": 0.5}}, "unknown key 'split.train_fracton'; did you mean 'train_fraction'"),
        ({"split": {"train_fraction": 1.5}}, "split.train_fraction: 1.5 is greater than or equal to the maximum of 1"),
        ({"generators": {"circle": {"clinical": "vae_given_genomic", "genomic": "mutation_model"}}},
         "vae_given_genomic is given genomic and mutation_model is given clinical; one of the two must come first"),
        ({"methods": {"clinical": {"private_marginals": {"given": ["genomic"]}}},
          "generators": {"private": {"genomic": "mutation_model_first"}}},
         "private_marginals can be given nothing"),
        ({"methods": {"clinical": {"private_marginals": {"classes_last": True}}}}, "without noise"),
        ({"methods": {"clinical": {"vae": {"classes_last": "yes"}}}}, "methods.clinical.vae.classes_last"),
        ({"generators": {"halves": {"clinical": "gan_joint", "genomic": "mutation_model"}}},
         "expected both, or neither"),
        ({"generators": {"halves": {"clinical": "vae", "genomic": "joint"}}}, "expected both, or neither"),
        ({"methods": {"clinical": {"gan_joint": {"given": ["genomic"]}}}}, "is given genomic and joint is given"),
        ({"methods": {"clinical": {"vae_given_genomic": {"where": {"sex": "Female"}}}}}, "where and given together"),
        ({"seeds": []}, "seeds: "),
        ({"seeds": "one"}, "seeds: 'one' is not of type 'array'"),
        ({"stages": ["marginal"]}, "stages: 'marginal' is unknown here; did you mean 'marginals'"),
        ({"compare": ["real", "defualt"]}, "'defualt' is unknown here; did you mean 'default'"),
        ({"compare": ["real", "default"], "publish": ["default"]}, "the reference 'independent' is missing"),
        ({"publish": ["real"]}, "publish: 'real' is unknown here"),
        ({"publish": ["default"], "compare": ["real", "independent", "uniform", "forest"]}, "publish: 'default'"),
        ({"baseline": "forrest"}, "baseline: 'forrest' is unknown here; did you mean 'forest'"),
        ({"generators": {"default": {"clinical": "vea"}}}, "generators.default.clinical: 'vea' is unknown here"),
        ({"generators": {"real": {"clinical": "vae"}}}, "generators.real: the name of a reference"),
        ({"methods": {"clinical": {"vae": {"algorithm": "flow"}}}}, "clinical.vae.algorithm: 'flow' is unknown"),
        ({"methods": {"proteomic": {}}}, "unknown key 'methods.proteomic'"),
        ({"cohorts": {"other": {"format": "tables"}}}, "cohorts.other: 'endpoint' is a required property"),
        ({"cohorts": {"a cohort": {"format": "tables", "endpoint": "OS"}}}, "'a cohort' does not match"),
        ({"validation": {"survivl": {}}}, "validation: 'survivl' is unknown here; did you mean 'survival'"),
        ({"imputation": {"complete_with": "mice"}}, "imputation.complete_with: 'mice' is unknown here"),
        ({"generators": {"bare": {"clinical": "vae"}}, "compare": [*DEFAULTS["compare"], "bare"]},
         "generators.bare: cohort mine needs a method for genomic"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_key(changes, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        check(study(changes), RULES)
    assert "\n" not in str(caught.value)


def test_a_path_with_an_unset_variable_names_it(monkeypatch):
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    with pytest.raises(InputError, match="NO_SUCH_FOLDER is not set"):
        expand_paths({"path": "$NO_SUCH_FOLDER/study"}, "mine")
    monkeypatch.setenv("NO_SUCH_FOLDER", "/somewhere")
    assert expand_paths({"path": "$NO_SUCH_FOLDER/study"}, "mine")["path"] == "/somewhere/study"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"methods": {"transcriptomic": {"factor": {"algorithm": "factor"}}}}, "methods"),
        ({"generators": {"default": {"imaging": "diffusion"}}}, "generators.default"),
        ({"cohorts": {"mine": {"modalities": ["clinical", "imaging"]}}}, "cohorts.mine.modalities"),
    ],
)
def test_a_modality_under_its_former_name_is_taken_and_a_line_says_the_new_one(changes, where):
    former, new = ("transcriptomic", "expression") if where == "methods" else ("imaging", "images")
    plain = {key: value for key, value in DEFAULTS["methods"].items() if key not in ("expression", "images")}
    base = DEFAULTS | {"methods": plain} if where == "methods" else DEFAULTS
    recipes = {name: {m: v for m, v in recipe.items() if m != "images"} for name, recipe in base["generators"].items()}
    config = merge(base | {"generators": recipes}, COHORT, changes)
    lines = update_names(config)
    assert lines == [f"{where}: {former!r} is now called {new!r}"]
    assert former not in str(config)
    assert update_names(config) == []


def test_a_recipe_takes_the_first_method_of_a_modality_that_it_does_not_name_unless_it_is_private():
    config = study({"generators": {"plain": {"clinical": "vae", "genomic": "mutation_model"}}})
    fill_in(config)
    assert config["generators"]["plain"]["expression"] == next(iter(config["methods"]["expression"]))
    assert set(config["generators"]["private"]) == {"clinical", "genomic"}
    of_quotas, by_name = {"balance", "fairness", "enlarged_classes"}, {"shadow", "image_translation"}
    assert set(config["stages"]) == set(STAGES) - by_name - of_quotas
    balanced = study({"balance": {"sex": "even"}})
    fill_in(balanced)
    assert set(balanced["stages"]) == set(STAGES) - by_name
