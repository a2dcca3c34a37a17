"""A report on a year's sales: computation in pure Python, whose result depends on the number of orders alone."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

DEFAULT_ORDERS = 400_000  # a third to half a second of CPU on the machine this was written on
MOST_ORDERS = 5_000_000

PRICES = {"anvil": 24900, "bellows": 8950, "chisel": 1575, "file": 990, "hammer": 3250, "tongs": 4400, "vice": 11900}
REGIONS = ("north", "east", "south", "west")
CUSTOMERS = 2000
LARGEST = 20  # pieces in an order
SEED = 20240229


def sales_report(orders: int) -> dict[str, Any]:
    """Totals of a year with this many orders, in cents. Needs the same memory for any number of orders."""
    by_month, by_region, by_product = [0] * 12, [0] * len(REGIONS), [0] * len(PRICES)
    by_customer, by_value = [0] * CUSTOMERS, Counter[int]()
    draw, prices, products = Random(SEED).random, list(PRICES.values()), len(PRICES)
    for _ in range(orders):
        product = int(draw() * products)
        # Small orders are more frequent, and the year ends better than it began.
        value = prices[product] * (1 + int(draw() * draw() * LARGEST))
        by_month[int((1 - draw() * draw()) * 12)] += value
        by_region[int(draw() * 4)] += value
        by_customer[int(draw() * CUSTOMERS)] += value
        by_product[product] += value
        by_value[value] += 1
    best = sorted(range(CUSTOMERS), key=lambda customer: (-by_customer[customer], customer))[:3]
    return {
        "orders": orders,
        "revenue_cents": sum(by_month),
        "by_month": by_month,
        "by_region": dict(zip(REGIONS, by_region, strict=True)),
        "by_product": dict(zip(PRICES, by_product, strict=True)),
        "order_value_cents": {"median": quantile(by_value, 0.5), "p95": quantile(by_value, 0.95)},
        "best_customers": [
            {"customer": customer, "revenue_cents": by_customer[customer]} for customer in best if by_customer[customer]
        ],
    }


def quantile(counts: Counter[int], share: float) -> int:
    """The least value that at least this share of the counted ones doesn't exceed; 0 where there is none."""
    wanted, seen = share * counts.total(), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return 0
