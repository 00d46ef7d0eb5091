"""Every odd file: read, or refused with a code that says why."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from crm.imports import columns, files, workbooks
from crm.kernel.errors import DomainError, Invalid
from crm.models import ImportReject, ImportRun, Profile
from crm.services import import_files, imports
from tests.crm.conftest import NOON
from tests.crm.imports.conftest import AGREED, STAFF, Lists, guessed

TEXT = "姓名,手机号,备注\n王小明,13800138000,喜欢绿茶\n李娜,13900139000,下次再说\n"


def shape(tmp_path: Path, raw: bytes, **reading: Any) -> files.Shape:
    path = tmp_path / "x"
    path.write_bytes(raw)
    return files.inspect(path, **reading)


def book(rows: list[list[Any]], *, title: str = "Sheet", more: tuple[str, ...] = ()) -> bytes:
    made = Workbook()
    sheet = made.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    for name in more:
        made.create_sheet(name).append(["other"])
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("gb18030", "gb18030"), ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_and_line_breaks(lists: Lists, encoding: str, found: str, ending: str) -> None:
    run = lists.bring(TEXT.replace("\n", ending).encode(encoding))
    assert run.shape["encoding"] == found
    assert run.shape["headers"] == ["姓名", "手机号", "备注"]
    assert sorted(Profile.objects.values_list("display_name", flat=True)) == ["李娜", "王小明"]
    assert Profile.objects.get(display_name="王小明").traits["备注"] == "喜欢绿茶"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(tmp_path: Path, delimiter: str) -> None:
    text = (
        delimiter.join(["name", "email", "note"])
        + "\n"
        + delimiter.join(["Ann", "a@example.com", '"x, y; z"'])
        + "\n"
    )
    found = shape(tmp_path, text.encode())
    assert (found.delimiter, found.headers) == (delimiter, ("name", "email", "note"))


def test_one_damaged_place_does_not_change_the_encoding(lists: Lists) -> None:
    raw = TEXT.encode() + "坏".encode()[:2] + b",13700137000,\n" + "好,13600136000,\n".encode()
    run = lists.bring(raw)
    assert run.shape["encoding"] == "utf-8" and run.counters["created"] == 3
    reject = ImportReject.objects.get()
    assert (reject.row, reject.code) == (4, "invalid_character")


def test_quoted_newlines_and_commas_are_one_cell(lists: Lists) -> None:
    run = lists.bring('email,备注\r\na@example.com,"第一行\r\n第二行, ""引号"""\r\nb@example.com,x\r\n')
    values = sorted(p.traits.get("备注", "") for p in Profile.objects.all())
    assert values == ["x", '第一行\r\n第二行, "引号"']
    assert run.counters["created"] == 2


def test_a_cell_of_a_megabyte_refuses_its_row_alone(lists: Lists) -> None:
    run = lists.bring(
        "email,note\na@example.com," + "x" * 1_048_576 + "\nb@example.com,short\n", note="trait:note"
    )
    assert run.counters["created"] == 1
    reject = ImportReject.objects.get()
    assert (reject.row, reject.code, len(reject.excerpt)) == (2, "too_long", 80)


def test_a_quotation_mark_that_never_closes_costs_no_memory(lists: Lists) -> None:
    text = 'email,note\na@example.com,"never closed\n' + f"b@example.com,{'x' * 900}\n" * 6000
    run = lists.bring(text)
    assert run.counters["reject:broken_line"] >= 1
    assert run.counters["duplicates"] > 0


def test_nul_in_a_cell_is_refused(lists: Lists) -> None:
    run = lists.bring("email,name\na@example.com,A\x00B\nb@example.com,B\n")
    assert run.counters["reject:invalid_character"] == 1
    assert ImportReject.objects.get().excerpt == "A␀B"


def test_half_of_the_rows_bad(lists: Lists) -> None:
    text = "email,name\n" + "".join(f"{'bad' if n % 2 else f'p{n}@example.com'},N{n}\n" for n in range(200))
    run = lists.bring(text)
    assert (run.counters["created"], run.counters["rejected"]) == (100, 100)
    assert list(ImportReject.objects.values_list("row", "code", "excerpt")[:2]) == [
        (3, "no_identifier", "bad"),
        (5, "no_identifier", "bad"),
    ]
    assert run.counters["examples"]["no_identifier"] == [[row, "email", "bad"] for row in (3, 5, 7, 9, 11)]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty_file"),
        (b"\n\n\n", "empty_file"),
        (b"\xef\xbb\xbf", "empty_file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old excel", "file_type"),
        (b"%PDF-1.7 ...", "file_type"),
        (b"PK\x03\x04 broken", "broken_workbook"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "unknown_encoding"),
        (("," * 600).encode() + b"\n", "empty_file"),
        ((",".join(f"c{n}" for n in range(600)) + "\n").encode(), "too_many_columns"),
    ],
)
def test_what_is_no_list_is_refused_and_not_kept(
    lists: Lists, own_folder: Path, raw: bytes, code: str
) -> None:
    with pytest.raises(DomainError) as refusal:
        lists.upload(raw)
    assert refusal.value.code == code or (code == "unknown_encoding" and refusal.value.code == "file_type")
    assert ImportRun.objects.count() == 0
    assert list((own_folder / "imports").iterdir()) == []


