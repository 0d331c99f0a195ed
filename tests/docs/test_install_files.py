"""The files to install with: each names the processes of the Procfile, and is what its own program takes.

Docker and Kubernetes are judged by their schemas, the image's file by hadolint, the units by systemd itself where it is
installed (`apt-get install systemd`).
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from core.version import VERSION
from tests.docs.pages import ROOT
from tools.local.project import read_procfile

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UNITS = sorted(path for path in (DEPLOY / "systemd").iterdir() if path.is_file())
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
# What is not started on a server for others: the sandbox rings nobody.
NOT_DEPLOYED = {"sandbox"}
# Kubernetes' oldest version that its makers still mend is newer than this.
KUBERNETES_VERSION = "1.30"


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def compose() -> dict[str, Any]:
    return documents(DEPLOY / "compose.yaml")[0]


def processes_on(road: str) -> set[str]:
    if road == "compose":
        services = compose()["services"] | documents(DEPLOY / "compose.sip.yaml")[0]["services"]
        return {"".join(service["command"]) for service in services.values() if _is_ours(service)}
    if road == "kubernetes":
        pods = [
            one for path in KUBERNETES.glob("*.yaml") for one in documents(path) if "template" in one.get("spec", {})
        ]
        return {"".join(pod["spec"]["template"]["spec"]["containers"][0]["args"]) for pod in pods}
    return set(re.findall(r"trunkline@(\w+)\.service", (DEPLOY / "systemd/trunkline.target").read_text()))


def _is_ours(service: dict[str, Any]) -> bool:
    return str(service.get("image", "")).startswith("trunkline:")


@pytest.mark.parametrize("road", ["compose", "kubernetes", "systemd"])
def test_each_road_runs_every_process(road):
    # Flower has no login, and only systemd starts it on loopback.
    expected = set(read_procfile()) - NOT_DEPLOYED - ({"flower"} if road != "systemd" else set())
    assert processes_on(road) - {"prepare"} == expected


WAITED_FOR = {"web", "events", "sipgateway"}
IN_THE_BACKGROUND = {"control", "dispatch", "dial", "webhooks", "load"}


def weights(road: str) -> dict[str, float]:
    """Return by process what it gets of cores that are short."""
    if road == "compose":
        services = compose()["services"] | documents(DEPLOY / "compose.sip.yaml")[0]["services"]
        return {"".join(one["command"]): one["cpu_shares"] for one in services.values() if _is_ours(one)}
    if road == "kubernetes":
        pods = [
            pod for path in KUBERNETES.glob("*.yaml") for pod in documents(path) if "template" in pod.get("spec", {})
        ]
        containers = [pod["spec"]["template"]["spec"]["containers"][0] for pod in pods]
        return {"".join(one["args"]): int(one["resources"]["requests"]["cpu"].removesuffix("m")) for one in containers}
    units = {name: [DEPLOY / "systemd/trunkline@.service"] for name in WAITED_FOR | IN_THE_BACKGROUND}
    for name in WAITED_FOR:
        units[name].append(DEPLOY / f"systemd/trunkline@{name}.service.d/weight.conf")
    texts = {name: "".join(path.read_text() for path in paths) for name, paths in units.items()}
    return {name: int(re.findall(r"^CPUWeight=(\d+)$", text, re.MULTILINE)[-1]) for name, text in texts.items()}


@pytest.mark.parametrize("road", ["compose", "kubernetes", "systemd"])
def test_what_somebody_waits_for_gets_three_times_as_much_of_a_core(road):
    given = weights(road)
    least, most = min(given[name] for name in WAITED_FOR), max(given[name] for name in IN_THE_BACKGROUND)
    assert 2.9 <= least / most <= 5
    assert len({given[name] for name in IN_THE_BACKGROUND}) == 1, "dialing is no more urgent than its outcomes"


def server_weights(road: str) -> set[int]:
    if road == "compose":
        return {compose()["services"][name]["cpu_shares"] for name in ("postgres", "valkey")}
    files = [
        DEPLOY / "systemd" / unit / "trunkline.conf" for unit in ("system-postgresql.slice.d", "redis-server.service.d")
    ]
    return {
        int(weight) for file in files for weight in re.findall(r"^CPUWeight=(\d+)$", file.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("road", ["compose", "systemd"])
def test_servers_get_three_times_as_much_as_who_waits_for_them_first(road):
    """All of their sessions together: those of web would wait behind those of workers."""
    assert server_weights(road) == {3 * weights(road)["web"]}


def test_weights_of_units_are_beside_those_of_servers():
    """Which are units of system.slice. Those of a template are in a slice of their own, if nothing else is said."""
    lines = (DEPLOY / "systemd/trunkline@.service").read_text().splitlines()
    assert "Slice=system.slice" in lines[lines.index("[Service]") : lines.index("[Install]")]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.sip.yaml"])
def test_compose_files_fit_their_schema(name):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def manifests() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.name}-{number}", document)
        for path in sorted(KUBERNETES.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for number, document in enumerate(documents(path))
    ]


@pytest.mark.parametrize(("name", "manifest"), manifests(), ids=lambda value: value if isinstance(value, str) else "")
def test_manifests_fit_kubernetes_schema(name, manifest):
    kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)


def test_kustomize_names_every_manifest():
    listed = set(documents(KUBERNETES / "kustomization.yaml")[0]["resources"])
    apart = {"kustomization.yaml", "secret.example.yaml", "sipgateway.yaml"}
    assert listed == {path.name for path in KUBERNETES.glob("*.yaml")} - apart


def test_what_all_deployments_are_given_fits_them():
    """Kustomize merges by the container's name: one that is called otherwise would run without settings."""
    patch = yaml.safe_load(documents(KUBERNETES / "kustomization.yaml")[0]["patches"][0]["patch"])
    shared = patch["spec"]["template"]["spec"]
    for _, manifest in manifests():
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            assert container["name"] == shared["containers"][0]["name"]
            merged = shared | {"containers": [shared["containers"][0] | container]}
            full = manifest | {"spec": manifest["spec"] | {"template": manifest["spec"]["template"] | {"spec": merged}}}
            kubernetes_validate.validate(full, KUBERNETES_VERSION, strict=True)


