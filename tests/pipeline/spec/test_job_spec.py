"""Job specs: what is valid, and what is said of what is not."""

import pytest
import yaml

from pipeline import JobSpec
from pipeline.errors import SpecError
from pipeline.spec.job_spec import SMALLEST_TILE_PIXELS
from refinenet_core.prediction import tiling

VALID = """
name: camvid-test
model:
  name: refinenet_lw_mobilenet_v2
  num_classes: 11
  checkpoint: s3://models/refinenet_lw_mobilenet_v2-camvid11.pth
inference:
  scales: [0.4, 0.6, 0.8, 1.0, 1.2]
  flip: false
  precision: auto
datasets:
  - name: camvid-test
    format: folder
    images: s3://shards/camvid/test/*.png
    targets: s3://shards/camvid/testannot/{stem}.png
    classes: camvid
    ignore_index: 11
output: s3://results/camvid-test
part_images: 256
part_bytes: 64MiB
tolerance: {failed_images: 0}
resources:
  actors: {min: 1, max: 8}
  gpus_per_actor: 1
"""


def changed(**changes):
    """Return the valid spec with values at dotted paths replaced; None removes one."""
    spec = yaml.safe_load(VALID)
    for path, value in changes.items():
        *steps, last = path.split("__")
        section = spec
        for step in steps:
            section = section[int(step) if step.isdigit() else step]
        if value is None:
            del section[last]
        else:
            section[last] = value
    return spec


def test_the_documented_spec_is_valid(tmp_path):
    (tmp_path / "spec.yaml").write_text(VALID)

    spec = JobSpec.from_yaml(tmp_path / "spec.yaml")

    assert spec.part_bytes == 64 * 1024 * 1024
    assert spec.datasets[0].label_set().ignore_index == 11
    assert spec.inference.scales == (0.4, 0.6, 0.8, 1.0, 1.2)
    assert spec.output == "s3://results/camvid-test"


def test_plain_paths_are_taken_from_the_current_folder_and_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    spec = JobSpec.from_mapping(changed(output="results", model__checkpoint="~/weights.pth"))

    assert spec.output == f"file://{tmp_path}/results"
    assert spec.model.checkpoint.startswith("file:///")
    assert "~" not in spec.model.checkpoint


def test_classes_may_be_names_or_names_with_colours():
    classes = [{"name": f"c{n}", "colour": [n, n, n]} for n in range(11)]

    plain = JobSpec.from_mapping(changed(datasets__0__classes=[f"c{n}" for n in range(11)]))
    coloured = JobSpec.from_mapping(changed(datasets__0__classes=classes))

    assert plain.datasets[0].label_set().colours[1] == (128, 0, 0)
    assert coloured.datasets[0].label_set().colours[1] == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": "x"}, r"^spec: outputs: unknown field; did you mean 'output'\?$"),
        ({"model__names": "x"}, r"model\.names: unknown field; did you mean 'name'\?"),
        ({"datasets__0__xyz": 1}, r"datasets\[0\]\.xyz: unknown field; known are: name, format"),
        (
            {"datasets__0__format": "foldr"},
            r"datasets\[0\]\.format: .*'folder', .* \(found 'foldr'\)",
        ),
        ({"output": None}, r"output: missing; this field is required"),
        ({"datasets": []}, r"datasets: .*at least 1 item"),
        ({"datasets__0__name": "9lives"}, r"datasets\[0\]\.name: .*\(found '9lives'\)"),
        (
            {"datasets__0__classes": "camvit"},
            r"unknown label set 'camvit'; known are: ade20k, camvid",
        ),
        ({"datasets__0__classes": ["a", "b"]}, r"has 2 classes, model\.num_classes is 11"),
        ({"datasets__0__targets": "s3://x/target.png"}, r"targets: holds neither {stem}"),
        ({"inference__scales": [1.0, -1]}, r"inference\.scales\[1\]: .*greater than 0 \(found -1"),
        ({"inference__scales": []}, r"inference\.scales: .*at least 1 item"),
        ({"inference__precision": "int4"}, r"inference\.precision: .*\(found 'int4'\)"),
        ({"resources__actors": {"min": 3, "max": 2}}, r"min is 3, above max, which is 2"),
        (
            {"resources": {"device": "cuda", "gpus_per_actor": 0}},
            r"device is 'cuda', but gpus_per_actor is 0",
        ),
        ({"part_bytes": "many"}, r"part_bytes: .*\(found 'many'\)"),
        ({"output": "memory://x"}, r"output: memory:// is private to one process"),
        ({"storage_options": {"s3": {"secret": "x"}}}, r"s3\.secret looks like a credential"),
        (
            {"storage_options": {"s3": {"client_kwargs": {"aws_secret_access_key": "x"}}}},
            r"s3\.client_kwargs\.aws_secret_access_key looks like a credential",
        ),
        (
            {"storage_options": {"s3": {"endpoint_url": "https://me:hidden@store"}}},
            r"s3\.endpoint_url looks like a credential(?!.*hidden)",
        ),
        (
            {"output": "sftp://me:hidden@host/x"},
            r"'sftp://host/x' is written with a password(?!.*hidden)",
        ),
        ({"storage_options": {"s3a": {"anon": True}}}, r"'s3a' is called 's3' here"),
    ],
)
def test_a_wrong_field_is_named_with_its_path_its_value_and_the_remedy(changes, message):
    with pytest.raises(SpecError, match=message) as caught:
        JobSpec.from_mapping(changed(**changes))

    assert len(caught.value.problems) == 1


def test_the_smallest_pass_is_the_predictors():
    assert SMALLEST_TILE_PIXELS == tiling.SMALLEST_TILE_PIXELS
    with pytest.raises(SpecError, match=r"max_pixels_per_pass: .*\(found 1000\)"):
        JobSpec.from_mapping(changed(inference__max_pixels_per_pass=1000))


def test_every_problem_is_told_at_once():
    with pytest.raises(SpecError, match="2 problems") as caught:
        JobSpec.from_mapping(changed(part_images=0, outputs="x"))

    assert len(caught.value.problems) == 2


def test_dataset_names_must_differ_without_regard_to_case():
    spec = changed()
    spec["datasets"].append({**spec["datasets"][0], "name": "CamVid-Test"})

    with pytest.raises(SpecError, match="two datasets are called 'camvid-test'"):
        JobSpec.from_mapping(spec)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "is not YAML"), ("", "valid dictionary"), ("- 1", "valid dictionary")],
)
def test_a_file_that_is_no_spec_is_refused(tmp_path, content, message):
    (tmp_path / "spec.yaml").write_text(content)

    with pytest.raises(SpecError, match=message):
        JobSpec.from_yaml(tmp_path / "spec.yaml")


def test_a_spec_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere\.yaml: cannot be read"):
        JobSpec.from_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("location", ["reference://x", "simplecache::s3://b/x", "zip://a::s3://b"])
def test_locations_that_lead_to_other_storages_are_refused(location):
    with pytest.raises(SpecError, match=r"output: (it holds '::'|its protocol is 'reference')"):
        JobSpec.from_mapping(changed(output=location))
