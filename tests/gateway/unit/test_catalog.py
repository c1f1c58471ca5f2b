from dataclasses import dataclass

import pytest

from libs.common.errors import Code, DbifyError
from libs.common.schema import Table
from tests.gateway.tables import BOOK, catalog, column, relation


def table(schema: str, name: str) -> Table:
    return Table(1, schema, name, "table", (column("id", "integer", "integer"),))


TABLES = (
    table("public", "Project"),
    table("public", "app.user"),
    table("app", "user"),
    table("app", "order"),
    table("shop", "order"),
    table("shop", "item"),
    table("we.ird", 'ta"ble'),
    table("second", "Project"),
)


@dataclass(frozen=True)
class Case:
    asked: str
    found: str


@pytest.mark.parametrize(
    "case",
    [
        Case("Project", "public.Project"),
        Case("public.Project", "public.Project"),
        Case("second.Project", "second.Project"),
        Case("item", "shop.item"),
        Case("shop.item", "shop.item"),
        Case("app.user", "app.user"),
        Case("public.app.user", "public.app.user"),
        Case('we.ird.ta"ble', 'we.ird.ta"ble'),
        Case('ta"ble', 'we.ird.ta"ble'),
    ],
    ids=lambda case: case.asked,
)
def test_a_name_finds_its_table(case: Case) -> None:
    assert catalog(*TABLES).resolve(case.asked).name == case.found


def test_the_search_path_decides_between_schemas() -> None:
    found = catalog(*TABLES, search_path=("missing", "second", "public")).resolve("Project")
    assert found.name == "second.Project"


def test_a_name_in_several_schemas_off_the_path_is_ambiguous() -> None:
    with pytest.raises(DbifyError) as caught:
        catalog(*TABLES).resolve("order")
    assert caught.value.code is Code.TABLE_AMBIGUOUS
    assert caught.value.details["tables"] == ["app.order", "shop.order"]


@pytest.mark.parametrize(
    ("asked", "meant"), [("Projct", "Project"), ("project", "Project"), ("shop.itm", "shop.item"), ("zzz", "")]
)
def test_an_unknown_table_names_the_nearest(asked: str, meant: str) -> None:
    with pytest.raises(DbifyError) as caught:
        catalog(*TABLES).resolve(asked)
    assert caught.value.code is Code.TABLE_NOT_FOUND
    assert caught.value.message == f'No table "{asked}".' + (f' Did you mean "{meant}"?' if meant else "")


def test_an_endless_name_is_cut_in_the_message() -> None:
    with pytest.raises(DbifyError) as caught:
        catalog(*TABLES).resolve("x" * 1_000_000)
    assert len(caught.value.message) < 200


def test_an_unknown_column_names_the_nearest_and_those_there_are() -> None:
    with pytest.raises(DbifyError) as caught:
        relation(BOOK).column("titel")
    assert caught.value.code is Code.COLUMN_NOT_FOUND
    assert 'Did you mean "title"?' in caught.value.message
    columns = caught.value.details["columns"]
    assert isinstance(columns, list)
    assert columns[:2] == ["id", "title"]


def test_the_nearest_of_many_tables_is_found() -> None:
    many = [table("public", f"customer_order_item_{number}") for number in range(1_500)]
    with pytest.raises(DbifyError) as caught:
        catalog(*many, *TABLES).resolve("Projcts")
    assert 'Did you mean "Project"?' in caught.value.message
