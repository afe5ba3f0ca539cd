"""The frame-level models of Tang et al. 2017."""
