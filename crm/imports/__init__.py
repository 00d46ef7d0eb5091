"""Lists that come in: reading files, guessing what their columns mean, and turning cells into values.

Pure Python: nothing here reads or writes a database. Files are streamed, so memory does not grow with them; what
cannot be read is answered by a code of `reasons`, with the row, the column and the value it was about.
"""
