"""Tests. A package, since some installed packages bring a `tests` of their own, which would be found first."""
