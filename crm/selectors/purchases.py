"""The report of purchases as pages show it: the RFM grid, the groups, the cohorts. Reads one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from crm.kernel.money import Money
from crm.models import PurchaseReport, PurchaseSummary
from crm.states import RFM_GRID, RfmSegment

TONES: Final = {
    RfmSegment.CHAMPIONS: "good",
    RfmSegment.LOYAL: "good",
    RfmSegment.POTENTIAL: "good",
    RfmSegment.ATTENTION: "warn",
    RfmSegment.SLEEPY: "warn",
    RfmSegment.AT_RISK: "bad",
    RfmSegment.MUST_KEEP: "bad",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the grid."""

    recency: int
    frequency: int
    segment: str
    label: Any
    tone: str
    people: int
    share: float
    spent: Money


@dataclass(frozen=True, slots=True)
class Group:
    """One RFM group with its people and what they spent."""

    segment: str
    label: Any
    tone: str
    people: int
    share: float
    spent: Money


def newest() -> PurchaseReport | None:
    """The newest report, or None before the first."""
    return PurchaseReport.objects.order_by("-computed_at").first()


def grid(report: PurchaseReport) -> list[list[Cell]]:
    """Rows from recency 5 down to 1, columns frequency 1 to 5; squares without people are there too."""
    held = {(cell["recency"], cell["frequency"]): cell for cell in report.cells}
    rows = []
    for recency in (5, 4, 3, 2, 1):
        row = []
        for frequency, segment in enumerate(RFM_GRID[recency], start=1):
            cell = held.get((recency, frequency), {"people": 0, "spent": 0})
            row.append(
                Cell(
                    recency,
                    frequency,
                    segment.value,
                    segment.label,
                    TONES.get(segment, ""),
                    cell["people"],
                    _share(cell["people"], report.people),
                    Money(cell["spent"], report.currency),
                )
            )
        rows.append(row)
    return rows


def groups(report: PurchaseReport) -> list[Group]:
    """The groups in their order, those without people too."""
    people: dict[str, int] = {}
    spent: dict[str, int] = {}
    for cell in report.cells:
        if cell["recency"] and cell["frequency"]:
            segment = RFM_GRID[cell["recency"]][cell["frequency"] - 1].value
            people[segment] = people.get(segment, 0) + cell["people"]
            spent[segment] = spent.get(segment, 0) + cell["spent"]
    return [
        Group(
            one.value, one.label, TONES.get(one, ""), people.get(one.value, 0),
            _share(people.get(one.value, 0), report.people), Money(spent.get(one.value, 0), report.currency),
        )
        for one in RfmSegment
    ]  # fmt: skip


def cohorts(report: PurchaseReport) -> list[dict[str, Any]]:
    """Per month of the first order: buyers, shares of those who bought again, median of the days until then."""
    return [
        cohort
        | {
            f"{name}_share": _share(cohort[name], cohort["buyers"])
            for name in ("within_30", "within_90", "within_180", "again")
        }
        for cohort in report.cohorts
    ]


def summary_of(profile_id: int) -> PurchaseSummary | None:
    """The purchases of one person, by the root."""
    return PurchaseSummary.objects.filter(pk=profile_id).first()


def _share(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
