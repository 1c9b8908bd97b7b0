"""deploy/kubernetes without a cluster: beside the Compose file, probed at a real service, rendered by kubectl."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_service import serving
from processes import free_port, until
from test_compose import COMPOSE, interpolated
from test_compose import SERVICES as COMPOSED

from api.settings import PREFIX, Settings

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
ADMIN_KEY = "0123456789abcdef" * 4


def _documents() -> Iterator[dict[str, Any]]:
    for name in KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


MANIFESTS = {(document["kind"], document["metadata"]["name"]): document for document in _documents()}
DASK: dict[str, Any] = MANIFESTS["DaskCluster", "dask"]["spec"]
PODS: dict[str, dict[str, Any]] = {
    "postgres": MANIFESTS["StatefulSet", "postgres"]["spec"]["template"]["spec"],
    "api": MANIFESTS["Deployment", "api"]["spec"]["template"]["spec"],
    "worker-on-dask": MANIFESTS["Deployment", "worker"]["spec"]["template"]["spec"],
    "dask-scheduler": DASK["scheduler"]["spec"],
    "dask-worker": DASK["worker"]["spec"],
}
"""By the name that the Compose file has for each."""
CONTAINERS: dict[str, dict[str, Any]] = {name: pod["containers"][0] for name, pod in PODS.items()}
OURS = [name for name in PODS if name != "postgres"]
SECRETS = dict(
    line.split("=", 1)
    for line in (FOLDER / "secrets.env.example").read_text().splitlines()
    if line[:1] not in ("", "#")
)


def environment(name: str) -> dict[str, str]:
    """Return a container's variables, secrets as `$(KEY)` and settings as the ConfigMap has them."""
    settings = MANIFESTS["ConfigMap", "pocketformer"]["data"]
    found: dict[str, str] = {}
    for variable in CONTAINERS[name].get("env", []):
        source = variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            found[variable["name"]] = f"$({source['secretKeyRef']['key']})"
        elif "configMapKeyRef" in source:
            found[variable["name"]] = settings[source["configMapKeyRef"]["key"]]
        else:
            found[variable["name"]] = variable["value"]
    return found


def composed_environment(name: str) -> dict[str, str]:
    """Return what the Compose file gives a service, secrets as `$(KEY)` too."""
    declared = COMPOSED[name].get("environment", {})
    return {
        key: interpolated(re.sub(r"\$\{(POSTGRES_PASSWORD|POCKETFORMER_ADMIN_KEY)[^}]*\}", r"$(\1)", str(value)))
        for key, value in declared.items()
    }


@pytest.mark.parametrize("name", OURS)
def test_the_commands_are_those_of_the_compose_file(name: str) -> None:
    container, service = CONTAINERS[name], COMPOSED[name]
    assert container.get("command", ["nas"]) == service.get("entrypoint", ["nas"])
    expected = list(service["command"])
    if name == "dask-worker":  # a pod each, under the operator's name for it
        assert expected[4:6] == ["--nworkers", "2"]
        expected = [*expected[:5], "1", *expected[6:], "--name", "$(DASK_WORKER_NAME)"]
    assert container["args"] == expected


@pytest.mark.parametrize("name", OURS)
def test_the_environment_is_that_of_the_compose_file(name: str) -> None:
    ours, theirs = environment(name), composed_environment(name)
    passwords = {"POSTGRES_PASSWORD"} if "POCKETFORMER_DATABASE_URL" in theirs else set()
    assert set(ours) == set(theirs) | passwords
    its_own = {"POCKETFORMER_ALLOWED_HOSTS"}  # names of the cluster instead of none
    assert {key: ours[key] for key in set(theirs) - its_own} == {key: theirs[key] for key in set(theirs) - its_own}
    assert {key for key in ours if key.startswith(PREFIX)} <= {
        PREFIX + field.upper() for field in Settings.model_fields
    }


def test_the_password_stands_before_the_address_that_takes_it() -> None:
    for name in ("api", "worker-on-dask"):  # Kubernetes puts in only what it has read by then
        names = list(environment(name))
        assert names.index("POSTGRES_PASSWORD") < names.index("POCKETFORMER_DATABASE_URL")


def test_the_database_is_that_of_the_compose_file() -> None:
    assert CONTAINERS["postgres"]["image"] == COMPOSED["postgres"]["image"]
    ours = environment("postgres")
    folder = ours.pop("PGDATA")
    assert ours == composed_environment("postgres")
    (mount,) = CONTAINERS["postgres"]["volumeMounts"]
    assert mount["mountPath"] == COMPOSED["postgres"]["volumes"][0].split(":")[1]
    assert Path(folder).parent == Path(mount["mountPath"])


