"""Fields of a KubeRay manifest, as far as ours uses them: names and types of the published CRDs.

Of KubeRay 1.5.1 (`rayjobs.ray.io`, version v1) all fields of the levels that KubeRay itself defines
are here, and of Kubernetes' own levels (pods, containers) those in use. Nothing else is allowed.
"""

from typing import Any

import jsonschema

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
COUNT = {"type": "integer", "minimum": 0}
FLAG = {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
ANYTHING = {"type": "object"}
QUANTITY = {"type": ["integer", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?$"}


def one_of(*values: str) -> dict[str, Any]:
    """Return the schema of a text that is one of some values."""
    return {"type": "string", "enum": list(values)}


def record(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of a mapping with these fields and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def list_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
RESOURCES = record({"limits": QUANTITIES, "requests": QUANTITIES})
METADATA = record({"name": TEXT, "namespace": TEXT, "labels": TEXTS, "annotations": TEXTS})
NAMED = record({"name": TEXT, "optional": FLAG}, "name")
KEY_OF = record({"name": TEXT, "key": TEXT, "optional": FLAG}, "name", "key")
VALUE_FROM = record({"secretKeyRef": KEY_OF, "configMapKeyRef": KEY_OF})
ENV = list_of(record({"name": TEXT, "value": TEXT, "valueFrom": VALUE_FROM}, "name"))
ENV_FROM = list_of(record({"prefix": TEXT, "secretRef": NAMED, "configMapRef": NAMED}))
VOLUME_MOUNTS = list_of(
    record(
        {"name": TEXT, "mountPath": TEXT, "readOnly": FLAG, "subPath": TEXT}, "name", "mountPath"
    )
)
CONTAINER = record(
    {
        "name": TEXT,
        "image": TEXT,
        "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
        "env": ENV,
        "envFrom": ENV_FROM,
        "ports": list_of(record({"name": TEXT, "containerPort": COUNT}, "containerPort")),
        "resources": RESOURCES,
        "volumeMounts": VOLUME_MOUNTS,
    },
    "name",
    "image",
)
TOLERATION = record(
    {
        "key": TEXT,
        "operator": one_of("Exists", "Equal"),
        "value": TEXT,
        "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    }
)
VOLUME = record({"name": TEXT, "configMap": NAMED}, "name")
POD = record(
    {
        "restartPolicy": one_of("Always", "OnFailure", "Never"),
        "nodeSelector": TEXTS,
        "tolerations": list_of(TOLERATION),
        "serviceAccountName": TEXT,
        "containers": {**list_of(CONTAINER), "minItems": 1},
        "volumes": list_of(VOLUME),
    },
    "containers",
)
POD_TEMPLATE = record({"metadata": METADATA, "spec": POD}, "spec")
AUTOSCALER = record(
    {
        "resources": RESOURCES,
        "image": TEXT,
        "imagePullPolicy": TEXT,
        "securityContext": ANYTHING,
        "idleTimeoutSeconds": COUNT,
        "upscalingMode": one_of("Default", "Aggressive", "Conservative"),
        "version": one_of("v1", "v2"),
        "env": ENV,
        "envFrom": ENV_FROM,
        "volumeMounts": VOLUME_MOUNTS,
    }
)
HEAD_GROUP = record(
    {
        "template": POD_TEMPLATE,
        "headService": ANYTHING,
        "enableIngress": FLAG,
        "labels": TEXTS,
        "resources": TEXTS,
        "rayStartParams": TEXTS,
        "serviceType": TEXT,
    },
    "template",
)
WORKER_GROUP = record(
    {
        "suspend": FLAG,
        "groupName": TEXT,
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "idleTimeoutSeconds": COUNT,
        "labels": TEXTS,
        "resources": TEXTS,
        "rayStartParams": TEXTS,
        "template": POD_TEMPLATE,
        "scaleStrategy": ANYTHING,
        "numOfHosts": COUNT,
    },
    "groupName",
    "minReplicas",
    "maxReplicas",
    "template",
)
RAY_CLUSTER = record(
    {
        "suspend": FLAG,
        "managedBy": TEXT,
        "autoscalerOptions": AUTOSCALER,
        "authOptions": record({"mode": one_of("disabled", "token")}),
        "headServiceAnnotations": TEXTS,
        "enableInTreeAutoscaling": FLAG,
        "gcsFaultToleranceOptions": ANYTHING,
        "headGroupSpec": HEAD_GROUP,
        "rayVersion": TEXT,
        "workerGroupSpecs": list_of(WORKER_GROUP),
    },
    "headGroupSpec",
)
RAY_JOB = record(
    {
        "apiVersion": one_of("ray.io/v1"),
        "kind": one_of("RayJob"),
        "metadata": METADATA,
        "spec": record(
            {
                "activeDeadlineSeconds": COUNT,
                "backoffLimit": COUNT,
                "rayClusterSpec": RAY_CLUSTER,
                "submitterPodTemplate": POD_TEMPLATE,
                "metadata": TEXTS,
                "clusterSelector": TEXTS,
                "submitterConfig": record({"backoffLimit": COUNT}),
                "managedBy": TEXT,
                "deletionStrategy": ANYTHING,
                "entrypoint": TEXT,
                "runtimeEnvYAML": TEXT,
                "jobId": TEXT,
                "submissionMode": one_of(
                    "K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"
                ),
                "entrypointResources": TEXT,
                "entrypointNumCpus": NUMBER,
                "entrypointNumGpus": NUMBER,
                "ttlSecondsAfterFinished": COUNT,
                "shutdownAfterJobFinishes": FLAG,
                "suspend": FLAG,
            }
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
CONFIG_MAP = record(
    {
        "apiVersion": one_of("v1"),
        "kind": one_of("ConfigMap"),
        "metadata": METADATA,
        "data": TEXTS,
    },
    "apiVersion",
    "kind",
    "metadata",
    "data",
)


def check_manifest(documents: list[dict[str, Any]]) -> None:
    """Raise ValidationError unless these are a ConfigMap and a RayJob as published."""
    for document, schema in zip(documents, (CONFIG_MAP, RAY_JOB), strict=True):
        jsonschema.validate(document, schema)
