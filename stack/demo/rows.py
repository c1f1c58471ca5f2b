"""The demo's rows, the same on every machine: nothing but a seed and words."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from stack.demo.words import (
    ACTIONS,
    CITIES,
    CLOSINGS,
    COLOURS,
    FAMILY,
    GIVEN,
    KINDS,
    LINES,
    OPENINGS,
    SUBJECTS,
    TAGS,
    TITLES,
    Kind,
)  # fmt: skip

SEED = 20
CUSTOMERS = 1_200
ORDERS = 2_600
REVIEWS = 1_500
# A fixed "today", so that the rows do not depend on when they were made.
_TODAY = datetime(2026, 11, 1, 12, tzinfo=UTC)
_YEAR_S = 365 * 24 * 3600
_SHARE = {5: 34, 4: 30, 3: 16, 2: 11, 1: 9}

Row = tuple[object, ...]


class Product(NamedTuple):
    """What orders and reviews need to know of a product."""

    id: int
    kind: Kind
    line: str
    noun: str
    price: Decimal


class Rows(NamedTuple):
    """A table's rows: its schema and name, the columns, and a tuple a row."""

    schema: str
    table: str
    columns: tuple[str, ...]
    rows: list[Row]


def everything() -> list[Rows]:
    """Every table's rows, in an order that foreign keys allow."""
    random = Random(SEED)  # noqa: S311 - the same rows everywhere, not secrets
    categories = _categories()
    products, product_rows = _products(random, categories)
    customers = _customers(random)
    orders, items = _orders(random, products)
    return [_projects(random), _users(random), categories, customers, product_rows, orders, items,
            _reviews(random, products)]  # fmt: skip


def _projects(random: Random) -> Rows:
    rows = [
        (f"{action} {subject}", why, _before(random, 2))
        for action in ACTIONS
        for subject, why in SUBJECTS
    ]  # fmt: skip
    random.shuffle(rows)
    columns = ("id", "title", "description", "createdAt")
    return Rows("public", "Project", columns, [(number, *row) for number, row in enumerate(rows, 1)])


def _users(random: Random) -> Rows:
    rows: list[Row] = []
    for number, (name, address) in enumerate(_people(random, 100), 1):
        # The first examples update the user whose address is "test".
        email = "test" if number == 7 else f"{address}@example.com"  # noqa: PLR2004
        rows.append((number, email, f"$argon2id$demo${random.getrandbits(96):024x}", name, _before(random, 3)))
    return Rows("public", "User", ("id", "email", "password", "name", "createdAt"), rows)


def _people(random: Random, count: int) -> list[tuple[str, str]]:
    """Names, no two the same, with the part of an address before the @."""
    names = [(given, family) for given in GIVEN for family in FAMILY]
    chosen = random.sample(names, count)
    return [(f"{given} {family}", f"{_ascii(given)}.{_ascii(family)}") for given, family in chosen]


def _ascii(name: str) -> str:
    table = str.maketrans("áéíóúüřáćńıłã", "aeiouuracnila", "'")
    return name.lower().translate(table)


def _categories() -> Rows:
    departments = list(dict.fromkeys(kind.department for kind in KINDS))
    rows: list[Row] = [(None, name, f"Everything for the {name.lower()}") for name in departments]
    rows += [
        (departments.index(kind.department) + 1, kind.category, f"For {kind.use[0]}, and for {kind.use[1]}")
        for kind in KINDS
    ]
    return Rows("shop", "category", ("parent_id", "name", "description"), rows)


def _products(random: Random, categories: Rows) -> tuple[list[Product], Rows]:
    ids = {row[1]: number for number, row in enumerate(categories.rows, 1)}
    names = [(kind, line, noun) for kind in KINDS for noun in kind.nouns for line in random.sample(LINES, 6)]
    products: list[Product] = []
    rows: list[Row] = []
    for number, (kind, line, noun) in enumerate(names, 1):
        low, high = kind.price
        price = Decimal(random.randint(low, high)) + random.choice((Decimal("0.00"), Decimal("0.50"), Decimal("0.95")))
        material, colour = random.choice(kind.materials), random.choice(COLOURS)
        attributes = {"material": material, "colour": colour, "weightG": random.randrange(80, 9_000, 10)}
        praise, use = random.choice(kind.good), random.choice(kind.use)
        text = f"{noun.capitalize()}, {material}, {colour}. It {praise}: made for {use}."
        sku = f"{kind.category[:2].upper()}-{number:04d}"
        products.append(Product(number, kind, line, noun, price))
        rows.append(
            (sku, f"{line} {noun}", ids[kind.category], price, random.choice((0, *range(3, 240))),
             json.dumps(attributes), sorted(random.sample(TAGS, random.randint(0, 3))), text,
             _chance(random, 0.04), _before(random, 4))
        )  # fmt: skip
    columns = ("sku", "name", "category_id", "price", "stock", "attributes", "tags", "description", "discontinued",
               "added_at")  # fmt: skip
    return products, Rows("shop", "product", columns, rows)