def test_every_key_of_a_secret_or_config_map_is_one_that_exists() -> None:
    (generated,) = KUSTOMIZATION["secretGenerator"]
    assert KUSTOMIZATION["generatorOptions"]["disableNameSuffixHash"] is True
    settings = MANIFESTS["ConfigMap", "pocketformer"]
    used: set[str] = set()
    for name in PODS:
        for variable in CONTAINERS[name].get("env", []):
            for kind, reference in variable.get("valueFrom", {}).items():
                keys, of = (
                    (SECRETS, generated["name"]) if kind == "secretKeyRef" else (settings["data"], "pocketformer")
                )
                assert reference["name"] == of
                assert reference["key"] in keys
                used.add(reference["key"])
    assert used == set(SECRETS) | set(settings["data"])
    assert set(SECRETS.values()) == {""}  # nobody's password is everybody's
    assert "secrets.env" in (FOLDER.parents[1] / ".gitignore").read_text().split()


def test_what_code_runs_on_is_told_no_secret_and_no_account_of_the_cluster() -> None:
    assert all(name.startswith("DASK_DISTRIBUTED__") for name in environment("dask-scheduler"))
    assert environment("dask-worker") == {**environment("dask-scheduler"), "XDG_CACHE_HOME": "/cache"}
    for pod in PODS.values():
        assert pod["automountServiceAccountToken"] is False


def test_nobody_but_nas_worker_and_the_operator_reaches_dask() -> None:
    policy = MANIFESTS["NetworkPolicy", "dask"]["spec"]
    assert policy["podSelector"]["matchLabels"] == {
        "dask.org/cluster-name": MANIFESTS["DaskCluster", "dask"]["metadata"]["name"]
    }
    (rule,) = policy["ingress"]
    pods = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
    worker = MANIFESTS["Deployment", "worker"]["spec"]["template"]["metadata"]["labels"]
    assert pods == [policy["podSelector"]["matchLabels"], worker]
    assert (
        DASK["scheduler"]["service"]["type"]
        == MANIFESTS["Service", "postgres"]["spec"].get("type", "ClusterIP")
        == "ClusterIP"
    )


def test_services_lead_to_the_ports_and_pods_that_they_name() -> None:
    services = {name: manifest["spec"] for (kind, name), manifest in MANIFESTS.items() if kind == "Service"}
    services["dask-scheduler"] = DASK["scheduler"]["service"]
    to = {"pocketformer": "api", "postgres": "postgres", "dask-scheduler": "dask-scheduler"}
    assert set(services) == set(to)
    for name, service in services.items():
        ports = {port["name"]: port["containerPort"] for port in CONTAINERS[to[name]]["ports"]}
        assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    for kind, name in (("Deployment", "api"), ("StatefulSet", "postgres")):
        labels = MANIFESTS[kind, name]["spec"]["template"]["metadata"]["labels"]
        assert MANIFESTS[kind, name]["spec"]["selector"]["matchLabels"] == labels
        assert services["pocketformer" if name == "api" else name]["selector"] == labels


def test_ports_agree_with_the_commands_that_listen_on_them() -> None:
    for name, port in (("api", "http"), ("dask-scheduler", "tcp-comm")):
        args = CONTAINERS[name]["args"]
        ports = {entry["name"]: entry["containerPort"] for entry in CONTAINERS[name]["ports"]}
        assert str(ports[port]) == args[args.index("--port") + 1]
    health = COMPOSED["dask-scheduler"]["healthcheck"]["test"][-1]
    probed = CONTAINERS["dask-scheduler"]["readinessProbe"]["httpGet"]
    assert f":8787{probed['path']}'" in health
    cluster = MANIFESTS["DaskCluster", "dask"]["metadata"]["name"]
    assert f"tcp://{cluster}-scheduler:8786" in CONTAINERS["worker-on-dask"]["args"]  # the operator's name for it


def test_resources_are_stated_and_an_evaluation_has_one_core_and_one_thread() -> None:
    for container in CONTAINERS.values():
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
    args = CONTAINERS["dask-worker"]["args"]
    for option in ("--nthreads", "--nworkers"):
        assert args[args.index(option) + 1] == "1"
    resources = CONTAINERS["dask-worker"]["resources"]
    assert resources["requests"]["cpu"] == resources["limits"]["cpu"] == "1"
    at_once = CONTAINERS["worker-on-dask"]["args"]
    assert at_once[at_once.index("--processes") + 1] == str(DASK["worker"]["replicas"])


