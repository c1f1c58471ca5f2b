import copy
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.config import PREFIX, load
from stack import nats_config
from stack.embedded import program
from tests.k8s import manifests
from tests.k8s.manifests import ROOT, Resource

SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__main__.py"))
LOCAL = ROOT / "k8s/overlays/local"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An overlay such as a user writes, with ClickHouse inside the logger."""
    copied = tmp_path_factory.mktemp("k8s")
    shutil.copytree(ROOT / "k8s", copied, dirs_exist_ok=True)
    overlay = copied / "overlays/small"
    overlay.mkdir()
    overlay.joinpath("kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        "resources: [../../base]\ncomponents: [../../components/embedded-clickhouse]\n"
    )
    return overlay


@pytest.fixture(scope="session")
def local() -> list[Resource]:
    return manifests.render(LOCAL)


@pytest.fixture(scope="session")
def base() -> list[Resource]:
    return manifests.render(ROOT / "k8s/base")


def found(resources: list[Resource]) -> list[str]:
    return [problem for check in manifests.CHECKS for problem in check(resources)]


def container(resources: list[Resource], service: str) -> Resource:
    deployment = next(one for one in manifests.of_kind(resources, "Deployment") if one["metadata"]["name"] == service)
    first: Resource = manifests.pod(deployment)["containers"][0]
    return first


def test_base_and_the_local_overlay_hold_together(base: list[Resource], local: list[Resource]) -> None:
    assert found(base) == []
    assert found(local) == []
    assert manifests.references(local) == []


def test_an_overlay_with_clickhouse_inside_the_logger_holds_together(small: Path) -> None:
    resources = manifests.render(small)
    assert found(resources) == []
    assert manifests.environment(resources, container(resources, "logger"))["DBIFY_CLICKHOUSE_URL"].startswith(
        "chdb:///"
    )


def test_every_service_that_runs_has_a_deployment_and_every_deployment_a_service(base: list[Resource]) -> None:
    assert sorted(one["metadata"]["name"] for one in manifests.of_kind(base, "Deployment")) == SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_on_what_its_container_is_told(local: list[Resource], service: str) -> None:
    config: type[msgspec.Struct] = importlib.import_module(f"services.{service}.config").Config
    told = manifests.environment(local, container(local, service))
    load(config, told)
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(config)}
    assert {variable for variable in told if variable.startswith(PREFIX)} - known == set()
    assert told["DBIFY_HOST"] == "0.0.0.0"
    assert f"{service}:local-{service}@" in told["DBIFY_NATS_URL"]


def test_the_nats_configuration_is_in_step_with_the_table_of_access() -> None:
    assert (ROOT / "k8s/base/nats.conf").read_text() == nats_config.for_a_cluster()


def test_the_nats_server_takes_its_configuration_and_environment(local: list[Resource]) -> None:
    server = next(one for one in manifests.of_kind(local, "StatefulSet") if one["metadata"]["name"] == "nats")
    told = manifests.environment(local, manifests.pod(server)["containers"][0])
    done = subprocess.run(
        [program("nats-server"), "--config", str(ROOT / "k8s/base/nats.conf"), "-t"],
        env={**told, "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_readme_names_every_secret_that_base_needs(base: list[Resource]) -> None:
    readme = (ROOT / "k8s/README.md").read_text()
    for _, one in manifests.containers(base):
        for variable in one.get("env", []):
            key = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key", "")
            user = key.removeprefix("nats-").removesuffix("-password")
            assert f"`{key}`" in readme or (key.startswith("nats-") and user in readme) or not key, key


def test_an_image_runs_as_the_user_that_its_pod_demands(base: list[Resource]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    ours = [work for work, one in manifests.containers(base) if one["image"].startswith("dbify/")]
    assert {manifests.pod(work)["securityContext"]["runAsUser"] for work in ours} == {10001}
    assert "USER 10001:10001" in dockerfile
    assert "--require-hashes" in dockerfile


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_needs_no_code_but_its_own_and_the_libraries(service: str, tmp_path: Path) -> None:
    """What the Dockerfile copies is enough to get as far as the settings."""
    (tmp_path / "services").mkdir()
    shutil.copytree(ROOT / "libs", tmp_path / "libs")
    shutil.copy(ROOT / "services/__init__.py", tmp_path / "services")
    shutil.copytree(ROOT / "services" / service, tmp_path / "services" / service)
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "DBIFY_NATS_URL is not set" in done.stderr


POD, ONE = "spec.template.spec", "spec.template.spec.containers.0"
NAMED = ("app.kubernetes.io/name", "gate")
SLIPS: list[tuple[str, str, str, tuple[str, object]]] = [
    ("an unknown field", "Deployment/gateway", "spec", ("replica", 2)),
    ("an unknown kind", "PodDisruptionBudget/gateway", "", ("kind", "PodDisruptionBugdet")),
    ("an unknown volume", "Deployment/gateway", f"{ONE}.volumeMounts.0", ("name", "tpm")),
    ("an unused volume", "Deployment/gateway", f"{POD}.volumes.0", ("name", "tpm")),
    ("an unknown ConfigMap", "StatefulSet/nats", f"{POD}.volumes.0.configMap", ("name", "nats-1")),
    ("128Mb", "Deployment/gateway", f"{ONE}.resources.requests", ("memory", "128Mb")),
    ("more asked than allowed", "Deployment/gateway", f"{ONE}.resources.requests", ("memory", "2Gi")),
    ("a service without pods", "Service/gateway", "spec.selector", NAMED),
    ("a policy without pods", "NetworkPolicy/gateway", "spec.podSelector.matchLabels", NAMED),
    ("a budget without pods", "PodDisruptionBudget/gateway", "spec.selector.matchLabels", NAMED),
    ("pods that are not its own", "Deployment/gateway", "spec.selector.matchLabels", NAMED),
    ("an unknown port", "Service/gateway", "spec.ports.0", ("targetPort", "htpp")),
    ("a probe of an unknown port", "Deployment/gateway", f"{ONE}.readinessProbe.httpGet", ("port", "htpp")),
    ("an undeclared port", "Deployment/gateway", f"{ONE}.ports.0", ("containerPort", 8001)),
    ("latest", "Deployment/gateway", ONE, ("image", "dbify/gateway:latest")),
    ("no tag", "Deployment/gateway", ONE, ("image", "registry:5000/dbify/gateway")),
    ("root", "Deployment/gateway", f"{POD}.securityContext", ("runAsUser", 0)),
    ("a writable root", "Deployment/gateway", f"{ONE}.securityContext", ("readOnlyRootFilesystem", False)),
    ("a token", "Deployment/gateway", POD, ("automountServiceAccountToken", True)),
    ("an unknown account", "Deployment/gateway", POD, ("serviceAccountName", "gate")),
    ("a baseline namespace", "Namespace/dbify", "metadata.labels", ("pod-security.kubernetes.io/enforce", "baseline")),
    ("one replica with a budget", "Deployment/gateway", "spec", ("replicas", 1)),
    ("two engines", "Deployment/logger", ONE, ("env", [{"name": "DBIFY_CLICKHOUSE_URL", "value": "chdb:///data"}])),
]


@pytest.mark.parametrize(("slip", "who", "where", "change"), SLIPS, ids=[slip[0] for slip in SLIPS])
def test_the_checks_see_a_slip(
    base: list[Resource], slip: str, who: str, where: str, change: tuple[str, object]
) -> None:
    broken = copy.deepcopy(base)
    part: Any = next(one for one in broken if manifests.name(one) == who)
    for step in filter(None, where.split(".")):
        part = part[int(step) if step.isdigit() else step]
    part.update([change])
    assert any(check(broken) for check in reversed(manifests.CHECKS)), slip


def test_a_secret_that_is_missing_is_seen(local: list[Resource]) -> None:
    broken = copy.deepcopy(local)
    manifests.of_kind(broken, "Secret")[0]["data"].pop("redis-url")
    assert manifests.references(broken) == ["Deployment/gateway: nothing to take DBIFY_REDIS_URL from"]
