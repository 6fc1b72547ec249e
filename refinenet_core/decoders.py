"""The decoder: RefineNet blocks in a cascade, from the coarsest feature to the finest."""

from collections.abc import Sequence

from torch import Tensor, nn

from refinenet_core.blocks import BlockStyle, RefineNetBlock


class Cascade(nn.Module):
    """RefineNet blocks in a row, each refining the output of the coarser one (RefineNet, 3.1).

    One cascade serves the full and the light-weight networks, and every encoder.

    Args:
        encoder_channels: Channels of the encoder's features.
        inputs: For each block, coarsest first, the indices of the features that enter it, the
            finest of them first.
        channels: Channels of each block.
        styles: What each block is like.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        inputs: Sequence[Sequence[int]],
        *,
        channels: Sequence[int],
        styles: Sequence[BlockStyle],
    ) -> None:
        super().__init__()
        self.inputs = tuple(tuple(indices) for indices in inputs)
        self.channels = channels[-1]
        self.poolings = styles[-1].poolings
        self.improved_pooling = styles[-1].improved_pooling
        self.blocks = nn.ModuleList(
            RefineNetBlock(
                [encoder_channels[index] for index in indices],
                width,
                coarse_channels=coarse,
                style=style,
            )
            for indices, width, coarse, style in zip(
                self.inputs, channels, (0, *channels[:-1]), styles, strict=True
            )
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Refine features, as the encoder returned them, to one map (B, channels, H', W')."""
        refined: Tensor | None = None
        for block, indices in zip(self.blocks, self.inputs, strict=True):
            refined = block([features[index] for index in indices], refined)
        if refined is None:
            raise ValueError("a cascade needs at least one block; `inputs` is empty")
        return refined
