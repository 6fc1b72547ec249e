"""The files that start clusters: valid by what reads them, and saying what the project needs."""

import copy
import re
import tomllib
from pathlib import Path

import botocore.session
import click
import jsonschema
import pytest
import yaml
from botocore.validate import ParamValidator
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kuberay_fields import check_manifest
from pipeline import JobSpec

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = ROOT / "jobs" / "clusters"
AWS, ON_PREMISE = ROOT / "cluster.yaml", CLUSTERS / "on-premise.yaml"
KUBERAY, DOCKERFILE = CLUSTERS / "kuberay.yaml", CLUSTERS / "Dockerfile"
# Ray's schema lets a provider have any field; these are what its providers of 2.60 look at.
PROVIDER_FIELDS = {
    "aws": {"type", "region", "availability_zone", "cache_stopped_nodes", "use_internal_ips"},
    "local": {"type", "head_ip", "worker_ips", "coordinator_address"},
}
REFUSALS = (
    jsonschema.ValidationError,
    ValueError,
    NotImplementedError,
    click.ClickException,
    AssertionError,
)
CREDENTIAL = re.compile(
    r"(AKIA|ASIA)[A-Z0-9]{16}|-----BEGIN|(secret|password|token)\w*\s*[:=]\s*[A-Za-z0-9+/]{16,}",
    re.IGNORECASE,
)


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check_for_ray_up(config):
    """Check a file as `ray up` does, and what Ray leaves for AWS to find."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    unknown = config["provider"].keys() - PROVIDER_FIELDS[config["provider"]["type"]]
    assert not unknown, f"no field of the provider: {unknown}"
    for name, kind in prepared["available_node_types"].items():
        assert kind["min_workers"] <= kind["max_workers"], f"{name}: min_workers above max_workers"
        if config["provider"]["type"] == "aws":
            check_instance(name, kind["node_config"])
    return prepared


def check_instance(name, node_config):
    """Check a node's settings by the fields and instance types that EC2's interface has."""
    model = botocore.session.get_session().get_service_model("ec2")
    asked = model.operation_model("RunInstances").input_shape
    report = ParamValidator().validate({**node_config, "MinCount": 1, "MaxCount": 1}, asked)
    assert not report.has_errors(), f"{name}: {report.generate_report()}"
    kinds = asked.members["InstanceType"].enum
    assert node_config["InstanceType"] in kinds, f"{name}: no such instance type"


@pytest.mark.parametrize("path", [AWS, ON_PREMISE], ids=lambda path: path.name)
def test_ray_up_takes_the_cluster_files(path):
    check_for_ray_up(read(path))


def _rename(mapping, name, other):
    mapping[other] = mapping.pop(name)


BROKEN = {  # what is done to the file, and words of the refusal
    "a number that is text": (lambda c: c.update(max_workers="twenty"), "'twenty' is not of type"),
    "a misspelt field": (lambda c: _rename(c, "file_mounts", "files_mount"), "files_mount"),
    "a misspelt field of a node type": (
        lambda c: _rename(c["available_node_types"]["gpu_spot"], "min_workers", "min_worker"),
        "'min_worker' was unexpected",
    ),
    "a misspelt field of the provider": (
        lambda c: _rename(c["provider"], "region", "regoin"),
        "regoin",
    ),
    "a misspelt field of an instance": (
        lambda c: _rename(c["available_node_types"]["cpu"]["node_config"], "ImageId", "ImageID"),
        'Unknown parameter in input: "ImageID"',
    ),
    "an instance type that is none": (
        lambda c: c["available_node_types"]["cpu"]["node_config"].update(InstanceType="m7i.huge"),
        "cpu: no such instance type",
    ),
    "a head type that is none": (lambda c: c.update(head_node_type="haed"), "head_node_type"),
    "no type of provider": (lambda c: c["provider"].update(type="awz"), "awz"),
    "more at least than at most": (
        lambda c: c["available_node_types"]["cpu"].update(min_workers=3),
        "cpu: min_workers above max_workers",
    ),
    "more at least than all at most": (
        lambda c: (
            c["available_node_types"]["gpu_spot"].update(min_workers=8) or c.update(max_workers=7)
        ),
        "smaller than the sum of `min_workers`",
    ),
    "a resource that is no count": (
        lambda c: c["available_node_types"]["head"].update(resources={"CPU": "none"}),
        "'none' is not of type 'integer'",
    ),
    "a command that is no list": (
        lambda c: c.update(initialization_commands="sudo true"),
        "'sudo true' is not of type 'array'",
    ),
    "a container without an image": (
        lambda c: c["docker"].pop("worker_image"),
        "container & image name",
    ),
}


@pytest.mark.parametrize(("damage", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_cluster_file_is_refused(damage, words):
    config = read(AWS)
    damage(config)

    with pytest.raises(REFUSALS, match=re.escape(words)):
        check_for_ray_up(config)


def test_a_broken_file_of_own_machines_is_refused():
    for damage, words in (
        (lambda c: c["provider"].update(worker_ips="192.0.2.11"), "is not of type 'array'"),
        (lambda c: _rename(c["provider"], "worker_ips", "worker_ip"), "list of `worker_ips`"),
        (lambda c: c["auth"].update(ssh_key="~/.ssh/id_ed25519"), "'ssh_key' was unexpected"),
    ):
        config = read(ON_PREMISE)
        damage(config)

        with pytest.raises(REFUSALS, match=re.escape(words)):
            check_for_ray_up(config)


def test_the_cluster_on_aws_is_what_its_comments_say():
    config = check_for_ray_up(read(AWS))

    kinds = config["available_node_types"]
    head, spot, on_demand = kinds["head"], kinds["gpu_spot"], kinds["gpu_on_demand"]
    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0
    assert spot["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in on_demand["node_config"]
    assert spot["priority"] > on_demand["priority"]
    assert spot["min_workers"] == on_demand["min_workers"] == 0 < spot["max_workers"]
    assert spot["node_config"]["InstanceType"] == on_demand["node_config"]["InstanceType"]
    assert all("Name" in kind["node_config"]["IamInstanceProfile"] for kind in kinds.values())


@pytest.mark.parametrize("path", [AWS, ON_PREMISE], ids=lambda path: path.name)
def test_heads_do_no_work_and_tokens_are_asked_for(path):
    config = check_for_ray_up(read(path))

    [start_head] = [each for each in config["head_start_ray_commands"] if "ray start" in each]
    [start_worker] = [each for each in config["worker_start_ray_commands"] if "ray start" in each]
    options = " ".join(config["docker"].get("run_options", []))
    assert "--num-cpus=0" in start_head
    assert "--autoscaling-config=" in start_head
    assert "~/.ray/auth_token" in config["file_mounts"]
    for command in (start_head, start_worker):
        assert "RAY_AUTH_MODE=token" in command + options
        assert "--metrics-export-port=8080" in command


def test_the_manifest_has_the_fields_that_kuberay_publishes():
    check_manifest(list(yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))))


def _cluster(documents):
    return documents[1]["spec"]["rayClusterSpec"]


BROKEN_MANIFESTS = {
    "of a job": lambda d: _rename(d[1]["spec"], "entrypoint", "entryPoint"),
    "of a cluster": lambda d: _rename(
        _cluster(d), "enableInTreeAutoscaling", "enableInTreeAutoScaling"
    ),
    "of a group": lambda d: _rename(_cluster(d)["workerGroupSpecs"][0], "replicas", "replica"),
    "of a container": lambda d: _rename(
        _cluster(d)["headGroupSpec"]["template"]["spec"]["containers"][0], "envFrom", "envfrom"
    ),
    "of the autoscaler": lambda d: _rename(
        _cluster(d)["autoscalerOptions"], "idleTimeoutSeconds", "idleTimeoutSecond"
    ),
}


@pytest.mark.parametrize("damage", BROKEN_MANIFESTS.values(), ids=BROKEN_MANIFESTS)
def test_a_misspelt_field_of_the_manifest_is_refused(damage):
    documents = list(yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8")))
    damage(documents)

    with pytest.raises(jsonschema.ValidationError, match="was unexpected"):
        check_manifest(documents)


def test_a_value_of_the_wrong_type_in_the_manifest_is_refused():
    for damage, words in (
        (lambda d: _cluster(d)["workerGroupSpecs"][0].update(maxReplicas="8"), "'8' is not of"),
        (lambda d: _cluster(d)["headGroupSpec"].update(rayStartParams={"num-cpus": 0}), "0 is not"),
        (lambda d: _cluster(d)["authOptions"].update(mode="on"), "'on' is not one of"),
        (lambda d: d[1]["spec"].update(submissionMode="K8SJobMode"), "'K8SJobMode' is not one of"),
    ):
        documents = list(yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8")))
        damage(documents)

        with pytest.raises(jsonschema.ValidationError, match=re.escape(words)):
            check_manifest(documents)


def test_rays_autoscaler_takes_the_manifest_for_the_cluster_that_is_meant():
    """By the code that runs beside the head's pod and works out what each pod has."""
    from ray.autoscaler._private.kuberay.autoscaling_config import (
        _generate_available_node_types_from_ray_cr_spec as node_types,
    )

    _, job = yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))
    cluster = job["spec"]["rayClusterSpec"]

    kinds = node_types(cluster)

    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["authOptions"] == {"mode": "token"}
    assert kinds["headgroup"]["resources"]["CPU"] == 0
    assert "GPU" not in kinds["headgroup"]["resources"]
    assert kinds["gpu"]["resources"]["GPU"] == 1
    assert "GPU" not in kinds["cpu"]["resources"]
    assert kinds["gpu"]["min_workers"] == 0 < kinds["gpu"]["max_workers"]
    assert all(kind["min_workers"] <= kind["max_workers"] for kind in kinds.values())


