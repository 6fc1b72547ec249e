"""The segmenting stage: what a row says of a network's output, without Ray."""

import torch

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.part_name import Part
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.segmenter import Segmenter
from pipeline.storage.storage import Storage
from refinenet_core import build_model, published_state_dict
from tiny_job import MODEL


def rows_of(job):
    """Segment a job's first images as one part."""
    storage = Storage()
    maker = Segmenter(prepare_job(job.validated(), storage, gpus=0), storage, threads=1)
    images = [
        EncodedImage(
            index,
            path.stem,
            [],
            str(path),
            None,
            "ok",
            None,
            path.read_bytes(),
            target.read_bytes(),
        )
        for index, path in enumerate(sorted((job.root / "images").iterdir())[:4])
        for target in [job.root / "targets" / path.name]
    ]
    part = EncodedPart(Part("pictures", "shard", 0, len(images), "end"), images, 0.0)
    return maker.make_rows(part, StageSeconds())


def save_weights(job, factor, *, of="head"):
    """Give a job a checkpoint whose layers of some names have weights so much larger."""
    torch.manual_seed(0)
    model = build_model(MODEL, 4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(of):
                parameter.mul_(factor)
    torch.save(published_state_dict(model), job.root / "weights.pth")
    job.spec["model"]["checkpoint"] = str(job.root / "weights.pth")


def test_an_output_that_is_not_finite_in_float16_is_a_model_error_and_bfloat16_is_not(tiny_job):
    """NaN once became class 0 with status `ok`."""
    save_weights(tiny_job, 1e8)
    tiny_job.spec["inference"]["precision"] = "float16"
    in_float16 = rows_of(tiny_job)
    tiny_job.spec["inference"]["precision"] = "bfloat16"

    in_bfloat16 = rows_of(tiny_job)

    errors = {(row.status, row.error) for row in in_float16}
    reason = "the network's output is not finite in float16; try bfloat16"
    assert errors == {("model_error", reason)}
    assert {(row.mask, row.confusion, row.confidence) for row in in_float16} == {(None,) * 3}
    assert {row.status for row in in_bfloat16} == {"ok"}


def test_weights_too_large_for_float32_are_named_as_the_cause(tiny_job):
    save_weights(tiny_job, 1e20, of=("decoder", "head"))

    rows = rows_of(tiny_job)

    reason = "the network's output is not finite in float32; check the checkpoint's weights"
    assert {(row.status, row.error) for row in rows} == {("model_error", reason)}
