"""The fingerprint: what decides the bytes of a job's results, and how two of them differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.spec.job_spec import JobSpec

FUSING_RULE = "quarter-bicubic-mean/1"  # changes with anything that changes a label
SCORING_RULE = "masks/1"  # changes with anything that changes what a mask is taken to say
AVERAGING_RULE = "softmax-stride4-bilinear-mean/2"  # changes with anything that changes a label
TABLE_VERSION = 2  # of the mask table

Fingerprint = Mapping[str, Any]


def differences(found: Fingerprint, expected: Fingerprint) -> list[str]:
    """Say where two fingerprints differ, each place as `field: value there, value here`."""
    there, here = dict(_leaves(found)), dict(_leaves(expected))
    return [
        f"{path}: {json.dumps(there.get(path))} there, {json.dumps(here.get(path))} here"
        for path in sorted(there.keys() | here.keys())
        if there.get(path) != here.get(path)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each scalar of nested mappings and lists with its path."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}[{position}]")
    else:
        yield path, value


def digest_of(fingerprint: Any) -> str:
    """Return the SHA-256 of a fingerprint, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def segmenting_fingerprint(spec: JobSpec, checkpoint_sha256: str, precision: str) -> dict[str, Any]:
    """Return what decides the labels of a network."""
    return {
        "model": spec.network.name,
        "num_classes": spec.network.num_classes,
        "poolings": spec.network.poolings,
        "improved_pooling": spec.network.improved_pooling,
        "checkpoint_sha256": checkpoint_sha256,
        "precision": precision,
        "scales": list(spec.inference.scales),
        "flip": spec.inference.flip,
        "protocol": spec.inference.protocol,
        "averaging": AVERAGING_RULE,
        "batch_pixels": spec.inference.batch_pixels,
        "max_pixels_per_pass": spec.inference.max_pixels_per_pass,
        "probabilities": spec.inference.probabilities,
    }


def fusing_fingerprint(outputs: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return what decides the labels of averaged probabilities.

    Args:
        outputs: Of each output that is averaged the `digest_of` its fingerprint, and its weight.
    """
    return {
        "fusing": FUSING_RULE,
        "fused": [{"fingerprint_sha256": digest, "weight": weight} for digest, weight in outputs],
    }


def scoring_fingerprint(spec: JobSpec) -> dict[str, Any]:
    """Return what decides the labels of masks that exist already."""
    return {
        "scoring": SCORING_RULE,
        "predictions": {
            dataset.name: dataset.predictions and dataset.predictions.model_dump(mode="json")
            for dataset in spec.datasets
        },
    }


def common_fingerprint(spec: JobSpec) -> dict[str, Any]:
    """Return what decides the results of any job."""
    return {
        "boundary_iou": spec.metrics.boundary_iou,
        "datasets": [
            {
                "name": dataset.name,
                "format": dataset.format,
                "images": dataset.images,
                "targets": dataset.targets,
                "members": dataset.members and dataset.members.model_dump(mode="json"),
                "columns": dataset.columns and dataset.columns.model_dump(mode="json"),
                "labels": dataset.labels.model_dump(mode="json"),
                "decode": dataset.decode.model_dump(mode="json", exclude={"timeout_s"}),
                "classes": list(dataset.label_set().classes),
                "colours": [list(colour) for colour in dataset.label_set().colours],
                "ignore_index": dataset.label_set().ignore_index,
                "encoding": dataset.label_set().encoding,
            }
            for dataset in spec.datasets
        ],
        "part_images": spec.part_images,
        "part_bytes": int(spec.part_bytes),
        "limit_images": spec.limit_images,
        "table_version": TABLE_VERSION,
    }
