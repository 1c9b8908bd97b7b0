"""From a submitted document to a finished job: what it names, the worker that runs it, and what is told of it."""