def test_a_list_above_the_limit_is_refused_and_not_kept(
    lists: Lists, own_folder: Path, monkeypatch: Any
) -> None:
    from crm.kernel import knobs

    real = knobs.get
    monkeypatch.setattr(knobs, "get", lambda name: 1 if name == "crm.import_max_mb" else real(name))
    with pytest.raises(DomainError) as refusal:
        imports.upload("x.csv", (b"x" * 65536 for _ in range(100)), kind="contacts", actor=STAFF, now=NOON)
    assert (refusal.value.code, refusal.value.status) == ("too_large", 413)
    assert list((own_folder / "imports").iterdir()) == []


def test_files_are_private(lists: Lists, own_folder: Path) -> None:
    run = lists.upload(TEXT, name="../../etc/fans.csv")
    path = import_files.original(run.public_id)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert run.file_name == "fans.csv" and path.parent.parent == own_folder / "imports"


def test_the_same_file_gives_the_same_draft(lists: Lists) -> None:
    assert lists.upload(TEXT).pk == lists.upload(TEXT).pk
    assert ImportRun.objects.count() == 1


def test_headers_that_repeat_or_are_missing_are_told_apart(lists: Lists) -> None:
    run = lists.bring("phone,phone,,email\n13800138000,13900139000,x,a@example.com\n")
    assert run.shape["headers"] == ["phone", "phone (2)", "Column 3", "email"]
    assert [c["target"] for c in run.mapping] == ["phone", "trait:phone (2)", "trait:Column 3", "email"]


def test_a_first_line_of_data_is_told_from_a_header(tmp_path: Path) -> None:
    found = shape(tmp_path, b"Ann,a@example.com,13800138000\nBo,b@example.com,13900139000\n")
    assert found.has_header is False and len(found.sample) == 2
    assert [c.target for c in columns.guess(found.headers, found.sample, kind="contacts")][1:] == [
        "email",
        "phone",
    ]


def test_columns_are_guessed_in_both_languages() -> None:
    assert guessed(
        "姓名,手机号码,电子邮箱,出生日期,省份,会员号,备注,积分",
        "王,13800138000,a@b.cn,1990-01-02,江苏,V1,嗯,12",
    ) == [
        "display_name",
        "phone",
        "email",
        "birthday",
        "region",
        "user_id",
        "trait:备注",
        "trait:积分",
    ]
    assert guessed(
        "First Name,Last-Name,E-Mail,Mobile,DOB,Country,Language,opt in",
        "A,B,a@b.com,+4412345678,1990-01-02,GB,en,yes",
    ) == [
        "given_name",
        "family_name",
        "email",
        "phone",
        "birthday",
        "country",
        "language",
        "consent:marketing:email",
    ]
    assert guessed("a,b,c", "x@y.com,13800138000,hello", "z@y.com,13900138000,you") == [
        "email",
        "phone",
        "trait:c",
    ]
    assert guessed(
        "event,timestamp,user id,order id,revenue", "Order Completed,2019-05-21,u1,o1,12", kind="events"
    ) == [
        "kind",
        "occurred_at",
        "user_id",
        "message_id",
        "property:revenue",
    ]


def test_a_mapping_is_remembered_for_the_same_headers(lists: Lists) -> None:
    lists.map(lists.upload(TEXT), 备注="trait:note", 姓名="skip")
    other = lists.upload(TEXT.replace("王小明", "王大明"))
    assert [c["target"] for c in other.mapping] == ["skip", "phone", "trait:note"]
    assert other.shape["remembered"] is True


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ({"姓名": "email", "手机号": "skip"}, None),
        ({"手机号": "skip"}, "no_identifier_column"),
        ({"姓名": "password"}, "invalid_mapping"),
        ({"姓名": "trait:email"}, "invalid_mapping"),
        ({"姓名": "id:anonymous_id"}, "invalid_mapping"),
        ({"姓名": "trait:a", "备注": "trait:a"}, "invalid_mapping"),
        ({"姓名": "consent:fun:email"}, "invalid_mapping"),
        ({"姓名": "trait:a/colour"}, "invalid_mapping"),
    ],
)
def test_mappings_are_checked(lists: Lists, targets: dict[str, str], code: str | None) -> None:
    run = lists.upload(TEXT)
    if code is None:
        assert lists.map(run, **targets).digest
        return
    with pytest.raises(Invalid) as refusal:
        lists.map(run, **targets)
    assert refusal.value.code == code
    run.refresh_from_db()
    assert run.digest == ""


