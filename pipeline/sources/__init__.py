"""Where images come from: one file per format of a dataset."""
