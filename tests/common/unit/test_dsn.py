from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.dsn import MAX_NAME_BYTES, Dsn, parse
from libs.common.errors import Code, DbifyError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://username:password@host:5432/mydb", Dsn("host", 5432, "username", "password", "mydb")),
        ("postgresql://u:p@db.example/app", Dsn("db.example", 5432, "u", "p", "app")),
        ("postgresql://u:p@DB.Example:6543/App", Dsn("db.example", 6543, "u", "p", "App")),
        ("postgresql://u%40x:p%3A%2F%40%2525@h/a%2Fb", Dsn("h", 5432, "u@x", "p:/@%25", "a/b")),
        ("postgresql://u:p:q@h/app", Dsn("h", 5432, "u", "p:q", "app")),
        ("postgresql://ü:pä@bücher.example/dätä", Dsn("xn--bcher-kva.example", 5432, "ü", "pä", "dätä")),
        ("postgresql://u:p@my_db/app", Dsn("my_db", 5432, "u", "p", "app")),
        ("postgresql://u:p@93.184.215.14/app", Dsn("93.184.215.14", 5432, "u", "p", "app")),
        ("postgresql://u:p@[2001:DB8:0::1]:1/app", Dsn("2001:db8::1", 1, "u", "p", "app")),
        ("postgresql://u:p@h:65535/app?sslmode=disable", Dsn("h", 65535, "u", "p", "app", "disable")),
        ("postgresql://u:p@h/app?sslmode=allow", Dsn("h", 5432, "u", "p", "app", "prefer")),
        ("postgresql://u:p@h/app?sslmode=verify-full", Dsn("h", 5432, "u", "p", "app", "verify-full")),
        (
            "postgresql://neondb_owner:npg_x@ep-cool-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
            Dsn("ep-cool-1.aws.neon.tech", 5432, "neondb_owner", "npg_x", "neondb", "require"),
        ),
        (
            "postgres://postgres.abcd:x@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1",
            Dsn("aws-0-eu-central-1.pooler.supabase.com", 6543, "postgres.abcd", "x", "postgres", pooled=True),
        ),
        (
            "postgresql://u:p@h/app?application_name=my%20app&connect_timeout=10&gssencmode=disable",
            Dsn("h", 5432, "u", "p", "app"),
        ),
    ],
)
def test_a_url_is_read_whole_with_its_escapes_taken_once(url: str, expected: Dsn) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql://u@h/app", "password"),
        ("postgresql://u:p@h", "postgresql://user:password@host:5432/database"),
        ("postgresql://u:p@ss@h/app", "%40"),
        ("postgresql://u:p#w@h/app", "%23"),
        ("postgresql://u:p%w@h/app", "%25"),
        ("postgresql://u:p@a,b/app", "the primary"),
        ("postgresql://u:p@h/app?options=x", "sslmode"),
        ("postgresql://u:p@h/app?sslmode=x", "verify-full"),
        ("postgresql://u:p@127.1/app", "203.0.113.7"),
        ("mysql://u:p@h/app", "postgresql://"),
    ],
)
def test_a_refusal_says_what_to_write_instead(url: str, hint: str) -> None:
    with pytest.raises(DbifyError) as raised:
        parse(url)
    assert raised.value.code is Code.INVALID_DATABASE_URL
    assert hint in raised.value.message


def test_neither_a_refusal_nor_a_repr_repeats_a_secret() -> None:
    for url in ("postgresql://hidden-user:hidden-word@h:0/hidden-db", "postgresql://u:hidden-word@h/app?hidden-key=x"):
        with pytest.raises(DbifyError) as raised:
            parse(url)
        assert "hidden" not in f"{raised.value.message}{raised.value.details}"
    assert "hidden" not in repr(parse("postgresql://u:hidden-word@h/app"))


_text = st.text(st.characters(min_codepoint=0x21, exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20)


@given(user=_text, password=_text, database=_text, port=st.integers(1, 65535))
def test_whatever_is_percent_encoded_comes_back(user: str, password: str, database: str, port: int) -> None:
    if max(len(user.encode()), len(database.encode())) > MAX_NAME_BYTES:
        return
    encoded = [quote(part, safe="") for part in (user, password, database)]
    assert parse("postgresql://{}:{}@db.example:{port}/{}".format(*encoded, port=port)) == Dsn(
        "db.example", port, user, password, database
    )


@given(st.text() | st.text().map("postgresql://u:p@{}".format) | st.text().map("postgres://u:p@h/d?{}".format))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        dsn = parse(text)
    except DbifyError:
        return
    assert dsn.host.isascii()
    assert dsn.password
