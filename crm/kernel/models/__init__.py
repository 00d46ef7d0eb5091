"""The kernel's tables; the list is closed."""

from crm.kernel.models.action_log import ActionLog
from crm.kernel.models.idempotency import IdempotencyKey
from crm.kernel.models.knob import Knob
from crm.kernel.models.reaction import PendingReaction
from crm.kernel.models.slot import JobSlot

__all__ = ["ActionLog", "IdempotencyKey", "JobSlot", "Knob", "PendingReaction"]
