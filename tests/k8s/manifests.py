"""Rendered manifests, and what schemas do not see in them. Each check answers what is wrong, in words."""

import base64
import re
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from stack.embedded import program

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = "1.37.0"

# Manifests are whatever YAML says: this is the edge.
Resource = dict[str, Any]
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {
    "m": Decimal("0.001"), None: Decimal(1), "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12, "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}  # fmt: skip


def render(folder: Path) -> list[Resource]:
    """What `kubectl apply -k` would send."""
    done = subprocess.run([program("kubectl"), "kustomize", str(folder)], check=True, capture_output=True, text=True)
    return [resource for resource in yaml.safe_load_all(done.stdout) if resource]


def name(resource: Resource) -> str:
    return f"{resource['kind']}/{resource['metadata']['name']}"


def of_kind(resources: list[Resource], *kinds: str) -> list[Resource]:
    return [resource for resource in resources if resource["kind"] in kinds]


def workloads(resources: list[Resource]) -> list[Resource]:
    return of_kind(resources, "Deployment", "StatefulSet", "Job")


def pod(workload: Resource) -> Resource:
    spec: Resource = workload["spec"]["template"]["spec"]
    return spec


def containers(resources: list[Resource]) -> Iterator[tuple[Resource, Resource]]:
    for workload in workloads(resources):
        for container in pod(workload)["containers"] + pod(workload).get("initContainers", []):
            yield workload, container


def values(resources: list[Resource], kind: str, called: str) -> dict[str, str]:
    """A ConfigMap's or Secret's values."""
    found = [one for one in of_kind(resources, kind) if one["metadata"]["name"] == called]
    data: dict[str, str] = found[0].get("data", {}) if found else {}
    return {key: base64.b64decode(text).decode() for key, text in data.items()} if kind == "Secret" else data


def environment(resources: list[Resource], container: Resource) -> dict[str, str]:
    """The variables as the container gets them; what cannot be resolved is left out."""
    known: dict[str, str] = {}
    for variable in container.get("env", []):
        text = _resolve(resources, variable)
        if text is not None:
            expanded = re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), text)
            known[variable["name"]] = expanded
    return known


def _resolve(resources: list[Resource], variable: Resource) -> str | None:
    if "value" in variable:
        return str(variable["value"])
    source = variable.get("valueFrom", {})
    for kind, reference in (("Secret", source.get("secretKeyRef")), ("ConfigMap", source.get("configMapKeyRef"))):
        if reference:
            return values(resources, kind, reference["name"]).get(reference["key"])
    return "resolved-by-the-cluster"


def quantity(text: object) -> Decimal | None:
    """A quantity as a number, or None where it is none: `128Mb` is the usual slip."""
    match = _QUANTITY.fullmatch(str(text))
    return Decimal(match[1]) * _UNITS[match[2]] if match else None


