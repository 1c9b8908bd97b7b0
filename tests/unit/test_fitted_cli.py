"""`nas device fit`: what it prints and writes, and what it refuses."""

import json
import re

import pytest
import typer
from fitted_rows import hat_csv, made_up
from typer.testing import CliRunner

from nas.cli.fit import EPILOG, fit
from nas.errors import InvalidInput
from nas.latency.fitted.document import FittedLatency


@pytest.fixture
def run(tmp_path):
    rows, latencies = made_up(300, noise=0.005)
    latencies[40:90] *= 1.4
    (tmp_path / "rows.csv").write_bytes(hat_csv(rows, latencies))
    app = typer.Typer()
    app.command("fit", epilog=EPILOG)(fit)
    app.command("other")(lambda: None)  # else typer leaves out the command's name

    def invoke(*arguments):
        result = CliRunner().invoke(app, ["fit", "pi", "--from", str(tmp_path / "rows.csv"), *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_the_report_names_the_block_and_the_errors(run):
    text = run("--rows", "50").stdout
    assert re.search(r"41 +90 +50 +\+(39|40)\.\d %", text)
    assert "rows that were not fitted" in text
    assert "50 fitted" in text


def test_json_and_the_file_are_the_same_document(run, tmp_path):
    out, plot = tmp_path / "pi.json", tmp_path / "pi.html"
    result = run("--json", "--out", str(out), "--plot", str(plot))
    assert json.loads(result.stdout) == json.loads(out.read_text())
    assert FittedLatency.from_dict(json.loads(out.read_text())).device == "pi"
    page = plot.read_text()
    assert "<html" in page
    assert "rows 41 to 90" in page


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--unit", "hours"), "--unit"),
        (("--unit", "ns"), "rows.csv, latency_mean_encoder"),
        (("--rows", "290"), "--rows"),
        (("--rows", "10"), "rows"),
        (("--out", "/nowhere/pi.json"), "out"),
    ],
)
def test_bad_input_is_refused_by_name(run, arguments, field):
    with pytest.raises(InvalidInput) as caught:
        run(*arguments)
    assert caught.value.problems[0].field.startswith(field)


def test_help_has_an_example(run):
    assert "nas device fit pi --from rows.csv" in " ".join(run("--help").stdout.split())
