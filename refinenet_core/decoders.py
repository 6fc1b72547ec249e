"""The decoders: a cascade of RefineNet blocks from the coarsest feature to the finest."""

from collections.abc import Sequence

from torch import Tensor, nn

from refinenet_core.blocks import ChainedResidualPooling, MultiResolutionFusion


class RefineNetBlock(nn.Module):
    """Fuse, activate, pool: a Light-Weight RefineNet block (Light-Weight RefineNet, figure 2)."""

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, coarse_channels: int, poolings: int
    ) -> None:
        super().__init__()
        self.fusion = MultiResolutionFusion(in_channels, channels, coarse_channels=coarse_channels)
        self.activation = nn.ReLU6()
        self.pooling = ChainedResidualPooling(channels, poolings=poolings)

    def forward(self, features: Sequence[Tensor], coarse_BCHW: Tensor | None) -> Tensor:
        """Return the refined map (B, channels, H, W) at the resolution of the features."""
        out: Tensor = self.pooling(self.activation(self.fusion(features, coarse_BCHW)))
        return out


class Cascade(nn.Module):
    """RefineNet blocks in a row, each one refining the output of the coarser one before it.

    Args:
        encoder_channels: Channels of the encoder's features.
        inputs: For each block, coarsest first, the indices of the features that enter it.
        channels: Channels of every block.
        poolings: Poolings of each chain.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        inputs: Sequence[Sequence[int]],
        *,
        channels: int = 256,
        poolings: int = 4,
    ) -> None:
        super().__init__()
        self.inputs = tuple(tuple(indices) for indices in inputs)
        self.channels = channels
        self.blocks = nn.ModuleList(
            RefineNetBlock(
                [encoder_channels[index] for index in indices],
                channels,
                coarse_channels=channels if position else 0,
                poolings=poolings,
            )
            for position, indices in enumerate(self.inputs)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Refine features, as the encoder returned them, to one map (B, channels, H', W')."""
        refined: Tensor | None = None
        for block, indices in zip(self.blocks, self.inputs, strict=True):
            refined = block([features[index] for index in indices], refined)
        if refined is None:
            raise ValueError("a cascade needs at least one block; `inputs` is empty")
        return refined
