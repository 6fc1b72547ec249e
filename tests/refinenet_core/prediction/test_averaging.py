"""Fused averaging against full-size maps, resized and averaged plainly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from refinenet_core.prediction import averaging
from refinenet_core.prediction.averaging import WholeMap, average_rows, fuse

sides = st.integers(1, 70)


def random_maps(classes, sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(classes, *size, generator=generator).mul(3).softmax(0) for size in sizes]


def plain(maps, size):
    full = [functional.interpolate(m[None], size=size, mode="bilinear")[0] for m in maps]
    return torch.stack(full).mean(0)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(sides, sides),
    map_sizes=st.lists(st.tuples(sides, sides), min_size=1, max_size=5),
    classes=st.integers(1, 12),
    band_bytes=st.sampled_from([1, 4000, 1 << 20]),
    seed=st.integers(0, 99),
)
def test_fused_averaging_is_the_plain_rule(size, map_sizes, classes, band_bytes, seed):
    maps = random_maps(classes, map_sizes, seed)
    expected = plain(maps, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(averaging, "_BAND_BYTES", band_bytes)

        fused = fuse(list(map(WholeMap, maps)), size, keep_confidence=True)

    best, labels = expected.max(0)
    runner_up = expected.topk(min(2, classes), dim=0).values[-1]
    clear = (best - runner_up > 1e-4) | (classes == 1)
    assert torch.equal(fused.labels[clear].long(), labels[clear])
    torch.testing.assert_close(fused.confidence, best, atol=1e-5, rtol=0)
    assert fused.mean_confidence.item() == pytest.approx(best.double().mean().item(), abs=1e-5)


def test_rows_of_an_average_are_those_of_the_whole():
    maps = [WholeMap(each) for each in random_maps(3, [(7, 9), (20, 31)])]

    whole = average_rows(maps, (50, 40), 0, 50)

    torch.testing.assert_close(average_rows(maps, (50, 40), 13, 29), whole[:, 13:29])


def test_the_lowest_class_wins_a_tie():
    even = torch.full((4, 5, 5), 0.25)

    assert fuse([WholeMap(even)] * 2, (18, 22), keep_confidence=False).labels.max() == 0


@pytest.mark.parametrize("classes", [21, 150])
def test_no_full_size_map_of_all_classes_is_ever_held(classes):
    """The plain way holds scales + 1 of them; here a band of about a megabyte."""
    maps = random_maps(classes, [(60, 80)] * 3)
    largest = 0

    class Sizes(TorchDispatchMode):  # the only way to see them
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple) else (result,):
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel() * tensor.element_size())
            return result

    with Sizes():
        fuse(list(map(WholeMap, maps)), (480, 640), keep_confidence=False)

    assert largest <= 3 << 20
    assert largest < 4 * classes * 480 * 640 / 7
