"""A list comes in through a real browser: the wizard in both languages, wide and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from crm.kernel import clock, roles
from crm.models import ImportRun, Profile
from crm.services import import_work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "Correct-horse-7"
LIST = (
    "姓名,手机号,邮箱,生日,省份,上次购买,同意营销\n"
    + "".join(
        f"王样本{n},1380000{n:04d},fan{n}@example.com,199{n % 10}-05-21,江苏,"
        f"2019-11-{n % 28 + 1:02d},{'是否'[n % 3 == 0]}\n"
        for n in range(60)
    )
    + "李表格,1.38E+10,li@example.com,05/06/1990,浙江,,是\n陈无名,,,,,,\n赵空,null,坏地址,,,,\n"
)
SHOTS = os.environ.get("BROWSER_SHOTS", "")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_wizard_is_walked_in_a_browser(open_page, tmp_path, settings, language):
    settings.DATA_DIR = tmp_path
    roles.sync()
    mei = get_user_model().objects.create_user("mei", password=PASSWORD, is_staff=True, language=language)
    mei.groups.add(Group.objects.get(name="admin"))
    path = tmp_path / "沉睡粉丝 2019.csv"
    path.write_bytes(LIST.encode("gb18030"))
    seen = open_page(width=1440, height=1000, language=language)
    seen.sign_in("mei", PASSWORD)
    page, wrong = seen.page, []

    def look(name: str) -> None:
        for size in ({"width": 1440, "height": 1000}, {"width": 390, "height": 844}):
            page.set_viewport_size(size)
            wrong.extend(f"{name} {size['width']}: {fault}" for fault in seen.faults())
            if seen.overflow() > 0:
                wrong.append(f"{name} {size['width']}: {seen.overflow()} px too wide")
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{name}-{language}-{size['width']}.png", full_page=True)
        page.set_viewport_size({"width": 1440, "height": 1000})

    seen.open("/admin/crm/importrun/dormant/")
    look("dormant-empty")
    seen.open("/admin/crm/importrun/add/")
    page.set_input_files("#id_file", str(path))
    look("upload")
    page.click("form[enctype] button[type=submit]")
    page.wait_for_selector("[data-target]")
    assert page.input_value("#target-1") == "phone" and not page.is_visible("#name-1")
    look("columns")
    page.click("form:has([data-target]) button")
    page.wait_for_selector("#s-source")
    assert not page.is_visible("#s-evidence")
    page.fill("#s-source", "公众号 2019")
    page.check("input[name=tie_strength][value=weak]")
    page.check("input[name=consent][value=yes]")
    page.fill("#s-evidence", "Ticked in the membership form of the Nanjing shop 南京门店会员表")
    page.check("input[name=claims][value='marketing:sms']")
    look("source")
    page.click(".source-form > .row button")
    page.wait_for_selector("progress")
    look("checking")
    run = ImportRun.objects.get()
    import_work.work(run.pk, now=clock.now())
    page.wait_for_selector("button[value=start]")
    look("checked")
    page.click("button[value=start]")
    page.wait_for_selector("button[value=pause]")
    import_work.work(run.pk, now=clock.now())
    page.wait_for_selector("a[href$='/rejects/']")
    look("done")
    assert Profile.objects.count() == 61
    seen.open(f"/admin/crm/importrun/dormant/?run={run.pk}")
    look("dormant")
    seen.open("/admin/crm/importrun/")
    look("list")
    seen.open(f"/admin/crm/profile/{Profile.objects.order_by('pk').first().pk}/change/")
    look("person")
    assert not wrong, "\n".join(dict.fromkeys(wrong))
