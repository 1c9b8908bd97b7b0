"""Pocketformer: hardware-aware architecture search for lightweight Transformers."""

__version__ = "0.1.0"
