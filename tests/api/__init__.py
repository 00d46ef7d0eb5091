"""The API as a whole: who may call what, what it promises in its description, and what it survives."""
