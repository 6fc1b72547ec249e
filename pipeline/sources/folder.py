"""Images as files below a folder, targets as files beside them."""

from pathlib import PurePosixPath

from pipeline.errors import PlanError
from pipeline.plan import PlannedImage
from pipeline.spec import DatasetSpec
from pipeline.storage import Storage, StoredObject
from pipeline.uris import glob_base, shown

_PLACEHOLDERS = ("{relpath}", "{stem}")


def list_images(dataset: DatasetSpec, storage: Storage) -> list[PlannedImage]:
    """List a dataset's images in byte order of their URIs, each with its target.

    Args:
        dataset: Its `images` is a glob, or a folder, which means every file below it. In
            `targets`, `{stem}` stands for an image's file name without extension, `{relpath}`
            for its path below the glob's fixed part, without extension.
        storage: Access to both.

    Raises:
        PlanError: There are no images, or a target is missing and `targets_missing` is "error".
        StorageError: A location cannot be listed.
    """
    base = glob_base(dataset.images)
    images = storage.find(dataset.images)
    if not images:
        raise PlanError(
            dataset.name, f"no images at {shown(dataset.images)}; check the folder and the pattern"
        )
    targets = _find_targets(dataset, storage)
    planned = []
    for image in images:
        key = _key(image.uri, base)
        target = targets.get(_target_uri(dataset.targets, key)) if dataset.targets else None
        planned.append(PlannedImage(key=key, image=image, target=target))
    if dataset.targets and dataset.targets_missing == "error":
        _check_targets(dataset, planned)
    return planned


def folder_uri(dataset: DatasetSpec) -> str:
    """Return the folder that a dataset's images lie below."""
    return glob_base(dataset.images)


def _key(uri: str, base: str) -> str:
    """Return an image's path below the base, without its extension."""
    relative = PurePosixPath(uri[len(base) :].lstrip("/"))
    return str(relative.with_suffix("")) if relative.suffix else str(relative)


def _target_uri(pattern: str, key: str) -> str:
    return pattern.replace("{relpath}", key).replace("{stem}", key.rpartition("/")[2])


def _find_targets(dataset: DatasetSpec, storage: Storage) -> dict[str, StoredObject]:
    """List what the target pattern can mean, at once: asking image by image would take hours."""
    if not dataset.targets:
        return {}
    folder = dataset.targets
    for placeholder in _PLACEHOLDERS:
        folder = folder.partition(placeholder)[0]
    folder = folder.rpartition("/")[0]
    return {target.uri: target for target in storage.find(folder)}


def _check_targets(dataset: DatasetSpec, planned: list[PlannedImage]) -> None:
    missing = [image for image in planned if image.target is None]
    if missing:
        first = missing[0]
        expected = _target_uri(dataset.targets or "", first.key)
        raise PlanError(
            dataset.name,
            f"{len(missing)} of {len(planned)} images have no target; the first is "
            f"{shown(first.image.uri)}, whose target would be {shown(expected)}. Mend the "
            "`targets` pattern, add the files, or set `targets_missing: row` to score the others",
        )
