"""Where jobs, trials, devices, tables, data sets and weights are kept: SQLite when alone, PostgreSQL when many."""
