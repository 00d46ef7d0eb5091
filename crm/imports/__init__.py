"""Lists that come in: reading files, guessing what their columns mean, and turning cells into values.

Nothing here touches people. Files are streamed, so memory does not grow with them; what
cannot be read is answered by a code of `reasons`, with the row, the column and the value it was about.
"""
