"""Models of members, one file per noun."""

from members.models.points import LotSpend, PointsAccount, PointsEntry

__all__ = ["LotSpend", "PointsAccount", "PointsEntry"]
