"""The quickstart's data set: small labelled scenes, drawn from a seed."""

from jobs.scenes.scene import CLASSES, COLOURS, Scene, make_scene, write_dataset

__all__ = ["CLASSES", "COLOURS", "Scene", "make_scene", "write_dataset"]
