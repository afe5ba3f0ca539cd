"""Fetching the data set, and what belongs to it, from its servers."""
