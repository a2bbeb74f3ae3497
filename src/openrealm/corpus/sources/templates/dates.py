"""Templates for dates, years, centuries and ages."""

from __future__ import annotations

import datetime
import re

from openrealm.corpus.sources.templates.call import Call, Renderer, around, constant, named, parameter

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
}


def month(text: str, language: str) -> str:
    """The name of a month given as a number; other text stays."""
    if re.fullmatch("0?[1-9]|1[0-2]", text):
        return _MONTHS[language].split()[int(text) - 1]
    return text


def _english_date(year: str, name: str = "", day: str = "", *, is_day_first: bool = False) -> str:
    """A date from parts, of which the last ones may be missing."""
    name, day = month(name, "en"), day.lstrip("0")
    if not name:
        return year
    if not day:
        return f"{name} {year}"
    return f"{day} {name} {year}" if is_day_first else f"{name} {day}, {year}"


def _is_day_first(call: Call) -> bool:
    return call.is_set("df") or call.is_set("dmy")


def _date(call: Call) -> str | None:
    """{{birth date|1850|1|2}}; the age today, which some add, is left out."""
    parts = call.first(3)
    return _english_date(*parts, is_day_first=_is_day_first(call)) if parts[0] else None


def _death_and_age(call: Call) -> str | None:
    """{{death date and age|1980|5|6|1900|1|2}}."""
    date, age = _date(call), _age(call.unnamed()[3:6] + call.unnamed()[:3])
    return f"{date} (aged {age})" if date and age is not None else date


def _death_year_and_age(call: Call) -> str | None:
    """{{death year and age|2000|1950}} to "2000 (aged 49–50)"."""
    year, born = call.first(2)
    if not (re.fullmatch(r"\d{1,4}", year) and re.fullmatch(r"\d{1,4}", born)):
        return year or None
    age = int(year) - int(born)
    return f"{year} (aged {age - 1}–{age})"


def _age_between(call: Call) -> str | None:
    """{{age|1900|1|2|1980|5|6}}; without a second date it depends on the day of reading."""
    age = _age(call.unnamed())
    return None if age is None else str(age)


def _age(parts: list[str]) -> int | None:
    """Years between two dates, each of year, month and day; None if they are not complete."""
    if len(parts) < 6 or not all(re.fullmatch(r"\d{1,4}", part) for part in parts[:6]):
        return None
    year, *day = (int(part) for part in parts[:3])
    last_year, *last_day = (int(part) for part in parts[3:6])
    return last_year - year - (last_day < day)


def _as_of(call: Call) -> str | None:
    """{{as of|2011|7|lc=y}} to "as of July 2011"."""
    if call.get("alt"):
        return call.get("alt")
    parts = call.first(3)
    if not parts[0]:
        return None
    words = "Since" if call.is_set("since") else "As of"
    bare = call.is_set("bare")
    date = _english_date(*parts, is_day_first=call.get("df") != "US" and call.get("df") != "us")
    return date if bare else f"{words.lower() if call.is_set('lc') else words} {date}" + call.get("post")


def _circa(call: Call) -> str:
    """{{circa|1900|1950}} to "c. 1900 – c. 1950"."""
    return " – ".join(f"c. {year}" for year in call.unnamed() if year) or "c."


def _years(word: str) -> Renderer:
    """{{reign|1200|1250}} to "r. 1200 – 1250"."""
    return lambda call: f"{word} {' – '.join(part for part in call.unnamed() if part)}".strip()


def _old_style(call: Call) -> str | None:
    """{{OldStyleDate|February 2|1905|January 20}}."""
    new, year, old = call.first(3)
    shown = f"{new} [O.S. {old}]" if old else new
    return f"{shown} {year}".strip() or None


def _russian_old_style(call: Call) -> str | None:
    """{{OldStyleDate|3 октября|1900|20 сентября}} to "20 сентября (3 октября) 1900"."""
    new, year, old = call.first(3)
    return f"{old} ({new}) {year}".strip() if old else f"{new} {year}".strip() or None


def _iso_date(call: Call) -> str | None:
    """{{date|2000-01-02}}; other text stays. Three parts are a French date."""
    given = call.get("1")
    if re.fullmatch(r"\d\d?", given):
        return _french_date(call)
    try:
        day = datetime.date.fromisoformat(given)
    except ValueError:
        return given or None
    is_day_first = call.get("2", default="dmy").casefold() != "mdy"
    return _english_date(str(day.year), str(day.month), str(day.day), is_day_first=is_day_first)


def _french_date(call: Call) -> str | None:
    """{{date|1|janvier|2000}} to "1er janvier 2000"; older calls name the day of the week first."""
    parts = [part for part in call.unnamed()[:4] if part]
    if len(parts) > 1 and not parts[0][:1].isdigit() and parts[1][:1].isdigit():
        parts = parts[1:]
    parts = parts[:3]
    if len(parts) > 2 and parts[2].startswith("en "):
        parts.pop()
    if len(parts) < 2:
        return parts[0] if parts else None
    day = "1er" if parts[0] in ("1", "01") else parts[0].lstrip("0")
    return " ".join([day, month(parts[1], "fr"), *parts[2:]])


