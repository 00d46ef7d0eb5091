"""The demo company: loaded once, as a whole, through the services, and reaching nobody."""

from io import StringIO

from django.core.management import call_command

from crm.kernel import roles


def load() -> str:
    out = StringIO()
    call_command("load_demo", stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_loads(db):
    roles.sync()
    import time

    began = time.monotonic()
    print(load(), time.monotonic() - began)
