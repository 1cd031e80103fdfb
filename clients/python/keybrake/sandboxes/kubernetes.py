# SPDX-License-Identifier: Apache-2.0
"""Kubernetes, with CoreV1Api and NetworkingV1Api of the kubernetes package: a NetworkPolicy that
lets the pod reach keybrake alone, a Secret, and the pod that has it as variables.  (For an init
container that issues by itself see docs/recipes/kubernetes.md.)"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from ..duration import Duration
from ..errors import KeybrakeError
from .common import Broker, Request, Spawned, refuse_given
from .common import spawn as _spawn

LABEL = "keybrake/key"
Object = Dict[str, Any]
GONE = 404


def _name(key_id: str) -> str:
    """A name that Kubernetes takes; lower case would let two ids collide."""
    return "keybrake-" + key_id.encode().hex()


def _peers(broker: Broker, broker_pods: Optional[Object]) -> List[Object]:
    if broker_pods is not None:
        return [broker_pods]
    if broker.cidr is None:
        raise KeybrakeError("a NetworkPolicy knows no names: keybrake's URL needs an address, or "
                            "give broker_pods, its selector")
    return [{"ipBlock": {"cidr": broker.cidr}}]


def _policy(name: str, labels: Mapping[str, str], to: List[Object], port: int,
            dns: bool) -> Object:
    egress: List[Object] = [{"to": to, "ports": [{"protocol": "TCP", "port": port}]}]
    if dns:
        egress.append({
            "to": [{"namespaceSelector": {"matchLabels": {
                "kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
            "ports": [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]})
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": {"podSelector": {"matchLabels": dict(labels)},
                     "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": egress}}


def _pod(pod: Mapping[str, Any], name: str, labels: Mapping[str, str], lifetime_s: int) -> Object:
    """The caller's, made to end with its lifetime and without the cluster's own credentials."""
    spec, metadata = dict(pod["spec"]), dict(pod.get("metadata", {}))
    refuse_given(spec, ["activeDeadlineSeconds"], "the sandbox's lifetime says it")
    containers = [{**c, "envFrom": [*c.get("envFrom", []), {"secretRef": {"name": name}}]}
                  for c in spec["containers"]]
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, **metadata,
                         "labels": {**metadata.get("labels", {}), **labels}},
            "spec": {"restartPolicy": "Never", "enableServiceLinks": False, **spec,
                     "containers": containers, "automountServiceAccountToken": False,
                     "activeDeadlineSeconds": lifetime_s}}


def spawn(core: Any, networking: Any, *, pod: Mapping[str, Any], lifetime: Duration,
          namespace: str = "default", broker_pods: Optional[Object] = None, dns: bool = False,
          timeout: float = 30.0, **options: Any) -> Spawned[Any]:
    """`pod` is metadata and spec as they stand in a manifest."""
    pod_name = pod.get("metadata", {}).get("name")
    wait = {"_request_timeout": timeout}

    def create(request: Request) -> Any:
        name = _name(request.label)
        labels = {LABEL: name}
        broker = request.broker
        networking.create_namespaced_network_policy(
            namespace, _policy(name, labels, _peers(broker, broker_pods), broker.port, dns), **wait)
        core.create_namespaced_secret(namespace, {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels},
            "type": "Opaque", "immutable": True, "stringData": request.env}, **wait)
        return core.create_namespaced_pod(namespace, _pod(pod, name, labels, request.lifetime_s),
                                          **wait)

    def remove(label: str) -> None:
        name = _name(label)
        failures: List[Exception] = []
        steps: List[Callable[[], Any]] = [
            lambda: core.delete_namespaced_pod(pod_name or name, namespace,
                                               grace_period_seconds=0, **wait),
            lambda: core.delete_namespaced_secret(name, namespace, **wait),
            lambda: networking.delete_namespaced_network_policy(name, namespace, **wait)]
        for step in steps:
            try:
                step()
            except Exception as error:
                if getattr(error, "status", None) != GONE:
                    failures.append(error)
        if failures:
            raise failures[0]

    spawned = _spawn(create, lambda made: remove(spawned.keys[0].id), lifetime=lifetime,
                     sweep=remove, **options)
    return spawned
