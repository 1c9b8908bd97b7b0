"""How much of a person's data is taken, and how little is too little."""

from __future__ import annotations

LONGEST_TEXT = 65_536
"""Tokens of one example to classify or to read; the rest is cut off. The longest workload reads 8,192."""
LONGEST_TARGET = 4_096
"""Tokens to write; a pair with more is left out, since comparing outputs takes time with the square of it."""
TRAIN_EXAMPLES = 4_000_000
"""Of a table; more steps than any search takes. Keeps what is known of each example within memory."""
TRAIN_TOKENS = 200_000_000
"""Of any data: more than a small model can use, and few enough to be mapped into memory beside its training."""
HELD_OUT_EXAMPLES = 10_000
"""Of validation and of test each, of a table: every candidate is scored on all of it."""
HELD_OUT_TOKENS = 500_000
"""Of validation and of test each, of a language model."""
HELD_OUT_TABLE_TOKENS = 20_000_000
"""The same of a table, most of whose tokens no model reads."""
MOST_CLASSES = 1_000
LEAST_ROWS = 10
"""Of a class; and examples of validation and of test."""
