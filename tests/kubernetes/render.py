"""Renders the Helm chart and the Kustomize example, and checks every object against Kubernetes' schemas.

    target/kubernetes/bin/python tests/kubernetes/render.py FOLDER [CHART]

CHART is a packed chart; without it, that of the checkout is taken. Writes what was rendered into FOLDER, a file for each case, for the tests that look further. The library of Helm is a real
one, and so is kubectl; nothing is asked of a network. Exit code 1, with a line for each problem, if anything is wrong.
"""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml
from helm_python import Chart, HelmError, chart

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "deploy/helm/ringway"
# The oldest that the chart allows, and the newest that is known here.
KUBERNETES = ["1.29", "1.37"]
EVERYTHING = {
    "daemonset": {
        "enabled": True,
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "high",
        "podAnnotations": {"a": "b"},
    },
    "memcached": {
        "antiAffinity": "hard",
        "handoverSeconds": 480,
        "extraArgs": ["-I", "2m"],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "podAnnotations": {"a": "b"},
    },
    "imagePullSecrets": [{"name": "pull"}],
    "networkPolicy": {"enabled": True},
    "podMonitor": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "selector": {"cached": "yes"},
        "namespaceSelector": {"any": True},
    },
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
}
OWN_POOLS = {
    "memcached": {"enabled": False},
    "config": {"pools": {"main": {"distribution": "ringway", "nodes": ["10.0.0.1:11211", "10.0.0.2:11211"]}}},
}
CASES = {"default": {}, "everything": EVERYTHING, "own-pools": OWN_POOLS}
# Values that must be refused, and what the refusal names.
REFUSED = [
    ({"memcached": {"replicas": 0}}, "replicas"),
    ({"memcached": {"antiAffinity": "maybe"}}, "antiAffinity"),
    ({"memcached": {"handoverSeconds": "8m"}}, "handoverSeconds"),
    ({"deamonset": {"enabled": True}}, "deamonset"),
    ({"podMonitor": {"interval": "often"}}, "interval"),
    ({"memcached": {"enabled": False}}, "config.pools"),
]
# An application's chart that depends on this one.
PARENT = {
    "Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: ringway, version: 0.x.x}]\n",
    "templates/shop.yaml": """apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      initContainers:
        {{- include "ringway.sidecar" .Subcharts.ringway | nindent 8 }}
      containers:
        - {name: shop, image: "shop:1"}
      volumes:
        {{- include "ringway.volume" .Subcharts.ringway | nindent 8 }}
---
{{ include "ringway.configmap" (list .Subcharts.ringway "another") }}
""",
}

problems = []


def main():
    folder = pathlib.Path(sys.argv[1])
    report = chart.lint(CHART, strict=True, kube_version=f"v{KUBERNETES[0]}.0")
    problems.extend(f"lint: {message}" for message in report["messages"] if message["severity"] > 1)
    problems.extend(f"lint: {error}" for error in report["errors"])
    with Chart.load(CHART) as ringway:
        for name, values in CASES.items():
            keep(folder, name, render(ringway, values))
        for values, named in REFUSED:
            try:
                ringway.render(values, name="shop", namespace="cache")
                problems.append(f"{values} is not refused")
            except HelmError as error:
                if named not in str(error):
                    problems.append(f"{values}: {named} is not named in {error}")
    keep(folder, "parent", parent())
    kubectl = pathlib.Path(sys.executable).parent / "kubectl"
    example = subprocess.run(
        [kubectl, "kustomize", ROOT / "deploy/kustomize/example"], capture_output=True, text=True, check=True
    )
    keep(folder, "kustomize", example.stdout)
    check("pod", (ROOT / "deploy/kubernetes/pod.yaml").read_text())
    print("\n".join(problems))
    sys.exit(bool(problems))


def render(loaded, values):
    files = loaded.render(values, name="shop", namespace="cache")
    return "\n---\n".join(text for path, text in files.items() if path.endswith(".yaml"))


def parent():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "shop"
        for path, text in PARENT.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        with Chart.load(CHART) as ringway:
            (root / "charts").mkdir()
            ringway.save(root / "charts")
        with Chart.load(root) as shop:
            return render(shop, {})


def keep(folder, name, text):
    (folder / f"{name}.yaml").write_text(text)
    check(name, text)


def check(name, text):
    for document in yaml.safe_load_all(text):
        # Kubernetes has no schema for the kinds of Prometheus' operator.
        if document and not document["apiVersion"].startswith("monitoring.coreos.com/"):
            for version in KUBERNETES:
                validate(name, document, version)


def validate(name, document, version):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            kubernetes_validate.validate(document, version, strict=True)
    except Exception as error:  # its own and that of its schemas
        place = f"{name}: {document['kind']} {document['metadata']['name']}, Kubernetes {version}"
        problems.append(f"{place}: {error}")


main()
