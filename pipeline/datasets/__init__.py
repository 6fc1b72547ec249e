"""Where images come from, a file for each format; the plan of a dataset; packing."""