def test_claims_are_those_that_pods_mount_and_all_share_the_cache() -> None:
    for name in ("worker-on-dask", "dask-worker"):
        (volume,) = PODS[name]["volumes"]
        claim = MANIFESTS["PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]]
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        (mount,) = CONTAINERS[name]["volumeMounts"]
        assert mount == {"name": volume["name"], "mountPath": environment(name)["XDG_CACHE_HOME"]}
        assert f"{volume['name']}:{mount['mountPath']}" in COMPOSED[name]["volumes"]
        assert volume["name"] in COMPOSE["volumes"]


def test_no_variable_of_a_service_is_taken_for_a_setting() -> None:
    # Kubernetes tells pods of the Service `pocketformer` as POCKETFORMER_PORT=tcp://…, which is a setting's name
    assert ("Service", "pocketformer") in MANIFESTS
    assert PREFIX + "PORT" in {PREFIX + field.upper() for field in Settings.model_fields}
    for name in OURS:
        assert PODS[name]["enableServiceLinks"] is False


def test_pods_may_run_where_the_pod_security_standard_is_restricted() -> None:
    for name in OURS:
        assert PODS[name]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert CONTAINERS[name]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_pods_run_as_the_images_own_user() -> None:
    uid = re.search(r"useradd .*--uid (\d+)", (FOLDER.parents[1] / "Dockerfile").read_text())
    assert uid
    for name in OURS:
        context = PODS[name]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == int(uid[1])


def test_probes_are_answered_by_a_service_that_asks_for_keys(tmp_path: Path) -> None:
    hosts = tuple(json.loads(environment("api")["POCKETFORMER_ALLOWED_HOSTS"]))
    probes = {kind: CONTAINERS["api"][f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    with serving(tmp_path / "x.db", allowed_hosts=hosts, admin_key=ADMIN_KEY) as service:
        for probe in probes.values():
            headers = {header["name"]: header["value"] for header in probe["httpHeaders"]}
            assert service.client.get(probe["path"], headers=headers).status_code == 200
            assert service.client.get(probe["path"], headers={"Host": "10.1.2.3:8000"}).status_code == 421
        for host in hosts:
            key = {"Authorization": f"Bearer {ADMIN_KEY}"}
            assert service.client.get("/metrics", headers={"Host": f"{host}:8000", **key}).status_code == 200


def test_every_manifest_is_in_the_kustomization() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="renders with kubectl, which is not installed")
def test_kubectl_makes_of_it_what_the_files_say(tmp_path: Path) -> None:
    folder = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, folder)
    lines = (f"{key}=secret-{key}" for key in SECRETS)
    (folder / "secrets.env").write_text("\n".join(lines))
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    made = {(document["kind"], document["metadata"]["name"]): document for document in yaml.safe_load_all(done.stdout)}
    assert set(made) == set(MANIFESTS) | {("Secret", "pocketformer")}
    assert set(made["Secret", "pocketformer"]["data"]) == set(SECRETS)
    (image,) = KUSTOMIZATION["images"]
    ours = re.findall(r"image: (pocketformer\S*)", done.stdout)
    assert ours == [f"{image['newName']}:{image['newTag']}"] * len(OURS)  # in the DaskCluster, too
    namespaces = {document["metadata"].get("namespace") for key, document in made.items() if key[0] != "Namespace"}
    assert namespaces == {KUSTOMIZATION["namespace"]} == {MANIFESTS["Namespace", "pocketformer"]["metadata"]["name"]}


def test_dasks_commands_start_and_the_worker_has_the_operators_name(tmp_path: Path) -> None:
    from distributed import Client  # noqa: PLC0415  (it is slow to import, and one test's alone)

    address = f"127.0.0.1:{free_port()}"
    here = {
        "dask-scheduler:8786": address,
        "0.0.0.0": "127.0.0.1",
        "8786": address.partition(":")[2],
        "$(DASK_WORKER_NAME)": "dask-default-worker-0a1b2c",
    }
    with ExitStack() as running:
        for name in ("dask-scheduler", "dask-worker"):
            container = CONTAINERS[name]
            words = [*container["command"], *container["args"]]
            for old, new in here.items():
                words = [word.replace(old, new) for word in words]
            log = running.enter_context((tmp_path / f"{name}.log").open("wb"))
            command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
            running.callback(process.wait, 30)
            running.callback(process.terminate)
        until(lambda: "Registered to" in (tmp_path / "dask-worker.log").read_text(), 60)
        with Client(f"tcp://{address}") as client:
            workers = client.scheduler_info()["workers"].values()
    assert [(worker["name"], worker["nthreads"]) for worker in workers] == [("dask-default-worker-0a1b2c", 1)]