def test_the_manifest_runs_a_valid_spec_that_is_where_it_looks_for_it():
    config_map, job = yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount], [volume] = head["containers"][0]["volumeMounts"], head["volumes"]

    spec = JobSpec.from_mapping(yaml.safe_load(config_map["data"]["spec.yaml"]))

    assert f"run {mount['mountPath']}/spec.yaml --address auto" in job["spec"]["entrypoint"]
    assert mount["name"] == volume["name"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    assert spec.resources.actors is not None
    assert (
        spec.resources.actors.max
        <= _cluster([config_map, job])["workerGroupSpecs"][0]["maxReplicas"]
    )


def test_every_pod_of_the_manifest_has_its_credentials_from_a_secret():
    _, job = yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))
    cluster = job["spec"]["rayClusterSpec"]

    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        assert "env" not in container
        assert container["envFrom"] == [{"secretRef": {"name": "refinenet-batch-storage"}}]


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, KUBERAY, DOCKERFILE], ids=lambda path: path.name)
def test_no_credential_stands_in_a_file(path):
    assert CREDENTIAL.search("aws_secret_access_key: abcdefghijklmnopqrst")
    assert not CREDENTIAL.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, KUBERAY], ids=lambda path: path.name)
def test_five_lines_are_marked_to_be_changed(path):
    marks = re.findall(r"# \((\d)\) change: ", path.read_text(encoding="utf-8"))

    assert sorted(marks) == list("12345")


def test_images_have_the_ray_and_the_python_that_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [ray] = [
        required for required in map(Requirement, project["dependencies"]) if required.name == "ray"
    ]
    tags = {
        (path.name, *found)
        for path in (AWS, KUBERAY, DOCKERFILE)
        for found in re.findall(
            r":(?:ray)?(\d+\.\d+\.\d+)-py(\d)(\d+)", path.read_text(encoding="utf-8")
        )
    }
    _, job = yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))

    assert {name for name, *_ in tags} == {"cluster.yaml", "kuberay.yaml", "Dockerfile"}
    for _, version, major, minor in tags:
        assert version in ray.specifier
        assert f"{major}.{minor}" in SpecifierSet(project["requires-python"])
    assert {version for _, version, *_ in tags} == {job["spec"]["rayClusterSpec"]["rayVersion"]}
