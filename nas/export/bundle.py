"""The bundle: one zip with everything that a model needs where it is deployed, and what was checked of it.

It holds the configuration, the search space and the job, the weights, programs for each runtime and precision, the
vocabulary, a report of every check, a README made for the model, and a script that checks all of it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.architecture import Architecture
from nas.documents import to_yaml, validate
from nas.errors import InvalidInput, PocketformerError
from nas.export.bundle_checks import DEPLOYED, Kind, examples_of, latency_here, missing, quality_by, written_by
from nas.export.bundle_readme import readme
from nas.export.bundle_report import BundleReport, LeftOut, ProgramRecord, TensorRecord, TransformersCheck
from nas.export.config import Config, software
from nas.export.deployed import deployed
from nas.export.programs import Program, write_programs
from nas.export.rebuild import check_weights
from nas.export.transformers_form import form_of, write_transformers
from nas.export.weights import load_weights
from nas.latency.runtimes import runtime
from nas.models import EncoderDecoderModel, Model, build_model

SCRIPT = '''"""Build this model anew and hold it, its programs and its numbers against what this bundle records.

    python rebuild.py            needs the package pocketformer, and executorch for the .pte files
    python rebuild.py --help
"""

from pathlib import Path

from nas.export.bundle_verify import main

raise SystemExit(main(Path(__file__).parent))
'''
ALWAYS = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a bundle, so that equal contents make equal bytes."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Contents:
    """What a bundle is made of."""

    config: Mapping[str, Any]
    """The configuration document."""
    weights: bytes | None
    """As safetensors; without them the programs are of the untrained model."""
    documents: Mapping[str, Any] = field(default_factory=dict)
    """More documents by the name of their file, e.g. `job`: each becomes `job.yaml`."""
    measure: bool = True
    """Whether promised latencies of this machine are measured anew."""


def write_bundle(contents: Contents, target: Path, progress: Progress | None = None) -> BundleReport:
    """Write a bundle and return its report; `progress` is called with (what, done, total).

    The file has its name only when it is whole. Programs that do not compute what torch computes, or whose runtime is
    not installed here, are left out, and the report says why. Raises `InvalidInput` for weights that are not those of
    the configuration, `PocketformerError` where no program could be made at all.
    """
    tell = progress or (lambda *_: None)
    config = validate(Config, dict(contents.config), "config")
    if contents.weights is not None:
        check_weights(config, contents.weights)
    architecture = Architecture.from_dict(config.architecture, "config.architecture")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory(prefix="pocketformer-bundle-") as directory:
            folder = Path(directory)
            report = _make(contents, config, architecture, folder, tell)
            files = _texts(contents, config, report) | {
                str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()
            }
            _zip(files, architecture.id, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return report


def _make(contents: Contents, config: Config, architecture: Architecture, folder: Path, tell: Progress) -> BundleReport:
    """Write every program into a folder and check it."""
    written, left_out = _programs(contents, config, architecture, folder, tell)
    if not written:
        raise PocketformerError(
            "No program of this model could be made: "
            + "; ".join(f"{each.runtime}: {each.reason}" for each in left_out)
        )
    model = build_model(architecture, seed=0).eval()
    if contents.weights is not None:
        load_weights(model, contents.weights)
    by_kind: dict[Kind, Model] = {
        kind: deployed(architecture, config.workload, programs, kind[0]) for kind, programs in written.items()
    }
    examples = examples_of(config)
    quality = quality_by(examples, model, by_kind, tell) if contents.weights is not None else None
    form, form_note = _transformers(model, folder / "transformers")
    return BundleReport(
        transformers=form,
        transformers_note=form_note,
        programs=tuple(_record(program, kind, folder) for kind, programs in written.items() for program in programs),
        left_out=tuple(left_out),
        quality=quality,
        quality_note=None if quality else examples.note or "the model is not trained",
        written=written_by(examples, config.workload, model, by_kind, tell),
        latency=latency_here(architecture, config.workload, config.latency, tell) if contents.measure else (),
        software=software(),
    )


def _programs(
    contents: Contents, config: Config, architecture: Architecture, folder: Path, tell: Progress
) -> tuple[dict[Kind, tuple[Program, ...]], list[LeftOut]]:
    written: dict[Kind, tuple[Program, ...]] = {}
    left_out: list[LeftOut] = []
    for done, (runtime_name, precision) in enumerate(DEPLOYED):
        tell("programs", done, len(DEPLOYED))
        reason = missing(runtime_name)
        if reason is None:
            place = folder / "programs" / runtime_name / precision
            place.mkdir(parents=True)
            try:
                written[runtime_name, precision] = write_programs(
                    architecture,
                    contents.weights,
                    place / f"model{runtime(runtime_name).suffix}",
                    config.workload,
                    runtime_name=runtime_name,
                    precision=precision,
                )
                continue
            except InvalidInput:
                raise
            except PocketformerError as error:
                reason = str(error)
        left_out.append(LeftOut(runtime=runtime_name, precision=precision, reason=reason))
    tell("programs", len(DEPLOYED), len(DEPLOYED))
    return written, left_out


def _transformers(model: Model, folder: Path) -> tuple[TransformersCheck | None, str | None]:
    """Write the form of `transformers`, if the model has an equal there; else return why not."""
    if isinstance(model, EncoderDecoderModel):
        return None, "it has no encoder–decoder that computes the same"
    try:
        difference = write_transformers(model, folder)
    except InvalidInput as error:
        first = error.problems[0]
        return None, f"it has no model that computes the same: {first.field} is {first.value}, not {first.allowed}"
    except PocketformerError as error:
        return None, str(error)
    return TransformersCheck(model_class=form_of(model.architecture).model_class, difference=difference), None


def _record(program: Program, kind: Kind, folder: Path) -> ProgramRecord:
    chosen = runtime(kind[0])
    return ProgramRecord(
        file=program.path.relative_to(folder).as_posix(),
        runtime=kind[0],
        runtime_version=chosen.version(),
        precision=kind[1],
        phase=program.phase,
        inputs=tuple(TensorRecord(name=n, type=of, shape=shape) for n, (of, shape) in program.inputs.items()),
        outputs=program.outputs,
        size_bytes=program.size_bytes,
        sha256=hashlib.sha256(program.path.read_bytes()).hexdigest(),
        difference=program.difference,
        allowed=chosen.tolerance(kind[1]),
    )


def _texts(contents: Contents, config: Config, report: BundleReport) -> dict[str, bytes | Path]:
    """Return the files that are not programs, by name."""
    document = dict(contents.config)
    if "weights" in document:  # they are here: nobody needs the address of a service that may be gone
        document["weights"] = {n: value for n, value in document["weights"].items() if n != "href"}
    files: dict[str, bytes | Path] = {
        "README.md": readme(config, report, list(contents.documents)).encode(),
        "config.yaml": to_yaml(document).encode(),
        "report.json": report.to_json().encode(),
        "rebuild.py": SCRIPT.encode(),
    }
    files |= {f"{name}.yaml": to_yaml(document).encode() for name, document in contents.documents.items()}
    data = config.dataset
    for name in ("vocabulary", "output_vocabulary"):
        described = None if data is None else getattr(data, name)
        if described:
            files[f"{name}.json"] = (json.dumps(described, ensure_ascii=False, indent=1) + "\n").encode()
    if contents.weights is not None:
        files["model.safetensors"] = contents.weights
    return files


def _zip(files: Mapping[str, bytes | Path], folder: str, target: Path) -> None:
    """Write files into a zip, all in one folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            what = files[name]
            entry = zipfile.ZipInfo(f"{folder}/{name}", ALWAYS)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, what if isinstance(what, bytes) else what.read_bytes())
