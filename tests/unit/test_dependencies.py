"""What the code imports is what an installation brings: nothing works only where the tests' own packages are."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"nas", "api", "search_spaces"}
PARTS = {"starlette", "anyio", "pydantic_core"}
"""FastAPI and pydantic are made of these, and hand their classes on."""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in ("postgres", "distributed", "executorch", "transformers", "datasets"):
        lines += project["optional-dependencies"][extra]
    return {_normal(re.match(r"[\w.-]+", line).group()) for line in lines}


def _imported() -> dict[str, str]:
    """Top-level module → a file that imports it, at its top or inside a function."""
    found: dict[str, str] = {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                for name in names:
                    found.setdefault(name.partition(".")[0], str(path.relative_to(ROOT)))
    return found


def test_every_package_that_is_imported_is_declared():
    known = packages_distributions()
    imported = {name: file for name, file in _imported().items() if name not in sys.stdlib_module_names | OURS}
    assert {"torch", "optuna", "fastapi", "scipy"} <= set(imported)
    undeclared = {
        name: file
        for name, file in imported.items()
        if name not in PARTS and not {_normal(d) for d in known.get(name, [name])} & _declared()
    }
    assert undeclared == {}


def test_a_service_imports_torch_only_to_count_what_nobody_has_counted(tmp_path: Path) -> None:
    code = (
        "import sys, api.app, api.server, api.start\n"
        "print('at start', *({'torch', 'fvcore'} & set(sys.modules)))\n"
        "from nas.costs import keep_counts\n"
        "keep_counts()\n"
        "from nas.costs import costs_of\n"
        "from nas.workload import Workload\n"
        "from nas.space import SearchSpace\n"
        "import random\n"
        "print(costs_of(SearchSpace.bundled('smoke').sample(random.Random(0)), Workload(input_length=8)).macs)\n"
        "print('at last', *({'torch', 'fvcore'} & set(sys.modules)))\n"
    )

    def lines() -> list[str]:
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()

    first, second = lines(), lines()
    assert first[0] == second[0] == "at start"
    assert sorted(first[2].split()[2:]) == ["fvcore", "torch"]
    assert second[1:] == [first[1], "at last"]
