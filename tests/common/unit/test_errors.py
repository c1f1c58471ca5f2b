import msgspec
import pytest

from libs.common.errors import Code, DbifyError, Detail, ErrorBody, did_you_mean


@pytest.mark.parametrize("code", Code)
def test_every_code_has_an_error_status_and_says_what_it_means(code: Code) -> None:
    assert 400 <= code.status <= 504
    assert code.meaning.endswith(".")
    assert code.name == code.name.upper()


def test_only_our_defects_are_500_and_none_is_502() -> None:
    assert [code for code in Code if code.status in (500, 502)] == [Code.INTERNAL_ERROR]


def test_codes_do_not_swallow_each_other() -> None:
    # An Enum takes two members of equal value for one: each needs a meaning of its own.
    assert len(Code.__members__) == len(list(Code))


def test_an_error_is_answered_in_one_shape() -> None:
    error = DbifyError(Code.TABLE_NOT_FOUND, 'No table "Projct".', {"table": "Projct"})
    assert msgspec.json.decode(msgspec.json.encode(error.body("r1"))) == {
        "errorCode": "TABLE_NOT_FOUND",
        "message": 'No table "Projct".',
        "details": {"table": "Projct"},
        "requestId": "r1",
    }


def test_an_error_survives_the_way_to_another_service() -> None:
    details: dict[str, Detail] = {"a": [1, 2], "b": {"c": "d"}, "e": None, "f": 1.5, "g": True}
    sent = msgspec.json.encode(DbifyError(Code.INVALID_VALUE, "no", details).body(""))
    got = msgspec.json.decode(sent, type=ErrorBody).error()
    assert (got.code, got.message, got.details) == (Code.INVALID_VALUE, "no", details)


def test_a_code_of_a_newer_version_counts_as_internal() -> None:
    assert ErrorBody("NEW_CODE", "x", {}).error().code is Code.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Projct", ' Did you mean "Project"?'),
        ("PROJECT", ' Did you mean "Project"?'),
        ("usr", ' Did you mean "User"?'),
        ("zzzzzz", ""),
        ("", ""),
    ],
)
def test_a_near_name_is_suggested(name: str, hint: str) -> None:
    assert did_you_mean(name, ["Project", "User"]) == hint