def schema(resources: list[Resource]) -> list[str]:
    """A kind without schema counts: it would not have been looked at."""
    problems = []
    for resource in resources:
        try:
            kubernetes_validate.validate(resource, VERSION, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            problems.append(f"{name(resource)}: {error}")
    return problems


def mounts(resources: list[Resource]) -> list[str]:
    problems = []
    for workload in workloads(resources):
        volumes = {volume["name"] for volume in pod(workload).get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        used = {mount["name"] for one in pod(workload)["containers"] for mount in one.get("volumeMounts", [])}
        problems += [f"{name(workload)}: no volume {missing}" for missing in used - volumes - claims]
        problems += [f"{name(workload)}: the volume {idle} is not mounted" for idle in (volumes | claims) - used]
        for volume in pod(workload).get("volumes", []):
            problems += _dangling(resources, workload, volume)
    return problems


def _dangling(resources: list[Resource], workload: Resource, volume: Resource) -> list[str]:
    wanted = {
        "ConfigMap": volume.get("configMap", {}).get("name"),
        "PersistentVolumeClaim": volume.get("persistentVolumeClaim", {}).get("claimName"),
    }
    there = {name(resource) for resource in resources}
    return [
        f"{name(workload)}: no {kind}/{one}" for kind, one in wanted.items() if one and f"{kind}/{one}" not in there
    ]


def quantities(resources: list[Resource]) -> list[str]:
    problems = []
    for workload, container in containers(resources):
        limits, requests = (container.get("resources", {}).get(part, {}) for part in ("limits", "requests"))
        problems += [f"{name(workload)}: no {one} request" for one in ("cpu", "memory") if one not in requests]
        problems += [] if "memory" in limits else [f"{name(workload)}: no memory limit"]
        for key, asked in requests.items():
            low, high = quantity(asked), quantity(limits.get(key, asked))
            if low is None or high is None or low > high:
                problems.append(f"{name(workload)}: {key} {asked}, at most {limits.get(key)}")
    for workload in workloads(resources):
        sizes = [volume.get("emptyDir", {}).get("sizeLimit", "1") for volume in pod(workload).get("volumes", [])]
        problems += [f"{name(workload)}: size {size}" for size in sizes if quantity(size) is None]
    return problems


def selectors(resources: list[Resource]) -> list[str]:
    pods = [workload["spec"]["template"]["metadata"]["labels"] for workload in workloads(resources)]
    asked = [
        *((one, {"matchLabels": one["spec"]["selector"]}) for one in of_kind(resources, "Service")),
        *((one, one["spec"]["selector"]) for one in of_kind(resources, "PodDisruptionBudget")),
        *((one, peer) for one in of_kind(resources, "NetworkPolicy") for peer in _policy_selectors(one["spec"])),
    ]
    idle = [f"{name(who)} selects no pod" for who, selector in asked if not any(matches(selector, one) for one in pods)]
    return idle + [
        f"{name(workload)} does not select its own pods"
        for workload in of_kind(resources, "Deployment", "StatefulSet")
        if not matches(workload["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"])
    ]


def _policy_selectors(spec: Resource) -> Iterator[Resource]:
    yield spec["podSelector"]
    for rule in spec.get("ingress", []) + spec.get("egress", []):
        for peer in rule.get("from", []) + rule.get("to", []):
            # A peer in another namespace is not ours to know.
            if "podSelector" in peer and "namespaceSelector" not in peer:
                yield peer["podSelector"]


def matches(selector: Resource, labels: dict[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    among = (labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))
    return exact and all(among)


def ports(resources: list[Resource]) -> list[str]:
    problems = []
    for workload, container in containers(resources):
        named = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            action = container.get(probe, {})
            port = action.get("httpGet", action.get("tcpSocket", {})).get("port")
            if port is not None and port not in named:
                problems.append(f"{name(workload)}: the {probe} asks the unknown port {port}")
        told = environment(resources, container)
        listening = told.get("DBIFY_PORT") or told.get("DBIFY_HEALTH_PORT")
        if listening and int(listening) not in named.values():
            problems.append(f"{name(workload)}: it listens on {listening}, which is not declared")
    for service in of_kind(resources, "Service"):
        problems += _unserved(resources, service)
    return problems


def _unserved(resources: list[Resource], service: Resource) -> list[str]:
    selector = {"matchLabels": service["spec"]["selector"]}
    served = {
        port["name"]
        for workload, container in containers(resources)
        if matches(selector, workload["spec"]["template"]["metadata"]["labels"])
        for port in container.get("ports", [])
    }
    wanted = {port["targetPort"] for port in service["spec"]["ports"]}
    return [f"{name(service)}: no pod has the port {port}" for port in wanted - served]


def references(resources: list[Resource]) -> list[str]:
    """Every key of a ConfigMap or Secret that a container is given exists."""
    return [
        f"{name(workload)}: nothing to take {variable['name']} from"
        for workload, container in containers(resources)
        for variable in container.get("env", [])
        if _resolve(resources, variable) is None
    ]


def images(resources: list[Resource]) -> list[str]:
    return [
        f"{name(workload)}: the image {container['image']} is not pinned"
        for workload, container in containers(resources)
        if not re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"])
    ]


def security(resources: list[Resource]) -> list[str]:
    """Pod Security `restricted`, and more: a read-only root and no token."""
    problems = []
    for workload, container in containers(resources):
        outer, inner = pod(workload).get("securityContext", {}), container.get("securityContext", {})
        demands = {
            "runAsNonRoot": outer.get("runAsNonRoot") is True,
            "runAsUser": outer.get("runAsUser", 0) > 0,
            "seccompProfile": outer.get("seccompProfile") == {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": inner.get("allowPrivilegeEscalation") is False,
            "capabilities": inner.get("capabilities") == {"drop": ["ALL"]},
            "readOnlyRootFilesystem": inner.get("readOnlyRootFilesystem") is True,
            "automountServiceAccountToken": pod(workload).get("automountServiceAccountToken") is False,
        }
        problems += [f"{name(workload)}: {demand}" for demand, met in demands.items() if not met]
    for space in of_kind(resources, "Namespace"):
        if space["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            problems.append(f"{name(space)}: restricted is not enforced")
    return problems


def accounts(resources: list[Resource]) -> list[str]:
    there = {name(resource) for resource in of_kind(resources, "ServiceAccount")}
    wanted = {
        pod(workload)["serviceAccountName"]
        for workload in workloads(resources)
        if "serviceAccountName" in pod(workload)
    }
    return [f"no ServiceAccount/{account}" for account in wanted if f"ServiceAccount/{account}" not in there]


def replicas(resources: list[Resource]) -> list[str]:
    """Several replicas have a disruption budget; an engine that lives in its process has one at a time."""
    budgets = [one["spec"]["selector"] for one in of_kind(resources, "PodDisruptionBudget")]
    problems = []
    for workload in of_kind(resources, "Deployment"):
        count, strategy = workload["spec"]["replicas"], workload["spec"].get("strategy", {})
        labels = workload["spec"]["template"]["metadata"]["labels"]
        if (count > 1) is not any(matches(budget, labels) for budget in budgets):
            problems.append(f"{name(workload)}: {count} replicas and its disruption budget do not go together")
        told = environment(resources, pod(workload)["containers"][0])
        embedded = told.get("DBIFY_CLICKHOUSE_URL", "").startswith("chdb:")
        if embedded and (count, strategy) != (1, {"type": "Recreate"}):
            problems.append(f"{name(workload)}: ClickHouse inside it, and {count} replicas, {strategy}")
    return problems


CHECKS: tuple[Callable[[list[Resource]], list[str]], ...] = (
    schema, mounts, quantities, selectors, ports, images, security, accounts, replicas,
)  # fmt: skip
