"""Confusion matrices and boundary regions, and the scores that follow from them."""
