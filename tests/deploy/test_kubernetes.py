"""The manifests of deploy/kubernetes: rendered by kubectl, accepted by the schemas, and right for the server.

Nothing is applied to a cluster.
"""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

from compressor.v1 import compressor_pb2
from tests.deploy import sizing
from tests.deploy.real_prometheus import DEPLOY, tool

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATIONS = ["base", "autoscaling", "overlays/production", "overlays/envoy"]
COMPLETE = [name for name in KUSTOMIZATIONS if name != "autoscaling"]
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
SERVICE = compressor_pb2.DESCRIPTOR.services_by_name["CompressorService"].full_name
ADAPTER = yaml.safe_load((FOLDER / "autoscaling" / "prometheus-adapter.yaml").read_text())


@cache
def rendered(name: str) -> list[Any]:
    """Return the objects of a kustomization; kubectl must not warn of anything."""
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER / name)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return list(yaml.safe_load_all(done.stdout))


def objects(name: str, kind: str) -> dict[str, Any]:
    """Return the objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in rendered(name) if one["kind"] == kind}


def pod(name: str) -> Any:
    """Return the specification of the service's pods."""
    return objects(name, "Deployment")["compressor"]["spec"]["template"]["spec"]


def settings(name: str) -> dict[str, str]:
    """Return the variables of the service's container, from the ConfigMap that it names."""
    (source,) = pod(name)["containers"][0]["envFrom"]
    found: dict[str, str] = objects(name, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_the_schemas_of_kubernetes_accept_every_object(name: str, version: str) -> None:
    for one in rendered(name):
        kubernetes_validate.validate(one, version, strict=True)


def test_a_misspelled_field_is_found() -> None:
    (service,) = objects("base", "Service").values()

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            service | {"spec": service["spec"] | {"clusterIp": "None"}}, VERSIONS[0], strict=True
        )


@pytest.mark.parametrize("name", COMPLETE)
def test_sizes_follow_from_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sizing.server_config(settings(name), monkeypatch)
    resources = pod(name)["containers"][0]["resources"]
    spool = next(volume["emptyDir"] for volume in pod(name)["volumes"] if volume["name"] == "spool")

    sizing.assert_sizes(config, sizing.size(resources["limits"]["memory"]), pod(name)["terminationGracePeriodSeconds"])
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert "cpu" not in resources["limits"]
    assert isinstance(config.spool_budget, int) and "medium" not in spool
    volume_bytes = sizing.size(spool["sizeLimit"])
    assert config.spool_budget < volume_bytes <= sizing.size(resources["limits"]["ephemeral-storage"])


@pytest.mark.parametrize("name", COMPLETE)
def test_ports_and_folders_are_those_of_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sizing.server_config(settings(name), monkeypatch)
    (container,) = pod(name)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}

    assert config.address == f"0.0.0.0:{ports['grpc']}"
    assert config.metrics_address == f"0.0.0.0:{ports['metrics']}"
    assert config.spool_dir in mounted
    for file in (config.tls_cert, config.tls_key, config.token_file):
        assert file is None or str(Path(file).parent) in mounted
    assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in pod(name)["volumes"]}


@pytest.mark.parametrize("name", COMPLETE)
def test_a_kubelet_can_ask_the_probes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gRPC probes can't use TLS. Readiness is health under the service's name, and liveness without a name."""
    config = sizing.server_config(settings(name), monkeypatch)
    (container,) = pod(name)["containers"]
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}

    if config.tls_cert is None:
        ready = {"port": 50051, "service": SERVICE}
        assert {kind: probe["grpc"] for kind, probe in probes.items()} == {
            "startup": ready,
            "readiness": ready,
            "liveness": {"port": 50051},
        }
    else:
        paths = {kind: (probe["httpGet"]["path"], probe["httpGet"]["port"]) for kind, probe in probes.items()}
        ready_path = ("/readyz", "metrics")
        assert paths == {"startup": ready_path, "readiness": ready_path, "liveness": ("/healthz", "metrics")}
        assert not any("grpc" in probe for probe in probes.values())
    stop_seconds = config.drain_seconds + config.grace_seconds
    assert probes["liveness"]["periodSeconds"] * probes["liveness"]["failureThreshold"] > stop_seconds


@pytest.mark.parametrize("name", COMPLETE)
def test_pods_have_no_more_rights_than_they_need(name: str) -> None:
    for deployment in objects(name, "Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def selectors(name: str) -> list[dict[str, str]]:
    """Return the labels by which objects select pods of the same kustomization."""
    found: list[dict[str, str]] = [one["spec"]["selector"] for one in objects(name, "Service").values()]
    for one in [*objects(name, "PodDisruptionBudget").values(), *objects(name, "Deployment").values()]:
        found.append(one["spec"]["selector"]["matchLabels"])
    for policy in objects(name, "NetworkPolicy").values():
        peers = [peer for rule in policy["spec"]["egress"] for peer in rule["to"] if "podSelector" in peer]
        found += [one["podSelector"]["matchLabels"] for one in [policy["spec"], *peers]]
    return found


@pytest.mark.parametrize("name", COMPLETE)
def test_every_selector_selects_pods(name: str) -> None:
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in objects(name, "Deployment").values()]

    for selector in selectors(name):
        assert any(selector.items() <= labels.items() for labels in pods), selector


def test_envoy_alone_may_call_the_service_behind_it() -> None:
    policies = objects("overlays/envoy", "NetworkPolicy")
    calls, scrapes = policies["compressor"]["spec"]["ingress"]

    assert calls["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "compressor-envoy"}}}]
    assert "namespaceSelector" in scrapes["from"][0]
    assert (
        policies["compressor-envoy"]["spec"]["ingress"]
        == objects("base", "NetworkPolicy")["compressor"]["spec"]["ingress"][:1]
    )


def test_the_autoscaler_owns_the_number_of_pods() -> None:
    (scaler,) = objects("overlays/production", "HorizontalPodAutoscaler").values()
    deployment = objects("overlays/production", "Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]

    assert "replicas" not in deployment["spec"]
    assert [metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"] if metric["type"] == "Pods"] == [
        ADAPTER["rules"][0]["name"]["as"]
    ]


def test_the_adapter_computes_the_reserved_share_of_each_pod(tmp_path: Path) -> None:
    """Its template is filled in as for a query of two pods, and run by promtool."""
    query = ADAPTER["rules"][0]["metricsQuery"]
    query = query.replace("<<.LabelMatchers>>", 'namespace="images",pod=~"a|b"').replace("<<.GroupBy>>", "pod")
    series = [
        {"series": f'compressor_memory_{kind}_bytes{{namespace="images",pod="{pod}"}}', "values": values}
        for pod, reserved in (("a", "100x5"), ("b", "0 0 0 0 40 40"), ("c", "200x5"))
        for kind, values in (("budget", "200x5"), ("reserved", reserved))
    ]
    expected = [{"labels": '{pod="a"}', "value": 0.5}, {"labels": '{pod="b"}', "value": 0.2}]
    check = {"expr": query, "eval_time": "5m", "exp_samples": expected}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [check]}
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))

    done = subprocess.run([tool("promtool"), "test", "rules", str(path)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
