"""Images that kill whoever decodes them, or predicts what they show."""

from pathlib import Path

from PIL import Image, PngImagePlugin

POISONED_DECODER = Path(__file__).with_name("poisoned_decoder")


def poison(path: Path, kind: str) -> None:
    """Mark a PNG file as poison of a kind: it takes a decoder with `POISONED_DECODER` on its path.

    Args:
        path: The file.
        kind: `segfault`, `memory`, `hang`, `slow` or `network`.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text("poison", kind)
    Image.open(path).save(path, pnginfo=text)
