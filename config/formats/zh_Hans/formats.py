"""Chinese: amounts are grouped by three, as banks and shops print them; the rest is Django's own."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
