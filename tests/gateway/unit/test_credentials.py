import zlib

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.credentials import (
    ACCOUNT_TOKEN,
    ALPHABET,
    API_KEY,
    RANDOM_LENGTH,
    compose,
    digest,
    is_id,
    shown,
    well_formed,
)

_RANDOM = st.text(ALPHABET, min_size=RANDOM_LENGTH, max_size=RANDOM_LENGTH)


@given(_RANDOM)
def test_what_is_composed_is_well_formed_for_its_kind_alone(random: str) -> None:
    key = compose(API_KEY, random)
    assert len(key) == 42
    assert well_formed(API_KEY, key)
    assert not well_formed(ACCOUNT_TOKEN, key)


@given(_RANDOM, st.integers(4, 41), st.characters())
def test_one_wrong_letter_is_found(random: str, position: int, letter: str) -> None:
    key = compose(API_KEY, random)
    mistyped = key[:position] + letter + key[position + 1 :]
    assert well_formed(API_KEY, mistyped) == (mistyped == key)


@given(st.text())
def test_no_text_is_too_strange_to_be_judged(text: str) -> None:
    well_formed(API_KEY, text)
    well_formed(API_KEY, "dbk_" + text)
    assert len(digest(text)) == 32
    is_id(text)


def test_a_checksum_is_the_crc32_of_all_before_it_in_base_62() -> None:
    key = compose(API_KEY, "0" * RANDOM_LENGTH)
    value = 0
    for digit in key[-6:]:
        value = value * 62 + ALPHABET.index(digit)
    assert value == zlib.crc32(key[:-6].encode())


def test_what_is_shown_of_a_key_gives_nothing_away_that_would_help() -> None:
    assert shown(compose(API_KEY, "ABCDEFGH" * 4)) == "dbk_ABCDEF"


def test_an_id_has_one_form() -> None:
    assert is_id("01a21109-fdf0-72f2-8f00-eff9ec4b8673")
    for text in ("01A21109-FDF0-72F2-8F00-EFF9EC4B8673", "{01a21109-fdf0-72f2-8f00-eff9ec4b8673}", "7", ""):
        assert not is_id(text)
