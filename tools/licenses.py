"""Fails when an installed distribution has a licence that Dbify, under Apache-2.0, does not want to depend on.

`python -m tools.licenses` looks at every distribution in the environment it runs in, so what `make check` has
installed is what is checked.
"""

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions

# Permissive, and MPL-2.0, whose duties end with its own files, which are used unchanged.
ALLOWED = frozenset(
    {
        "0BSD", "APACHE", "APACHE-2.0", "BLUEOAK-1.0.0", "BSD", "BSD-2-CLAUSE", "BSD-3-CLAUSE", "CC0-1.0",
        "CNRI-PYTHON", "ISC", "MIT", "MIT-0", "MPL-2.0", "POSTGRESQL", "PSF-2.0", "PYTHON-2.0", "UNLICENSE", "ZLIB",
    }
)  # fmt: skip
# Distributions whose metadata say nothing, and what their licence file says.
KNOWN: dict[str, str] = {}
_NAMES = (
    (r"apache", "APACHE-2.0"),
    (r"mozilla|\bmpl\b", "MPL-2.0"),
    (r"\bgpl|\blgpl|\bagpl|gnu ", "GPL"),
    (r"\bisc\b", "ISC"),
    (r"python software|\bpsf", "PSF-2.0"),
    (r"postgresql", "POSTGRESQL"),
    (r"unlicense", "UNLICENSE"),
    (r"\bbsd|redistribution and use in source and binary forms", "BSD"),
    (r"\bmit\b|permission is hereby granted, free of charge", "MIT"),
    (r"zlib", "ZLIB"),
)


def refused(found: Iterable[Distribution]) -> list[str]:
    """A line for each distribution whose licence is not allowed, or not known."""
    lines = []
    for distribution in found:
        name = str(distribution.metadata["Name"])
        licence = KNOWN.get(name.lower()) or licence_of(distribution)
        if not allowed(licence):
            lines.append(f"{name} {distribution.version}: {licence or 'no licence given'}")
    return sorted(set(lines))


def licence_of(distribution: Distribution) -> str:
    """Its licence as an SPDX expression, as far as its metadata tell."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [
        text.rpartition("::")[2]
        for text in metadata.get_all("Classifier") or []
        if text.startswith("License ::") and not text.endswith(("OSI Approved", "DFSG approved"))
    ]
    # More than one classifier is a choice, or several parts: all of them must do.
    return " AND ".join(_spdx(text) for text in classifiers or metadata.get_all("License") or [""])


def _spdx(text: str) -> str:
    if text.strip().upper() in ALLOWED:
        return text.strip()
    return next((name for pattern, name in _NAMES if re.search(pattern, text, re.IGNORECASE)), text.strip()[:60])


def allowed(expression: str) -> bool:
    """Whether an SPDX expression can be met by allowed licences alone; parentheses are not expected to nest."""
    flat = expression.upper().replace("(", " ").replace(")", " ")
    alternatives = re.split(r"\sOR\s", flat) if " AND " not in flat else [re.sub(r"\sOR\s", " AND ", flat)]
    return any(
        all(part.strip() in ALLOWED for part in re.split(r"\s(?:AND|WITH)\s", one))
        for one in alternatives
        if one.strip()
    )


def main() -> int:
    """Check this environment; the exit status."""
    lines = refused(distributions())
    for line in lines:
        sys.stderr.write(f"licence not allowed: {line}\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
