"""CamVid `test` and the checkpoint trained for it, and the figures that the published code gets."""

CHECKPOINT = "refinenet_lw_mobilenet_v2-camvid11.pth"
MIOU, PIXEL_ACCURACY = 0.61188, 0.88397  # of all 233 images, single scale
IMAGES, TARGETS = "data/camvid/test", "data/camvid/testannot"  # below the shared folder


def model(folder):
    """Return a spec's model, whose checkpoint lies in a folder."""
    return {
        "name": "refinenet_lw_mobilenet_v2",
        "num_classes": 11,
        "checkpoint": f"{folder}/{CHECKPOINT}",
    }


def unscored_dataset(shared):
    """Return a spec's dataset of the images in the shared folder, without targets."""
    images = str(shared / IMAGES / "*.png")
    return {"name": "camvid", "images": images, "classes": "camvid", "ignore_index": 11}
