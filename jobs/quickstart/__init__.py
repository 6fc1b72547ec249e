"""The quickstart: a small labelled data set of drawn scenes, and a network trained on such."""
