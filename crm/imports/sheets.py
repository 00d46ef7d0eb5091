"""Small sheets for staff: samples to start from, and cells that no spreadsheet runs as a formula."""

from __future__ import annotations

from django.utils.translation import get_language

_SAMPLES = {
    ("contacts", True): "姓名,手机号,邮箱,会员号,生日,省份,上次购买,积分,同意营销\n"
    "王小茶,13800000001,xiaocha@example.com,V1001,1990-05-21,江苏,2019-11-11,1280,是\n"
    "李示例,139-0000-0002,,V1002,1988/2/3,浙江,2018-06-18,300,否\n"
    "陈样本,,yangben@example.com,V1003,,北京,2020-01-05,0,\n",
    ("contacts", False): "name,phone,email,user id,birthday,country,last purchase,points,consent\n"
    "Tea Sample,+8613800000001,tea.sample@example.com,V1001,1990-05-21,CN,2019-11-11,1280,yes\n"
    "Ann Example,,ann@example.com,V1002,1988-02-03,SG,2018-06-18,300,no\n"
    "Bo Example,+6581230000,,V1003,,SG,2020-01-05,0,\n",
    ("events", True): "事件,时间,会员号,邮箱,订单号,revenue,category\n"
    "Order Completed,2019-11-11 20:15:00,V1001,xiaocha@example.com,o-1001,128.00,绿茶\n"
    "Order Completed,2018-06-18 10:00:00,V1002,,o-1002,30.00,茶具\n",
    ("events", False): "event,time,user id,email,order id,revenue,category\n"
    "Order Completed,2019-11-11 20:15:00,V1001,tea.sample@example.com,o-1001,128.00,green tea\n"
    "Order Completed,2018-06-18T10:00:00+08:00,V1002,,o-1002,30.00,pots\n",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def sample(kind: str) -> bytes:
    """A list of fictional people or events in the reader's language, as spreadsheets like it."""
    return ("\ufeff" + _SAMPLES[kind, (get_language() or "").startswith("zh")]).encode()


def harmless(cell: str) -> str:
    """A cell that begins like a formula gets an apostrophe in front."""
    return f"'{cell}" if cell.lstrip(" \u3000").startswith(_FORMULA) else cell