def _spanish_date(language: str) -> Renderer:
    """{{fecha|1|1|2000}} to "1 de enero de 2000", and the same in Portuguese."""

    def render(call: Call) -> str | None:
        parts = [part for part in call.unnamed()[:3] if part]
        if len(parts) == 3 and re.fullmatch(r"\d{4}", parts[0]):
            parts.reverse()
        if len(parts) < 2:
            return parts[0] if parts else None
        return " de ".join([parts[0].lstrip("0"), month(parts[1], language), *parts[2:]])

    return render


def _plain_date(language: str) -> Renderer:
    """{{дата|1|1|2000}} to "1 января 2000"."""

    def render(call: Call) -> str | None:
        parts = [part for part in call.unnamed()[:3] if part]
        return " ".join([parts[0], month(parts[1], language), *parts[2:]]) if len(parts) > 1 else None

    return render


def _french_centuries(after: str) -> Renderer:
    """{{s|XIX|e}} to "XIXe siècle", {{s2|XIX|e|XX|e}} to "XIXe et XXe siècles"."""

    def render(call: Call) -> str | None:
        parts = [part for part in call.unnamed() if part]
        numerals = [part for part in parts if re.fullmatch("[IVXivx]+", part)]
        if not numerals:
            return None
        words = [f"{numeral}{'er' if numeral == 'I' else 'e'}" for numeral in numerals]
        between = next((part for part in parts if part in ("au", "ou", "-", "–", "et", "à")), "et")
        return f" {between} ".join(words) + (" siècles" if len(words) > 1 else " siècle") + after

    return render


def _ordinal(call: Call) -> str:
    """{{XXe siècle}}, {{1er|mai}}: French ordinals whose name is what they show, with the noun."""
    return f"{call.name.strip()} {call.get('1')}".strip()


FRENCH_ORDINAL = re.compile(r"(?:\d+|[ivxlc]+)(?:er|re|e|ère|nd|nde|d)s?(?: siècles?)?(?: av\. j\.-c\.)?")


def ordinal_of(name: str) -> Renderer | None:
    """The renderer of a template whose name is a French ordinal."""
    return _ordinal if FRENCH_ORDINAL.fullmatch(name) else None


_DATE_NAMES = """
birth date;birth date and age;birth-date;birth-date and age;bda;dob;start date;start date and age;end date
end date and age;film date;death date;death-date;birth year and age;dts;dtsh;birth;release date;launch date
"""
RENDERERS: dict[str, Renderer] = {
    **named(_DATE_NAMES, _date),
    **named("death date and age;death-date and age;dda", _death_and_age),
    **named("death year and age", _death_year_and_age),
    **named("age;age in years;age as of date", _age_between),
    **named("as of;asof", _as_of),
    **named("circa;c.;ca.;ca;circ", _circa),
    **named("floruit;fl.;fl", _years("fl.")),
    **named("reign;r.", _years("r.")),
    **named("born;b.", _years("b.")),
    **named("died;d.", _years("d.")),
    **named("oldstyledate;oldstyledatedy;old style date", _old_style),
    **named("date;start-date;end-date;birth-date", _iso_date),
    **named("abbr year;yearspan", parameter("1")),
    **named("bce;bc", around("", " BC")),
}
BY_LANGUAGE: dict[str, dict[str, Renderer]] = {
    "fr": {
        **named("date;date-;date de naissance;date de naissance-;date de décès;date sport", _french_date),
        **named("s;s-;s2;s2-;sp;sp-;siècle;s mini;s mini-", _french_centuries("")),
        **named("-s;-s-;-sp;-sp-;-s2;-s2-;s av jc", _french_centuries(" av. J.-C.")),
        **named("av jc;av. j.-c.;av j-c", constant("av. J.-C.")),
        **named("ap jc;ap. j.-c.", constant("apr. J.-C.")),
        **named("heure;h", lambda call: " h ".join(call.unnamed()[:2]) + (" h" if len(call.unnamed()) == 1 else "")),
        **named("an;année", parameter("1")),
    },
    "es": {
        **named("fecha;fecha de inicio;fecha de nacimiento;fecha de fallecimiento", _spanish_date("es")),
        **named("siglo", lambda call: f"siglo {call.get('1')}" + (" a. C." if call.get("2") == "a" else "")),
    },
    "pt": {
        **named("dtlink;data;dni;dtext;nascimento;morte", _spanish_date("pt")),
        **named("séc;século", around("século ")),
    },
    "it": named("data", _plain_date("it")),
    "de": named("datum", _plain_date("de")),
    "ru": {**named("дата;date", _plain_date("ru")), **named("oldstyledate;осд", _russian_old_style)},
}
