"""The frame-level models of Na et al. 2017."""
