"""The decoder: RefineNet blocks in a cascade, from the coarsest feature to the finest."""

from collections.abc import Sequence

from torch import Tensor, nn

from refinenet_core.networks.blocks import BlockStyle, RefineNetBlock


class Cascade(nn.Module):
    """RefineNet blocks in a row, each refining the output of the coarser one (RefineNet, 3.1).

    One cascade serves the full and the light-weight networks, and every encoder.

    Args:
        encoder_channels: Channels of the encoder's features.
        path_channels: Channels that each feature is reduced to.
        inputs: For each block, coarsest first, the indices of the features that enter it, the
            finest of them first.
        styles: What each block is like.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        path_channels: Sequence[int],
        *,
        inputs: Sequence[Sequence[int]],
        styles: Sequence[BlockStyle],
    ) -> None:
        super().__init__()
        self.inputs = tuple(tuple(indices) for indices in inputs)
        self.poolings = styles[-1].poolings
        self.improved_pooling = styles[-1].improved_pooling
        self.blocks = nn.ModuleList()
        self.channels = 0
        for indices, style in zip(self.inputs, styles, strict=True):
            block = RefineNetBlock(
                [encoder_channels[index] for index in indices],
                [path_channels[index] for index in indices],
                coarse_channels=self.channels,
                style=style,
            )
            self.blocks.append(block)
            self.channels = block.channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Refine features, as the encoder returned them, to one map (B, channels, H', W')."""
        refined: Tensor | None = None
        for block, indices in zip(self.blocks, self.inputs, strict=True):
            refined = block([features[index] for index in indices], refined)
        if refined is None:
            raise ValueError("a cascade needs at least one block; `inputs` is empty")
        return refined
