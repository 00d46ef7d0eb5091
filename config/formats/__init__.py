"""How dates, times and numbers are written, where Django's own ways do not read well on these pages."""
