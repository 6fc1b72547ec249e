"""The 5x5 maximum of chained residual pooling, fast on a CPU."""

import torch
from torch import Tensor
from torch.nn import functional

_BAND_BYTES = 1 << 19  # of a band of rows: it and its two maxima stay in the cache


def max_pool_5x5(x_BCHW: Tensor) -> Tensor:
    """Return the maximum of each 5x5 neighbourhood, at stride 1; the shape stays.

    PyTorch's pooling also looks for where each maximum is, which prediction does not need, and
    takes 25 comparisons. On a CPU, without gradients and in channels_last memory, this takes the
    maxima of rows and columns in turn, of doubling width: six comparisons, on a few rows at a time.
    """
    plain = torch.is_grad_enabled() or x_BCHW.device.type != "cpu"
    smallest = min(x_BCHW.shape[-2:])
    if plain or smallest < 5 or not x_BCHW.is_contiguous(memory_format=torch.channels_last):
        return functional.max_pool2d(x_BCHW, kernel_size=5, stride=1, padding=2)
    x_BHWC = x_BCHW.permute(0, 2, 3, 1)
    pooled_BHWC = torch.empty_like(x_BHWC)
    height, row_bytes = x_BHWC.shape[1], x_BHWC[0, 0].nbytes
    rows = max(1, _BAND_BYTES // row_bytes)
    for image_HWC, out_HWC in zip(x_BHWC, pooled_BHWC, strict=True):
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            columns_HWC = _rows_maximum(image_HWC, top, bottom)
            _columns_maximum(columns_HWC, out_HWC[top:bottom])
    return pooled_BHWC.permute(0, 3, 1, 2)


def _rows_maximum(image_HWC: Tensor, top: int, bottom: int) -> Tensor:
    """Return the maximum over five rows at each of the rows from `top` to `bottom`."""
    height = len(image_HWC)
    if top < 2 or bottom > height - 2:  # the border: each row's own neighbours
        return torch.stack(
            [image_HWC[max(0, row - 2) : row + 3].amax(dim=0) for row in range(top, bottom)]
        )
    near_HWC = image_HWC[top - 2 : bottom + 2]
    two = torch.maximum(near_HWC[:-1], near_HWC[1:])
    four = torch.maximum(two[:-2], two[2:])
    return torch.maximum(four[:-1], near_HWC[4:], out=two[: bottom - top])


def _columns_maximum(rows_HWC: Tensor, out_HWC: Tensor) -> None:
    """Write the maximum over five columns, fewer at the borders."""
    two = torch.maximum(rows_HWC[:, :-1], rows_HWC[:, 1:])
    four = torch.maximum(two[:, :-2], two[:, 2:])
    torch.maximum(four[:, :-1], rows_HWC[:, 4:], out=out_HWC[:, 2:-2])
    torch.maximum(two[:, 0], rows_HWC[:, 2], out=out_HWC[:, 0])
    out_HWC[:, 1] = four[:, 0]
    out_HWC[:, -2] = four[:, -1]
    torch.maximum(two[:, -1], rows_HWC[:, -3], out=out_HWC[:, -1])
