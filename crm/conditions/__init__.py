"""Rules about people: one tree of conditions, read three ways.

`definition` turns JSON into frozen nodes and says exactly what is wrong with it; `compiler` turns the nodes into one
set-based SQL statement that yields people; `sentences` says them in the reader's language. The same statement
serves a full pass, the follow-up of one event and a preview, so there is one truth.
"""
