"""Views of voc, one file per noun."""
