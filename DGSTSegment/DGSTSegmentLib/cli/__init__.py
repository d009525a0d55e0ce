"""The terminal's face: the command ``dgst``."""
