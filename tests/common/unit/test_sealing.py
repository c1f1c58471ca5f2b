import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.sealing import Keyring

OLD, NEW = base64.b64encode(b"o" * 32).decode(), base64.b64encode(b"n" * 32).decode()
KEYS = Keyring.parse(f"new:{NEW}, old:{OLD}")


@given(st.binary(max_size=500), st.lists(st.text(max_size=10), max_size=4))
def test_what_is_sealed_opens_under_its_context(plain: bytes, context: list[str]) -> None:
    assert KEYS.open(KEYS.seal(plain, *context), *context) == plain


@given(st.lists(st.text(max_size=5), max_size=3), st.lists(st.text(max_size=5), max_size=3))
def test_it_does_not_open_under_another(one: list[str], other: list[str]) -> None:
    sealed = KEYS.seal(b"secret", *one)
    if one != other:
        with pytest.raises(ValueError, match="belongs elsewhere"):
            KEYS.open(sealed, *other)


def test_contexts_that_join_to_the_same_text_are_different() -> None:
    with pytest.raises(ValueError, match="belongs elsewhere"):
        KEYS.open(KEYS.seal(b"secret", "ab", "c"), "a", "bc")


def test_the_same_text_seals_differently_each_time_and_shows_nothing() -> None:
    first, second = KEYS.seal(b"postgres://u:hunter2@h", "1"), KEYS.seal(b"postgres://u:hunter2@h", "1")
    assert first != second
    assert b"hunter2" not in base64.urlsafe_b64decode(first.partition(".")[2])


def test_the_first_key_seals_and_all_of_them_open() -> None:
    before = Keyring.parse(f"old:{OLD}").seal(b"kept", "7")
    assert KEYS.open(before, "7") == b"kept"
    assert KEYS.seal(b"x").startswith("new.")


def test_a_key_that_is_gone_does_not_open() -> None:
    sealed = KEYS.seal(b"x")
    with pytest.raises(ValueError, match="not here"):
        Keyring.parse(f"old:{OLD}").open(sealed)


@pytest.mark.parametrize("position", range(0, 40, 3))
def test_a_changed_text_does_not_open(position: int) -> None:
    identity, _, encoded = KEYS.seal(b"secret").partition(".")
    raw = bytearray(base64.urlsafe_b64decode(encoded))
    raw[position % len(raw)] ^= 1
    with pytest.raises(ValueError, match="changed"):
        KEYS.open(f"{identity}.{base64.urlsafe_b64encode(raw).decode()}")


@pytest.mark.parametrize("sealed", ["", "new", "new.", "new.AAAA", "new.not base64!", "new.ä", ".x", "other.AAAA"])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    with pytest.raises(ValueError, match="sealed"):
        KEYS.open(sealed)


@pytest.mark.parametrize(
    "text",
    ["", ",", "id", "id:", f":{NEW}", f"a b:{NEW}", "id:c2hvcnQ=", "id:hunter2!", f"id:{NEW},id:{OLD}", f"id:{NEW},"],
)
def test_a_malformed_master_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="a master key looks like") as caught:
        Keyring.parse(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