def _customers(random: Random) -> Rows:
    rows: list[Row] = []
    for name, address in _people(random, CUSTOMERS):
        city, country = random.choice(CITIES)
        born = date(1945, 1, 1) + timedelta(days=random.randrange(60 * 365)) if _chance(random, 0.8) else None
        preferences = {"language": country.lower(), "theme": random.choice(("light", "dark"))}
        rows.append((f"{address}@example.org", name, city, country, born, _chance(random, 0.4),
                     json.dumps(preferences), _before(random, 4)))  # fmt: skip
    columns = ("email", "name", "city", "country", "birthday", "newsletter", "preferences", "joined_at")
    return Rows("shop", "customer", columns, rows)


def _orders(random: Random, products: list[Product]) -> tuple[Rows, Rows]:
    states = ("placed", "paid", "shipped", "delivered", "returned", "cancelled")
    notes = ("Please leave it with the neighbours", "It is a present: no invoice, please", "Ring twice", "Second floor")
    orders: list[Row] = []
    items: list[Row] = []
    for number in range(1, ORDERS + 1):
        chosen = random.sample(products, random.choice((1, 1, 1, 2, 2, 3, 4)))
        lines = [(number, one.id, random.choice((1, 1, 1, 2, 4)), one.price) for one in chosen]
        total = sum((quantity * price for _, _, quantity, price in lines), Decimal(0))
        placed = _before(random, 2)
        state = random.choices(states, (4, 6, 8, 70, 6, 6))[0]
        shipped = placed + timedelta(hours=random.randint(4, 96)) if state in states[2:5] else None
        note = random.choice(notes) if _chance(random, 0.1) else None
        # Some people order again and again.
        customer = min(random.randint(1, CUSTOMERS), random.randint(1, CUSTOMERS))
        orders.append((customer, state, total, note, placed, shipped))
        items += lines
    return (
        Rows("shop", "order", ("customer_id", "status", "total", "note", "placed_at", "shipped_at"), orders),
        Rows("shop", "order_item", ("order_id", "product_id", "quantity", "price"), items),
    )


def _reviews(random: Random, products: list[Product]) -> Rows:
    pairs = random.sample(range(len(products) * CUSTOMERS), REVIEWS)
    rows: list[Row] = []
    for pair in pairs:
        product = products[pair % len(products)]
        rating = random.choices(list(_SHARE), list(_SHARE.values()))[0]
        title, body = _review(random, product, rating)
        helpful = int(random.expovariate(0.4))
        rows.append((product.id, pair // len(products) + 1, rating, title, body, helpful, _before(random, 2)))
    columns = ("product_id", "customer_id", "rating", "title", "body", "helpful", "written_at")
    return Rows("shop", "review", columns, rows)


def _review(random: Random, product: Product, rating: int) -> tuple[str, str]:
    """A title and a text that fit the product and the rating."""
    kind = product.kind
    praise = random.sample(kind.good, 2)
    blame = random.sample(kind.bad, 2)
    use = random.choice(kind.use)
    middle = {
        1: f"{_capital(blame[0])}, and {blame[1]}. I bought it for {use} and it was no use at all.",
        2: f"For {use} it is barely good enough: {blame[0]}. In fairness, it {praise[0]}.",
        3: f"On the one hand, it {praise[0]}. On the other hand, {blame[0]}. I mostly use it for {use}.",
        4: f"It {praise[0]}, and it {praise[1]}. We use it for {use}. My only complaint: {blame[0]}.",
        5: f"It {praise[0]}, it {praise[1]}, and it has changed {use} for us.",
    }[rating]
    words = {"line": f"{product.line} {product.noun}", "noun": product.noun}
    opening, closing = random.choice(OPENINGS[rating]), random.choice(CLOSINGS[rating])
    parts = [opening.format(**words), middle] + ([closing] if _chance(random, 0.8) else [])
    return random.choice(TITLES[rating]).format(**words), " ".join(parts)


def _chance(random: Random, share: float) -> bool:
    return random.random() < share


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _before(random: Random, years: int) -> datetime:
    return _TODAY - timedelta(seconds=random.randrange(years * _YEAR_S))
