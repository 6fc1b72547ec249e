"""From encoded bytes to pixels, and from encoded masks to class ids."""
