"""A block-range index over the time of arrival: what came in the last minutes is found without reading the month.

Rows are appended in the order of arrival, so a range of blocks holds a range of times; the index takes a few pages
per million rows, and an insert pays next to nothing for it. New months inherit it (LIKE … INCLUDING ALL).
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("crm", "0006_door_and_catalogue")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX crm_touchpoint_arrival ON crm_touchpoint USING brin (received_at)"
            " WITH (pages_per_range = 32, autosummarize = on)",
            "DROP INDEX crm_touchpoint_arrival",
        )
    ]
