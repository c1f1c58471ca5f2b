from stack.demo import rows


def test_the_rows_are_the_same_every_time() -> None:
    assert rows.everything() == rows.everything()


def test_every_row_fits_its_columns() -> None:
    for table in rows.everything():
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_first_examples_find_what_they_ask_for() -> None:
    tables = {table.table: table for table in rows.everything()}
    assert len(tables["Project"].rows) == len(tables["User"].rows) == 100
    assert any(row[0] == 3 for row in tables["Project"].rows)
    assert [row[1] for row in tables["User"].rows].count("test") == 1


def test_reviews_read_differently() -> None:
    bodies = [str(row[4]) for table in rows.everything() if table.table == "review" for row in table.rows]
    assert len(set(bodies)) > 0.98 * len(bodies)
    assert not any("{" in body for body in bodies)
