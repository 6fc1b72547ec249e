"""The GPU's averaging kernel: its logic in Triton's interpreter, its compilation, its results."""

import importlib.util
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refinenet_core.prediction import averaging
from refinenet_core.prediction.averaging import WholeMap, fuse_in_bands

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed; PyTorch brings it on Linux", allow_module_level=True)

from refinenet_core.gpu.averaging import fuse_batch, fusion_kernel

sides = st.integers(1, 24)


def random_maps(images, classes, sizes, seed=0, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(images, classes, *size, generator=generator).mul(3).softmax(1).to(device)
        for size in sizes
    ]


@pytest.fixture(scope="module")
def interpreted():
    """Return `fuse_batch` in Triton's interpreter, which is chosen when a process loads it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            process.submit(len, ()).result()
        yield lambda *given, **options: averaging.fused_images(
            *process.submit(fuse_batch, *given, **options).result()
        )


def assert_equals_the_bands(fused, maps, size):
    """Compare with the plain path, image by image."""
    for image, found in enumerate(fused):
        whole = [WholeMap(each[image]) for each in maps]
        expected = fuse_in_bands(whole, size, keep_confidence=True)
        mean = averaging.average_rows(whole, size, 0, size[0])
        runner_up = mean.topk(min(2, len(mean)), dim=0).values[-1]
        clear = (expected.confidence - runner_up > 1e-4) | (len(mean) == 1)
        assert torch.equal(found.labels[clear], expected.labels[clear])
        torch.testing.assert_close(
            found.mean_confidence, expected.mean_confidence, atol=1e-5, rtol=0
        )
        if found.confidence is not None:
            torch.testing.assert_close(found.confidence, expected.confidence, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=15)
@given(
    images=st.integers(1, 2),
    size=st.tuples(sides, sides),
    map_sizes=st.lists(st.tuples(sides, sides), min_size=1, max_size=5),
    classes=st.integers(1, 7),
    keep=st.booleans(),
)
@example(images=2, size=(19, 31), map_sizes=[(5, 8), (2, 3)], classes=21, keep=True)
@example(images=1, size=(3, 5), map_sizes=[(1, 2)], classes=150, keep=True)
@example(images=1, size=(1, 700), map_sizes=[(1, 175)], classes=2, keep=False)
@example(images=1, size=(9, 7), map_sizes=[(3, 2)] * 10, classes=3, keep=True)  # five and flips
def test_the_kernel_says_what_the_plain_path_says(  # noqa: PLR0917 - hypothesis names them
    interpreted, images, size, map_sizes, classes, keep
):
    maps = random_maps(images, classes, map_sizes)

    fused = interpreted(maps, size, keep_confidence=keep)

    assert len(fused) == images
    assert all((each.confidence is not None) == keep for each in fused)
    assert_equals_the_bands(fused, maps, size)


def test_the_kernel_gives_a_tie_to_the_lowest_class(interpreted):
    maps = [torch.full((1, 6, 4, 5), 1 / 6), torch.full((1, 6, 2, 3), 1 / 6)]
    maps[0][:, [2, 4]] += 0.1

    [fused] = interpreted(maps, (13, 17), keep_confidence=False)

    assert fused.labels.unique().tolist() == [2]


def test_the_kernel_passes_on_what_is_not_a_number(interpreted):
    """A network that overflows was to give labels of classes that there are not."""
    maps = [torch.full((1, 3, 2, 2), torch.nan)]

    [fused] = interpreted(maps, (5, 5), keep_confidence=True)

    assert fused.labels.unique().tolist() == [0]
    assert fused.confidence.isnan().all()
    assert fused.mean_confidence.isnan()


@pytest.mark.parametrize(("capability", "num_maps"), [(80, 1), (90, 10)])
def test_the_kernel_compiles_for_a_gpu(capability, num_maps):
    """The interpreter takes what the compiler refuses."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    floats = ("fp32",) * num_maps
    constants = {"NUM_MAPS": num_maps, "NUM_CLASSES": 21, "KEEP_CONFIDENCE": True, "BLOCK": 256}
    signature = {
        "maps": ("*fp32",) * num_maps,
        **dict.fromkeys(("heights", "widths", "down", "across"), floats),
        "labels": "*u8",
        **dict.fromkeys(("confidence", "sums"), "*fp32"),
        **dict.fromkeys(("height", "width", "blocks"), "i32"),
        **dict.fromkeys(constants, "constexpr"),
    }
    assert list(signature) == fusion_kernel.arg_names
    values = {(fusion_kernel.arg_names.index(name),): each for name, each in constants.items()}

    compiled = triton.compile(
        ASTSource(fusion_kernel, signature, constexprs=values),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": 8, "enable_fp_fusion": False},
    )

    assert compiled.asm["ptx"].count("ld.global") == 4 * num_maps


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("classes", [1, 21, 150])
@pytest.mark.parametrize("size", [(1, 1), (375, 500), (20000, 3), (1, 5000)])
def test_on_a_gpu_the_kernel_says_what_the_plain_path_says(classes, size):
    scales = (0.4, 0.6, 0.8, 1.0, 1.2)
    map_sizes = [tuple(-(-max(1, int(scale * side)) // 4) for side in size) for scale in scales]
    maps = random_maps(3, classes, map_sizes, device="cuda")

    fused = averaging.fuse_batch(maps, size, keep_confidence=True)

    assert fused[0].labels.data_ptr() + size[0] * size[1] == fused[1].labels.data_ptr()
    for image, found in enumerate(fused):
        whole = [WholeMap(each[image]) for each in maps]
        expected = fuse_in_bands(whole, size, keep_confidence=True)
        torch.testing.assert_close(found.confidence, expected.confidence, atol=1e-4, rtol=0)
        assert (found.labels == expected.labels).double().mean() > 0.999
