"""The files that a dataset is given by: brace ranges and globs of tars, manifests, tables."""

from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.listing import StoredObject
from pipeline.storage.storage import Storage
from pipeline.storage.uris import expand_braces, has_wildcard, shown


def find_files(dataset: DatasetSpec, storage: Storage) -> list[StoredObject]:
    """Return the files that a dataset's `images` stands for, each once, in byte order.

    Raises:
        PlanError: There is none, or one that is named is not there.
        StorageError: A location cannot be looked at.
    """
    found: dict[str, StoredObject] = {}
    missing = []
    for pattern in expand_braces(dataset.images):
        if has_wildcard(pattern):
            found.update({file.uri: file for file in storage.find(pattern)})
            continue
        try:
            file = storage.stat(pattern)
            found[file.uri] = file
        except FileNotFoundError:
            missing.append(pattern)
    if missing:
        raise PlanError(
            dataset.name,
            f"{len(missing)} of the files named are not there, the first is {shown(missing[0])}; "
            "check the name, and the numbers of a range; of a folder, give what is in it: folder/*",
        )
    if not found:
        raise PlanError(dataset.name, f"no files at {shown(dataset.images)}; check the pattern")
    return [found[uri] for uri in sorted(found)]
