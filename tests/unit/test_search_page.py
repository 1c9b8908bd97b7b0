"""docs/search.md: its example for studies outside of the project runs, and its example of a new sampler is one."""

import re
from pathlib import Path

import optuna

from nas.search import samplers
from nas.search.samplers import SamplerSetting

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text()


def block(place):
    return re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[place]


def test_the_example_outside_of_the_project_runs(capsys):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = {}
    exec(compile(block(0), "docs/search.md", "exec"), names)
    study = names["study"]
    assert len({tuple(trial.params.items()) for trial in study.trials}) == len(study.trials) == 40
    assert len(capsys.readouterr().out.splitlines()) == len(study.best_trials) > 5


def test_a_sampler_is_added_by_one_line():
    line = "{" + "".join(text for text in block(1).splitlines(keepends=True) if not text.startswith("#")) + "}"
    added = eval(line, {**vars(samplers), "QMCSampler": optuna.samplers.QMCSampler})
    assert isinstance(added["qmc"](SamplerSetting(0, dict))(0), optuna.samplers.QMCSampler)
