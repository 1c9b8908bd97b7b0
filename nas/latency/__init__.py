"""How long a model takes on a device: sub-blocks measured there, summed, and corrected on whole models."""
