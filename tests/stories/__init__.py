"""The promises of the product, one file each, told through services."""
