"""The product in a real browser: what staff and visitors see, in both languages, wide and on a phone."""
