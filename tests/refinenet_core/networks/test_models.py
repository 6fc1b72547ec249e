"""The networks against the published implementations' logits, sizes and costs."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from parity import load_parity
from refinenet_core import build_model, list_models, load_checkpoint
from refinenet_core.networks.normalisation import normalise

PUBLISHED = ["refinenet101", "refinenet_lw50", "refinenet_lw101", "refinenet_lw_mobilenet_v2"]
SMALL = "refinenet_lw_mobilenet_v2"


@pytest.mark.parametrize("name", PUBLISHED)
def test_logits_equal_the_published_implementations(shared, tmp_path, name):
    weights, facts, references = load_parity(shared, name)
    state_dict = weights.state_dict(facts["state_dict"])
    torch.save({k: torch.from_numpy(v) for k, v in state_dict.items()}, tmp_path / "w.pth")
    model = build_model(name, facts["num_classes"]).eval()

    load_checkpoint(model, tmp_path / "w.pth")

    assert len(references.files) == 2
    for memory_format in (torch.contiguous_format, torch.channels_last):
        model.to(memory_format=memory_format)
        for reference in references.files:
            height, width = map(int, reference.removeprefix("logits_").split("x"))
            pixels = normalise([weights.image(height, width)], torch.device("cpu"))
            with torch.inference_mode():
                logits = model(pixels.contiguous(memory_format=memory_format))[0].numpy()
            expected = references[reference]
            assert logits.shape == expected.shape
            assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("refinenet50", 99.060),
        ("refinenet101", 118.052),
        ("refinenet152", 133.696),
        ("refinenet_lw50", 27.358),
        ("refinenet_lw101", 46.350),
        ("refinenet_lw152", 61.993),
        ("refinenet_lw_mobilenet_v2", 3.285),
    ],
)
def test_parameter_counts_are_the_published_ones_to_the_thousand(name, millions):
    model = build_model(name, num_classes=21, device="meta")

    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 3) == millions


@pytest.mark.parametrize(
    ("name", "gflop"),
    [
        ("refinenet101", 596.6),
        ("refinenet_lw50", 73.2),
        ("refinenet_lw101", 118.7),
        ("refinenet_lw152", 163.8),
        ("refinenet_lw_mobilenet_v2", 19.4),
    ],
)
def test_flops_at_625x468_are_the_published_tables_within_one_percent(name, gflop):
    model = build_model(name, num_classes=21, device="meta").eval()

    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 468, 625, device="meta"))

    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 47), (64, 64)])
@pytest.mark.parametrize(
    "name",
    [SMALL, "refinenet_lw50", "refinenet_multitask_mobilenet_v2", "refinenet_lw_nasnet_mobile"],
)
def test_logits_stand_at_stride_four_rounded_up_for_any_size(name, size):
    model = build_model(name, num_classes=3).eval()

    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, *size))

    assert logits.shape == (2, 3, -(-size[0] // 4), -(-size[1] // 4))


FOUR = ([[(32, 32)], [(16, 16)], [(8, 8)], [(4, 4)]], [None, 32, 16, 8])
PAIRS = ([[(32, 32)] * 2, [(16, 16)] * 2, [(8, 8)], [(4, 4)]], [None, 32, 16, 8])


@pytest.mark.parametrize(
    ("name", "wiring"),
    [
        ("refinenet50", FOUR),
        ("refinenet_lw50", FOUR),
        ("refinenet_lw_nasnet_mobile", FOUR),
        (SMALL, PAIRS),
        ("refinenet_multitask_mobilenet_v2", PAIRS),
        ("refinenet101_single", ([[(4, 4), (8, 8), (16, 16), (32, 32)]], [None])),
        ("refinenet101_2cascade", ([[(16, 16), (32, 32)], [(4, 4), (8, 8)]], [None, 16])),
    ],
)
def test_each_block_takes_the_documented_features_at_the_documented_strides(name, wiring):
    model = build_model(name, num_classes=2, device="meta").eval()
    taken = []
    for block in model.decoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: taken.append(inputs))

    model(torch.empty(1, 3, 64, 128, device="meta"))

    strides = [[(64 // x.shape[2], 128 // x.shape[3]) for x in features] for features, _ in taken]
    coarse = [None if coarse is None else 64 // coarse.shape[2] for _, coarse in taken]
    assert (strides, coarse) == wiring


def test_two_scales_meet_at_equal_resolutions_and_logits_stand_at_stride_four():
    model = build_model("refinenet101_2scale", num_classes=2, device="meta").eval()
    taken = []
    for block in model.decoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: taken.append(inputs))

    logits = model(torch.empty(1, 3, 160, 320, device="meta"))

    # Of 160 rows, 192 are seen by the first ResNet and 96 by the second one.
    rows = [[feature.shape[2] for feature in features] for features, _ in taken]
    assert rows == [[6, 6, 3], [12, 12], [24], [48]]
    channels = [[feature.shape[1] for feature in features] for features, _ in taken]
    assert channels == [[2048, 1024, 2048], [1024, 512], [512], [256]]
    coarse = [None if coarse is None else coarse.shape[2] for _, coarse in taken]
    assert coarse == [None, 6, 12, 24]
    assert logits.shape == (1, 2, 40, 80)
    shared = set(model.encoder.enlarged.parameters()) & set(model.encoder.reduced.parameters())
    assert not shared


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("refinenet101", [512, 256, 256, 256]),
        ("refinenet101_single", [256]),
        ("refinenet101_2cascade", [256, 256]),
    ],
)
def test_paths_are_fused_at_the_smallest_of_their_widths(name, inside):
    model = build_model(name, num_classes=2, device="meta")

    assert [block.channels for block in model.decoder.blocks] == inside
    widths = [[conv.out_channels for conv in block.reductions] for block in model.decoder.blocks]
    assert widths[0][-1] == 512  # the coarsest feature, as RefineNet-4 has it


def test_the_nasnet_model_sees_padding_only_where_the_size_needs_it():
    torch.manual_seed(0)
    model = build_model("refinenet_lw_nasnet_mobile", num_classes=3).eval()
    image = torch.rand(1, 3, 50, 70)

    with torch.inference_mode():
        logits = model(image)
        padded = model(functional.pad(image, (0, 26, 0, 14)))

    assert logits.shape == (1, 3, 13, 18)
    torch.testing.assert_close(logits, padded[..., :13, :18])
    assert model.normalisation.mean == (0.5, 0.5, 0.5)


def test_poolings_and_their_order_are_options():
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    four = build_model(SMALL, num_classes=2).eval()
    improved = build_model(SMALL, num_classes=2, improved_pooling=True).eval()
    improved.load_state_dict(four.state_dict())

    two = build_model(SMALL, num_classes=2, poolings=2)

    with torch.inference_mode():
        assert not torch.allclose(four(images), improved(images))
    assert [len(block.pooling.convs) for block in two.decoder.blocks] == [2] * 4
    assert (
        sum(p.numel() for p in four.parameters()) - sum(p.numel() for p in two.parameters())
        == 4 * 2 * 256 * 256
    )


@pytest.mark.parametrize("name", ["refinenet50", "refinenet_lw50", "refinenet101_single", SMALL])
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    model = build_model(name, num_classes=3)

    model(torch.rand(2, 3, 64, 64)).square().mean().backward()

    unreached = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = build_model("refinenet_lw50", num_classes=3)
    images = torch.rand(2, 3, 64, 64)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0  # so that a second look differs by dropout alone

    with torch.no_grad():
        trained = model(images), model(images)
        model.eval()
        evaluated = model(images), model(images)

    assert not torch.equal(*trained)
    assert torch.equal(*evaluated)


@pytest.mark.parametrize("name", [pytest.param("refinenet_lw50", marks=pytest.mark.slow), SMALL])
def test_twenty_steps_on_one_batch_of_four_bring_the_loss_down(name):
    torch.manual_seed(0)
    model = build_model(name, num_classes=3)
    targets = torch.randint(3, (4, 4, 4)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    colours = functional.one_hot(targets, 3).permute(0, 3, 1, 2).float()
    images = functional.interpolate(colours, scale_factor=4) + 0.2 * torch.rand(4, 3, 64, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []

    for _ in range(20):
        loss = functional.cross_entropy(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert min(losses[-5:]) < 0.5 * losses[0]


def test_an_unknown_model_or_number_is_refused_by_name():
    with pytest.raises(ValueError, match=r"refinenet999.*refinenet_lw_mobilenet_v2"):
        build_model("refinenet999")
    with pytest.raises(ValueError, match=r"256.*between 1 and 255"):
        build_model(SMALL, num_classes=256)
    with pytest.raises(ValueError, match=r"poolings is 0"):
        build_model(SMALL, poolings=0)
    assert list_models() == sorted(list_models())
