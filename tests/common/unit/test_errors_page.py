from pathlib import Path

from tools.errors import page


def test_the_page_of_errors_is_printed_from_the_registry() -> None:
    written = Path("docs/reference/errors.md").read_text()
    assert written == page(), "run: python -m tools.errors > docs/reference/errors.md"
