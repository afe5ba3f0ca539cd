"""The frame-level models of Zou et al. 2017."""
