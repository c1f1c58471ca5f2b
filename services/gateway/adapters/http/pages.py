"""Two pages for people, with everything they need in them: nothing is loaded from elsewhere."""

from pathlib import Path

from litestar import MediaType, get

_FOLDER = Path(__file__).parent / "pages"
_INDEX = (_FOLDER / "index.html").read_text("utf-8")
_DOCS = (_FOLDER / "docs.html").read_text("utf-8")


@get("/", media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=False)
def index() -> str:
    """First steps."""
    return _INDEX


@get("/docs", media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=False)
def docs() -> str:
    """The API's description, out of /openapi.json."""
    return _DOCS
