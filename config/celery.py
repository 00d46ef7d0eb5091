"""The Celery application and its beat schedule.

Celery only carries wake-ups: every task reads from PostgreSQL what is to be done, so a lost,
doubled or late message does no harm, and two beats are harmless because each periodic job claims
its slot (JobSlot). The schedule is this literal; there is no second place to look.
"""

import os
import signal
import warnings
from functools import partial
from types import FrameType
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_process_init, worker_ready
from django.conf import settings

from config import collector

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Whoever runs `up` as root has decided so; messages are JSON, which is what the warning is about.
warnings.filterwarnings("ignore", message=r"(?s).*superuser privileges")

app = Celery("renxin")
app.set_default()  # threads of gunicorn, too, find this app and no other
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

SCHEDULE: dict[str, float] = {
    "crm.kernel.sweep": 10.0,
    "crm.kernel.seal_action_log": 5.0,
    "crm.fold_tallies": 30.0,
    "crm.learn_kinds": 300.0,
    "lifecycle.deliver": 10.0,
    "lifecycle.advance_journeys": 10.0,
    "voc.tell_sweep": 30.0,
    "crm.compute_sweep": 60.0,
    "crm.renew_purchases": 600.0,
    "crm.make_partitions": 3600.0,
    "crm.prepare_exports": 30.0,
    "crm.work_erasures": 30.0,
    "crm.tidy_privacy": 60.0,
    "crm.look_for_late_arrivals": 3600.0,
    "crm.retention": 600.0,
    "crm.segment_sweep": 10.0,
    "crm.export_sweep": 30.0,
    "crm.sweep_imports": 10.0,
    "crm.tidy_imports": 3600.0,
    "crm.roll_up_accounts": 15.0,
    "crm.suggest_merges": 600.0,
    "crm.renew_search_tokens": 90.0,
    "crm.kernel.tidy": 3600.0,
    "config.heartbeat": 30.0,
    "config.heartbeat_long": 30.0,
}


QUICK, LONG = "celery", "long"
# What may take a minute has workers of its own: behind it, nobody's message and nobody's segment would wait.
LONG_TASKS = frozenset(
    {
        "config.heartbeat_long",
        "crm.compute",
        "crm.compute_sweep",
        "crm.learn_kinds",
        "crm.prepare_exports",
        "crm.renew_purchases",
        "crm.renew_search_tokens",
        "crm.retention",
        "crm.retention_now",
        "crm.roll_up_accounts",
        "crm.segment_passes",
        "crm.suggest_merges",
        "crm.tidy_imports",
        "crm.work_erasures",
        "crm.work_import",
        "crm.write_exports",
    }
)
app.conf.task_default_queue = QUICK
app.conf.task_routes = {name: {"queue": LONG} for name in LONG_TASKS}


@app.on_after_finalize.connect
def _schedule(sender: Celery, **_: object) -> None:
    """A tick that nobody took within its own interval is dropped: the next one does the same."""
    sender.loader.import_default_modules()
    sender.conf.beat_schedule = {
        name: {"task": name, "schedule": every, "options": {"expires": every}}
        for name, every in SCHEDULE.items()
        if name in sender.tasks
    }


@worker_init.connect
def _give_way(**_: object) -> None:
    """Where pages, the door and the worker share the cores, people and clients go first; the processes of the pool
    inherit it. What the worker does is due within seconds, not within milliseconds."""
    os.nice(settings.WORKER_NICENESS)


@worker_process_init.connect
def _settle_the_collector(**_: object) -> None:
    collector.settle()


@worker_ready.connect
def _tell_tasks_when_the_worker_ends(**_: object) -> None:
    """The tasks in the pool learn of it at once, so that they end between two e-mails and not in the middle of
    one. Celery's own signal comes too late for that: after the time it gives them."""
    from crm.kernel import jobs

    def ending(then: Any, number: int, frame: FrameType | None) -> None:
        jobs.stop()
        then(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        then = signal.getsignal(number)
        if callable(then):
            signal.signal(number, partial(ending, then))