def test_workbooks_are_read_with_dates_and_long_numbers(lists: Lists) -> None:
    raw = book(
        [
            ["姓名", "手机号", "生日", "身份证号", "消费", "会员"],
            ["王小明", 13800138000, date(1990, 5, 21), 320102199005210011, 12.5, True],
            [],
            ["李娜", "13900139000", datetime(1988, 2, 3, 10, 30), "320102198802030022", 3, False],
        ],
        title="粉丝", more=("说明",),
    )  # fmt: skip
    run = lists.bring(
        raw, name="fans.xlsx", 身份证号="id:national_id", 消费="trait:消费/number", 会员="trait:会员/boolean"
    )
    assert run.shape["sheets"] == ["粉丝", "说明"]
    ming = Profile.objects.get(display_name="王小明")
    assert str(ming.birthday) == "1990-05-21"
    assert ming.traits == {"消费": 12.5, "会员": True, "tie_strength": "weak"}
    assert str(Profile.objects.get(display_name="李娜").birthday) == "1988-02-03"
    reject = ImportReject.objects.get()
    assert (reject.row, reject.column, reject.code) == (2, "身份证号", "number_lost")
    assert (run.counters["created"], run.counters["blank"]) == (2, 1)


def test_another_sheet_can_be_chosen(lists: Lists) -> None:
    raw = book([["说明"]], more=("粉丝",))
    run = lists.upload(raw, name="x.xlsx", sheet="粉丝")
    assert run.shape["sheet"] == "粉丝" and run.shape["headers"] == ["other"]


def _repack(raw: bytes, name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            new.writestr(entry, content if entry == name else old.read(entry))
    return out.getvalue()


def test_a_zip_bomb_is_refused_before_it_unpacks(lists: Lists) -> None:
    bomb = _repack(
        book([["email"], ["a@example.com"]]), "xl/worksheets/sheet1.xml", b"<a>" + b" " * 60_000_000
    )
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(Invalid) as refusal:
        lists.upload(bomb, name="x.xlsx")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.code == "zip_bomb" and peak < 20_000_000


@pytest.mark.parametrize(
    "sheet",
    [
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><worksheet>&b;</worksheet>',
        b"<worksheet><sheetData><row r='99999999'></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row r='1'><c r='ZZZ1'><v>1</v></c></row></sheetData></worksheet>",
        b"<worksheet><sheetData>",
    ],
)
def test_broken_and_hostile_sheets_are_refused(lists: Lists, sheet: bytes) -> None:
    raw = _repack(book([["email"]]), "xl/worksheets/sheet1.xml", sheet)
    with pytest.raises(Invalid) as refusal:
        lists.upload(raw, name="x.xlsx")
    assert refusal.value.code == "broken_workbook"


def test_another_archive_is_no_workbook(lists: Lists) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(Invalid) as refusal:
        lists.upload(out.getvalue())
    assert refusal.value.code == "file_type"


def test_serial_numbers_become_days() -> None:
    assert workbooks._moment(32874.0, base_1904=False) == "1990-01-01"
    assert workbooks._moment(32874.5, base_1904=False) == "1990-01-01 12:00:00"
    assert workbooks._moment(0.25, base_1904=False) == "06:00:00"
    assert workbooks._moment(59, base_1904=False) == "1900-02-28"
    assert workbooks._moment(0, base_1904=True) == "1904-01-01"
    assert workbooks._moment(1e9, base_1904=False) == ""


def test_ambiguous_dates_follow_the_order_of_their_column(lists: Lists) -> None:
    text = "email,生日\na@example.com,05/06/1990\nb@example.com,25/12/1990\nc@example.com,31/02/1990\n"
    run = lists.bring(text, 生日="birthday/text/dmy")
    assert sorted(str(p.birthday) for p in Profile.objects.all()) == ["1990-06-05", "1990-12-25", "None"]
    assert run.counters["value:impossible_date"] == 1


def test_reading_goes_on_from_any_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes('\ufeffa,b\n1,"x\ny"\n\n3,é\n4,中\n'.encode())
    every = list(files.rows(path, encoding="utf-8", delimiter=","))
    assert [(row.number, row.cells) for row in every] == [
        (1, ["a", "b"]),
        (2, ["1", "x\ny"]),
        (3, []),
        (4, ["3", "é"]),
        (5, ["4", "中"]),
    ]
    for row in every:
        rest = list(files.rows(path, encoding="utf-8", delimiter=",", offset=row.end, number=row.number))
        assert rest == every[row.number :]


def test_consent_columns_need_evidence(lists: Lists) -> None:
    run = lists.map(lists.upload("email,同意\na@example.com,是\n"))
    with pytest.raises(Invalid) as refusal:
        lists.describe(run)
    assert refusal.value.code == "evidence_needed"
    assert lists.describe(run, consent={**AGREED, "claims": []}).consent["given"] is True
