"""Multi-label video classification on the frame features of YouTube-8M."""

__version__ = "1.0.0"
