"""`manage.py load_demo`: put the demo company into an empty database, once.

The last line printed is the write key of its shop server, alone. A database that holds other people is left
as it is, and nothing is printed.
"""

from typing import Any

from django.core.management.base import BaseCommand

from config.demo import company
from crm.kernel import clock


class Command(BaseCommand):
    help = "Load the demo company Lantern Tea 灯笼茶铺 into an empty database."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            loaded = company.load(now=clock.now())
        except company.HasPeople:
            self.stderr.write("there are people here already: the demo company is not loaded")
            return
        if loaded.is_new:
            self.stderr.write("the demo company is loaded", style_func=str)
        if loaded.write_key:
            self.stdout.write(loaded.write_key)
