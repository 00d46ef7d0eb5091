"""Pages of deliveries keep room for the second version that each row gets when it is settled."""

from django.db import migrations


class Migration(migrations.Migration):
    """Storage only; rows that are there already stay where they are."""

    dependencies = [("lifecycle", "0005_lighter_sending")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE lifecycle_delivery SET (fillfactor = 50)",
            "ALTER TABLE lifecycle_delivery RESET (fillfactor)",
        )
    ]
