"""Adds an invoice up: exactly, as money is, and with the tax of each rate."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

CENT = Decimal("0.01")


class InvalidInvoice(Exception):
    """Its name and text are what the caller gets to see."""


def number(item, key, default=None):
    value = item.get(key, default)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise InvalidInvoice(f"{key} is {value!r}; give a number of at least 0")
    return number


def cents(amount):
    return amount.quantize(CENT, ROUND_HALF_UP)


def handler(event, context):
    items = event.get("items")
    if not isinstance(items, list) or not items:
        raise InvalidInvoice('there are no items; give {"items": [{"price": 9.99}]}')
    net = Decimal(0)
    taxes = {}
    for item in items:
        line = cents(number(item, "price") * number(item, "quantity", 1))
        rate = number(item, "tax", 0)
        net += line
        taxes[rate] = taxes.get(rate, Decimal(0)) + line * rate / 100
    taxes = {rate: cents(tax) for rate, tax in taxes.items()}
    print(f"{len(items)} items, {context.get_remaining_time_in_millis()} ms left")
    return {
        "net": str(net),
        "tax": {f"{rate.normalize():f}%": str(tax) for rate, tax in sorted(taxes.items())},
        "total": str(net + sum(taxes.values())),
    }
