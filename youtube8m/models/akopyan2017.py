"""The frame-level models of Akopyan and Khashba 2017."""
