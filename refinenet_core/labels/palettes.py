"""Colours of label maps: PASCAL VOC's palette, and the palette of a mask's PNG."""

from collections.abc import Sequence

Colour = tuple[int, int, int]


def voc_colours(count: int) -> tuple[Colour, ...]:
    """Return the first colours of PASCAL VOC's palette, which spreads an id's bits over R, G, B.

    Source: the VOC development kit's `VOClabelcolormap`.
    """
    return tuple(
        (_spread_bits(index), _spread_bits(index >> 1), _spread_bits(index >> 2))
        for index in range(count)
    )


def png_palette(colours: Sequence[Colour]) -> bytes:
    """Return the 256 RGB entries of a mask's palette: the classes' colours, then VOC's.

    Returns:
        768 bytes.
    """
    entries = list(voc_colours(256))
    entries[: len(colours)] = list(colours)
    return bytes(channel for entry in entries for channel in entry)


def _spread_bits(value: int) -> int:
    """Move bits 0, 3 and 6 of `value` to bits 7, 6 and 5."""
    return (value & 1) << 7 | (value >> 3 & 1) << 6 | (value >> 6 & 1) << 5
