"""deploy/kubernetes as kustomize puts it together, and questions about it."""

import functools
import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
# Binary and decimal units of a quantity; those of the program's and Valkey's options are binary.
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@functools.cache
def objects():
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of(kind):
    return {each["metadata"]["name"]: each for each in objects() if each["kind"] == kind}


def workloads():
    return {**of("StatefulSet"), **of("Deployment")}


def pod(workload):
    return workloads()[workload]["spec"]["template"]["spec"]


def labels(workload):
    return workloads()[workload]["spec"]["template"]["metadata"]["labels"]


def container(workload):
    (only,) = pod(workload)["containers"]
    return only


def selected(selector):
    """The workloads whose pods a selector finds."""
    wanted = selector.get("matchLabels", selector)
    return {name for name in workloads() if wanted.items() <= labels(name).items()}


def port_names(workload):
    return {port["name"]: port["containerPort"] for port in container(workload)["ports"]}


def options(workload):
    """{"--port": "8080", …} of a container whose arguments are --NAME=VALUE or --NAME VALUE."""
    return dict(re.findall(r"(--[\w-]+)(?:=|\n)(.*)", "\n".join(container(workload)["args"])))


def size(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", text).groups()
    return float(number) * UNITS[unit]


def option_size(text):
    number, unit = re.fullmatch(r"(\d+)([KMG])b?", text.upper().removesuffix("B")).groups()
    return float(number) * UNITS[unit + "i"]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]
