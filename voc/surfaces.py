"""Where voc appears on pages of other apps."""
