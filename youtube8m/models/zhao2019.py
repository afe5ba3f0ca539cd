"""The frame-level models of Zhao 2019."""
