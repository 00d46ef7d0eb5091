"""members: how we grow together.

Promises: points move once per cause; an entry is never changed, a correction is another entry; a balance is the
sum of its entries and never below zero; each debit says which credits it spent.
Vocabulary: points account, entry, lot (a credit that can be spent), debit, transfer.
Reading order: states.py, models/, services/points.py, receivers.py.
"""
