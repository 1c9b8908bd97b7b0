"""Devices whose inside can't be measured: an additive latency fitted on whole architectures and what they took."""
