"""What is written to people about their own data: confirming a yes, their page, their file, their erasure.

Transactional: each answers something they just asked for. None carries a word that somebody typed in.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from crm.states import Channel, MessageClass
from lifecycle.registry import MessageKind, Template

KINDS: Final = (
    MessageKind(
        code="lifecycle.confirm_consent",
        label=_("Confirm a subscription"),
        message_class=MessageClass.TRANSACTIONAL,
        channels=(Channel.EMAIL,),
        to="contact",
        variables={"contact_id": 1, "confirm_url": "https://example.com/subscribe/abc/"},
        templates={
            "en": Template(
                "One more step: confirm that we may write to you",
                "Hello,\n\n"
                "somebody, we hope you, signed this address up with us.\n\n"
                "If it was you, please open this page, read what you agree to, and press the button:\n"
                "{{ confirm_url }}\n\n"
                "If it was not you, there is nothing to do: without the button nothing is sent to you.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "还差一步：请确认我们可以给您写信",
                "您好！\n\n"
                "有人（希望就是您）用这个邮箱在我们这里登记了订阅。\n\n"
                "如果是您本人，请打开下面的页面，看看同意的内容，再点一下“确认”：\n{{ confirm_url }}\n\n"
                "如果不是您，不用做任何事。没有点确认，我们不会给您发任何东西。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    ),
    MessageKind(
        code="lifecycle.your_page",
        label=_("Link to the own page"),
        message_class=MessageClass.TRANSACTIONAL,
        channels=(Channel.EMAIL,),
        variables={"page_url": "https://example.com/me/abc/preferences/"},
        templates={
            "en": Template(
                "Your own page with us",
                "Hello,\n\n"
                "here is the link to your page. You can see there what we may write to you, how often, and what we "
                "know about you, and change all of it:\n{{ page_url }}\n\n"
                "Keep it to yourself: whoever has the link can open the page.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "您的个人页面",
                "您好！\n\n"
                "这是您个人页面的链接。在那里可以查看和修改：我们能给您发什么、多久发一次、我们了解您哪些信息：\n"
                "{{ page_url }}\n\n"
                "请不要转发：拿到链接的人都能打开这个页面。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    ),
    MessageKind(
        code="lifecycle.export_ready",
        label=_("Personal file ready"),
        message_class=MessageClass.TRANSACTIONAL,
        variables={"file_url": "https://example.com/file/abc/", "hours": 24},
        templates={
            "en": Template(
                "Your file is ready",
                "Hello,\n\n"
                "you asked what we know about you. Everything is in one file, ready for {{ hours }} hours:\n"
                "{{ file_url }}\n\n"
                "After that it is deleted. The link is for you alone.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "您要的个人数据已经准备好了",
                "您好！\n\n"
                "您想知道我们掌握了您的哪些信息。全部内容都在一个文件里，{{ hours }} 小时内可以下载：\n"
                "{{ file_url }}\n\n"
                "到时间后文件会自动删除。链接只供您本人使用。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    ),
    MessageKind(
        code="lifecycle.erasure_scheduled",
        label=_("Erasure scheduled"),
        message_class=MessageClass.TRANSACTIONAL,
        variables={"day": "2026-12-01", "status_url": "https://example.com/erasure/abc/"},
        templates={
            "en": Template(
                "Your data will be erased on {{ day }}",
                "Hello,\n\n"
                "as you asked, everything we know about you will be erased on {{ day }}. Until then we write "
                "nothing to you but this.\n\n"
                "On this page you can still stop it, and afterwards you find the certificate there. Keep the link, "
                "because we shall have no address of yours to send it to again:\n{{ status_url }}\n\n"
                "If it was not you who asked, please stop it on that page.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "您的数据将于 {{ day }} 删除",
                "您好！\n\n"
                "按您的要求，我们会在 {{ day }} 删除关于您的全部信息。在那之前，除了这封信，不会再给您发任何内容。\n\n"
                "在下面的页面上您还可以撤回；删除完成后，证明也在那里。请保存好链接，因为之后我们不再留有您的联系方式：\n"
                "{{ status_url }}\n\n"
                "如果不是您本人提出的，请在该页面撤回。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    ),
)
