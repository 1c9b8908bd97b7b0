"""A person's own data: a file of rows or of plain text, read in streams and prepared once for all trainings.

    document → decoding → reading → examples → preparing → prepared

Memory stays small whatever the size of the file: nothing here holds more than one row and one batch of rows.
"""
