"""Label sets: class names and colours, and what the values in published masks mean."""
