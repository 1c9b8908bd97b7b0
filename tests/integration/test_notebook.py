"""The notebook of docs/, run from top to bottom against a real service that trains for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli.server_process import ServerProcess

NOTEBOOK = Path(__file__).parents[2] / "docs/first-search.ipynb"


def cells(kind: str) -> list[str]:
    document = json.loads(NOTEBOOK.read_text())
    assert document["nbformat"] == 4
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == kind]


@pytest.mark.timeout(300)
def test_its_cells_run_and_the_model_that_it_takes_along_keeps_what_was_recorded(tmp_path: Path) -> None:
    program = "\n".join(cells("code"))
    assert '"trials": 16' in program
    with ServerProcess(tmp_path / "notebook.db", tmp_path / "serve.log", port=0, processes=1) as server:
        done = subprocess.run(
            [sys.executable, "-"],
            input=program.replace('"trials": 16', '"trials": 4'),  # for want of time
            cwd=tmp_path,
            env=os.environ | {"POCKETFORMER_URL": server.url},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^trial +\d+: error rate", done.stdout, re.MULTILINE)) == 4
    assert "succeeded" in done.stdout
    assert re.search(r"^parameters .* agrees$", done.stdout, re.MULTILINE)


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(cells("markdown")))
    assert links
    assert all((NOTEBOOK.parent / link).is_file() for link in links)
