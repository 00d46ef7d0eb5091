"""Words of members that are stored in rows. Pure Python."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class EntryKind(models.TextChoices):
    """Why points moved."""

    EARNED = "earned", _("Earned")
    THANKS = "thanks", _("Thank-you")
    GRANTED = "granted", _("Given by staff")
    SPENT = "spent", _("Spent")
    TAKEN = "taken", _("Taken back by staff")
    EXPIRED = "expired", _("Expired")
    MERGE_IN = "merge_in", _("Moved in with a merge")
    MERGE_OUT = "merge_out", _("Moved out with a merge")
    SHORTFALL = "shortfall", _("Could not be moved back")


# Kinds a caller of the API or of the staff form may choose; the others belong to the product.
CREDIT_KINDS = (EntryKind.EARNED, EntryKind.GRANTED)
DEBIT_KINDS = (EntryKind.SPENT, EntryKind.TAKEN)
