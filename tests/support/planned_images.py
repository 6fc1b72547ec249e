"""Plans of images that are made up, to be cut and read back."""

import pyarrow as pa

from pipeline.datasets.make_plan import plan_images
from pipeline.datasets.plan import LISTED_SCHEMA


def listed(sizes, *, first=0):
    """Return a list of images of these sizes; of one without a size nothing is there."""
    rows = [
        {
            "key": f"k{n}",
            "uri": f"s3://b/f/k{n}.png",
            "size_bytes": size,
            "stamp": None if size is None else f"e{n}",
        }
        for n, size in enumerate(sizes, first)
    ]
    return pa.Table.from_pylist(rows, schema=LISTED_SCHEMA)


def planned(sizes, *, part_images=3, part_bytes=100, first=0, after=None):
    """Return the plan of images of these sizes."""
    return plan_images(
        "d",
        "s3://b/f",
        listed(sizes, first=first),
        part_images=part_images,
        part_bytes=part_bytes,
        after=after,
    )
