"""Images as files, in memory."""

import io

from PIL import Image


def encoded(array, kind="PNG", **options):
    """Return an array, or an image of Pillow's, as a file of some kind."""
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def with_palette(ids, colours):
    """Return an image whose pixels are indices of a palette."""
    image = Image.fromarray(ids)
    image.putpalette([channel for colour in colours for channel in colour])
    return image