def test_hadolint_finds_nothing_in_the_images_file():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_every_package_of_the_product():
    """`.dockerignore` lets in what is named, so a new package would be missing."""
    named = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "tools"}
    assert packages <= named
    assert {"Procfile", "manage.py", "requirements*.lock", "tools/local"} <= named


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path):
    """As installed: the program and its user are there, so that only what is wrong in the units is said."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/trunkline/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("User=trunkline", "User=root"))
    instance = tmp_path / "trunkline@web.service"
    instance.write_text((tmp_path / "trunkline@.service").read_text())
    names = [tmp_path / unit.name for unit in UNITS if "@" not in unit.name]
    done = subprocess.run(
        [str(SYSTEMD_ANALYZE), "verify", "--man=no", instance, *names], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "trunkline" in line and "not found" not in line]
    assert (ours, done.returncode) == ([], 0), done.stderr


def test_the_version_is_the_same_everywhere():
    """A release is one commit: the changelog's newest section, the manifests and the pages have its number."""
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    assert kustomization["images"][0]["newTag"] == VERSION
    gateway = documents(KUBERNETES / "sipgateway.yaml")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert gateway.endswith(f":{VERSION}")
    for page in ("install-systemd.md", "install-kubernetes.md"):
        assert VERSION in (ROOT / "docs/operator" / page).read_text(), page


@pytest.mark.parametrize(("name", "program"), [("web", "gunicorn"), ("dial", "celery")])
def test_run_becomes_the_process(name, program, tmp_path):
    """The command of the Procfile replaces the program: signals and the exit code are then the process's own."""
    (tmp_path / program).write_text("#!/bin/sh\necho $$\nexit 7\n")
    (tmp_path / program).chmod(0o755)
    script = (
        "import os, tools.local.run as run\n"
        f"run.operator_environment = lambda project: os.environ | {{'PATH': '{tmp_path}:/usr/bin:/bin'}}\n"
        f"print(os.getpid(), flush=True)\nrun.main(['{name}'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT)
    own, of_the_process = done.stdout.splitlines()
    assert of_the_process == own
    assert done.returncode == 7
