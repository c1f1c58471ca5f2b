import pytest

from tools.licenses import allowed


@pytest.mark.parametrize(
    "expression",
    [
        "MIT",
        "Apache-2.0 OR BSD-3-Clause",
        "BSD-3-Clause AND MIT AND Zlib",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND ISC",
    ],
)
def test_a_licence_that_allowed_ones_can_meet_is_allowed(expression: str) -> None:
    assert allowed(expression)


@pytest.mark.parametrize(
    "expression", ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "Proprietary", "LGPL-2.1 OR GPL-2.0"]
)
def test_any_other_licence_is_refused(expression: str) -> None:
    assert not allowed(expression)
