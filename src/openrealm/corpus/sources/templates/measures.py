"""Templates for numbers and units: convert, val, fractions, amounts of money, heights, coordinates."""

from __future__ import annotations

import re

from openrealm.corpus.sources.marks import FRACTION
from openrealm.corpus.sources.templates.call import Call, Renderer, constant, named
from openrealm.corpus.superscripts import superscript

_RANGES = {
    "-": "–", "–": "–", "−": "–", "—": "–", "to": " to ", "to(-)": " to ", "to-": " to ", "to about": " to about ",
    "and": " and ", "and(-)": " and ", "and-": " and ", "and about": " and about ", "&": " and ", "e": " e ",
    "or": " or ", "or about": " or about ", ",": ", ", ", and": ", and ", ", or": ", or ", "+": " + ", "±": " ± ",
    "+/-": " ± ", "+/−": " ± ", "+-": " ± ", "by": " by ", "by(x)": " by ", "x": " by ", "x(by)": " by ",
    "*": " × ", "×": " × ", "xx": " × ", "/": "/", "till": " till ", "through": " through ", "bis": " bis ", "a": " a ",
    "à": " à ", "et": " et ", "y": " y ", "und": " und ", "до": " до ", "и": " и ",
}  # fmt: skip
_SMALLER_UNITS = {
    "ft": "in",
    "foot": "in inch",
    "feet": "in inches",
    "yd": "ft in",
    "mi": "yd ft chain furlong",
    "lb": "oz",
    "st": "lb",
    "lt": "cwt",
    "m": "cm mm",
    "km": "m",
    "h": "min",
    "chain": "link",
}
_SYMBOLS = {
    "sqmi": "sq mi", "mi2": "sq mi", "sqkm": "km²", "sqm": "m²", "sqft": "sq ft", "ft2": "sq ft", "sqin": "sq in",
    "in2": "sq in", "sqyd": "sq yd", "yd2": "sq yd", "cuft": "cu ft", "ft3": "cu ft", "cuin": "cu in", "in3": "cu in",
    "cuyd": "cu yd", "yd3": "cu yd", "cumi": "cu mi", "C": "°C", "F": "°F", "R": "°R", "C-change": "°C",
    "F-change": "°F", "USgal": "US gal", "usgal": "US gal", "U.S.gal": "US gal", "impgal": "imp gal",
    "USqt": "US qt", "USpt": "US pt", "USoz": "US fl oz", "impoz": "imp fl oz", "ozt": "troy oz", "ftlb": "ft⋅lb",
    "ftlbf": "ft⋅lbf", "ST": "short tons", "LT": "long tons", "MT": "t", "oilbbl": "bbl", "usbu": "US bushels",
    "acre": "acres", "hand": "hands", "fathom": "fathoms", "furlong": "furlongs", "chain": "chains", "day": "days",
    "hour": "hours", "year": "years", "barrel": "barrels", "ly": "light-years", "au": "au", "AU": "AU",
    "PD/sqkm": "/km²", "PD/sqmi": "/sq mi", "pd/sqkm": "/km²", "pd/sqmi": "/sq mi", "u": "u", "deg": "°",
}  # fmt: skip
_SINGULAR = {
    "acres": "acre", "hands": "hand", "fathoms": "fathom", "furlongs": "furlong", "chains": "chain", "days": "day",
    "hours": "hour", "years": "year", "barrels": "barrel", "short tons": "short ton", "long tons": "long ton",
    "light-years": "light-year",
}  # fmt: skip
_POWERS_OF_TEN = {"e3": "thousand", "e6": "million", "e9": "billion", "e12": "trillion"}
_POWER_UNIT = re.compile(r"(e3|e6|e9|e12)(\D.*)")
_DECIMAL = re.compile(r"([+−-]?)(\d[\d,]*|(?=\.))(\.\d+)?")
_MIXED = re.compile(r"([+−-]?)(?:(\d+)\s*\+\s*)?(\d+)//?(\d+)")
_SCIENTIFIC = re.compile(r"([+−-]?[\d.,]+)[eE]([+−-]?\d+)")
_SEPARATORS = {
    "de es it pt nl id tr da el ca gl ro hr sl sr vi": ".,",
    "fr ru uk pl cs sk sv fi nb no nn bg hu et": " ,",
}
_MAX_DIGITS = 100


def number(text: str) -> str:
    """A number as MediaWiki shows it in English: 1,300, −5, 2 1⁄2; what is no number stays as it is."""
    text = text.strip()
    if len(text) > _MAX_DIGITS:
        return text
    if match := _DECIMAL.fullmatch(text):
        whole = match[2].replace(",", "") or "0"
        return f"{_sign(match[1])}{whole if whole[0] == '0' else f'{int(whole):,}'}{match[3] or ''}"
    if match := _MIXED.fullmatch(text):
        return _sign(match[1]) + (f"{match[2]} " if match[2] else FRACTION) + f"{match[3]}⁄{match[4]}"
    if match := _SCIENTIFIC.fullmatch(text):
        return f"{number(match[1])}×10{superscript(match[2])}"
    return text


def local_number(text: str, language: str) -> str:
    """A number with the thousands and decimal separators of a language."""
    separators = next((found for codes, found in _SEPARATORS.items() if language in codes.split()), ",.")
    return number(text).translate(str.maketrans(",.", separators))


def _sign(sign: str) -> str:
    return sign.replace("-", "−")


def _convert(call: Call) -> str | None:
    """The quantity that is converted, with its unit, not the result."""
    given = call.unnamed()
    if not given or not given[0] or "number" in call.get("disp"):  # only the result's number
        return None
    is_short = call.get("abbr") in ("on", "in", "y", "yes")
    value, i = number(given[0]), 1
    while i + 1 < len(given) and given[i] in _RANGES:
        between = " × " if given[i] == "x" and is_short else _RANGES[given[i]]
        value, i = f"{value}{between}{number(given[i + 1])}", i + 2
    code, i = (given[i], i + 1) if i < len(given) else ("", i)
    shown = _quantity(value, code)
    while i + 1 < len(given) and given[i + 1] in _SMALLER_UNITS.get(code.casefold(), "").split():
        code = given[i + 1]
        shown, i = f"{shown} {_quantity(number(given[i]), code)}", i + 2
    added = call.values.get(str(len(given)), "").rstrip() if i < len(given) else ""
    if call.get("adj") == "pre":
        return f"{value} {added.strip()} {shown.removeprefix(value).strip()}"
    if call.get("adj") == "mid":
        return shown + (added if added[:1] in ("-", " ", "") else f" {added}")
    return shown.removeprefix(value).strip() if call.get("disp") == "unit" else shown


def _quantity(value: str, code: str) -> str:
    """Value and unit: ("5", "km2") to "5 km²"."""
    if match := _POWER_UNIT.fullmatch(code):
        value, code = f"{value} {_POWERS_OF_TEN[match[1]]}", match[2]
    unit = _SYMBOLS.get(code) or re.sub(r"(?<=[a-zA-Z])[23](?![\d.])", lambda m: superscript(m[0]), code)
    if value == "1":
        unit = _SINGULAR.get(unit, unit)
    unit = unit.replace("/sqmi", "/sq mi").replace("/sqkm", "/km²")
    return value + ("" if not unit or unit.startswith(("/", "%")) or unit == "°" else " ") + unit


def _val(call: Call) -> str | None:
    """{{val|5.3|0.2|e=18|u=km}} to "5.3±0.2×10¹⁸ km"."""
    given = call.unnamed()
    if not given:
        return None
    shown = number(given[0]) if _SCIENTIFIC.fullmatch(given[0]) else re.sub("^-", "−", given[0])
    if len(given) > 2 and given[1] and given[2]:
        shown += f" +{given[1].lstrip('+')}/−{given[2].lstrip('-−')}"
    elif len(given) > 1 and given[1]:
        shown += given[1] if given[1].startswith("(") else f"±{given[1]}"
    if power := call.get("e"):
        shown = (f"({shown})" if re.search("[±/]", shown) else shown) + f"×10{superscript(power)}"
    unit = call.get("u", "ul", "up", "upl")
    per = call.get("upp", "upl") and ""
    shown = _quantity(shown, unit) + per
    return call.get("p", "pre") + shown + call.get("s", "suf")


def _fraction(call: Call) -> str | None:
    """{{frac|1|2}}, {{frac|3|1|2}} and {{frac|3}}, which is a third."""
    parts = call.unnamed()
    if not 1 <= len(parts) <= 3:
        return None if parts else "⁄"
    whole = f"{parts[0]} " if len(parts) == 3 else ""
    top, bottom = parts[-2:] if len(parts) > 1 else ("1", parts[0])
    is_compound = re.search(r"[\s+−]", f"{top}{bottom}") is not None
    slash = "/" if is_compound else "⁄"
    top, bottom = (f"({part})" if re.search(r"\s", part) else part for part in (top, bottom))
    return f"{FRACTION}{whole}{top}{slash}{bottom}"


def _power(base: str) -> Renderer:
    return lambda call: f"{base}{superscript(call.get('1'))}" if call.get("1") else None


def _amount(before: str, after: str = "") -> Renderer:
    """{{US$|5 million}}: the sign, and the amount if there is one."""
    return lambda call: f"{before}{number(call.get('1'))}{after if call.get('1') else after.strip()}"


def _currency(call: Call) -> str | None:
    """{{currency|5|USD}}."""
    code = call.get("2", "type").upper()
    return f"{_CURRENCY_SIGNS.get(code, f'{code} ')}{number(call.get('1', 'amount'))}"


def _height(call: Call) -> str | None:
    """{{height|ft=6|in=2}}, {{height|m=1.85}}."""
    shown = [f"{number(call.get(unit))} {unit}" for unit in ("m", "cm", "ft", "in") if call.get(unit)]
    return " ".join(shown) or None


def _coordinates(call: Call) -> str | None:
    """{{coord|57|18|22|N|4|27|32|W}} to 57°18′22″N 4°27′32″W; nothing where they are shown beside the title only."""
    if call.get("display") in ("title", "t"):
        return ""
    halves: list[str] = []
    numbers: list[str] = []
    for value in call.unnamed():
        if value.upper() in ("N", "S", "E", "W", "O"):
            halves.append("".join(n + sign for n, sign in zip(numbers, "°′″", strict=False)) + value)
            numbers = []
        elif re.fullmatch(r"[+−-]?[\d.]+", value):
            numbers.append(value)
        else:
            break
    if not halves and len(numbers) == 2:
        signs = ("SN"[not numbers[0].startswith("-")], "WE"[not numbers[1].startswith("-")])
        halves = [f"{n.lstrip('+-')}°{sign}" for n, sign in zip(numbers, signs, strict=True)]
    return " ".join(halves) or None


def _rail_gauge(call: Call) -> str | None:
    match = re.fullmatch(r"([\d.,]+)\s*(mm|m|cm|in)?", call.get("1"))
    return f"{number(match[1])} {match[2] or 'mm'}" if match else None


def _unit(call: Call) -> str | None:
    """{{unité|5|km|2}}, {{unidad|5|km}}: number, and units with their powers."""
    given = call.unnamed()
    if not given:
        return None
    shown = local_number(given[0], call.language)
    for part in given[1:]:
        shown += superscript(part) if re.fullmatch(r"[−-]?\d", part) else f"{'' if part[:1] in '/×' else ' '}{part}"
    return shown + (f"×10{superscript(call.get('e'))}" if call.get("e") else "")


_CURRENCY_SIGNS = {
    "USD": "US$", "AUD": "A$", "CAD": "C$", "NZD": "NZ$", "HKD": "HK$", "SGD": "S$", "EUR": "€", "GBP": "£",
    "JPY": "¥", "CNY": "CN¥", "INR": "₹", "KRW": "₩", "ILS": "₪", "PHP": "₱", "RUB": "₽", "TRY": "₺", "UAH": "₴",
    "VND": "₫", "NGN": "₦", "BRL": "R$", "MXN": "Mex$", "TWD": "NT$", "THB": "฿", "BDT": "৳", "ZAR": "R", "PKR": "Rs ",
    "KZT": "₸", "PLN": "zł ", "CHF": "CHF ", "SEK": "SEK ", "NOK": "NOK ", "DKK": "DKK ",
}  # fmt: skip
_CURRENCY_NAMES = """
US$ USD|A$ AUD|AU$ AUD|CA$ CAD|C$ CAD|CAN$ CAD|NZ$ NZD|HK$ HKD|S$ SGD|SGD SGD|NT$ TWD|R$ BRL|€ EUR|euro EUR|£ GBP
pound_sterling GBP|gbp GBP|¥ JPY|yen JPY|yuan CNY|rmb CNY|₹ INR|indian_rupee INR|rupee INR|inr INR|₩ KRW
south_korean_won KRW|won KRW|₪ ILS|nis ILS|israeli_new_sheqel ILS|₱ PHP|philippine_peso PHP|₽ RUB|ruble RUB|₺ TRY
turkish_lira TRY|₴ UAH|hryvnia UAH|₫ VND|₦ NGN|naira NGN|฿ THB|baht THB|৳ BDT|taka BDT|rand ZAR|pkr PKR|tenge KZT
"""


def _currencies() -> dict[str, Renderer]:
    pairs = [entry.split() for entry in re.split(r"[|\n]", _CURRENCY_NAMES.strip())]
    found = {name.replace("_", " ").casefold(): _amount(_CURRENCY_SIGNS[code]) for name, code in pairs}
    return {code.casefold(): _amount(sign) for code, sign in _CURRENCY_SIGNS.items()} | found


RENDERERS: dict[str, Renderer] = {
    **named("convert;cvt;converter;conv", _convert),
    **named("val;value", _val),
    **named("frac;fraction;sfrac;tfrac;bruch;fracción;fração", _fraction),
    **named("e;esp", _power("×10")),
    **named("10^", _power("10")),
    **named("sup;exp;superscript;hochgestellt;hoch", lambda call: superscript(call.get("1"))),
    **named("height", _height),
    **named("coord;coor dms;coor dm;coor d;coor", _coordinates),
    **named("railgauge;rail gauge;track gauge;trackgauge", _rail_gauge),
    **named("formatnum;fnum;nts;number;zahl", lambda call: local_number(call.get("1"), call.language)),
    **named("unité;unite;unidad;unit;nombre;nb;num;fmtn;fmtnum;nombre unité", _unit),
    **named("currency;iso4217;monnaie;moneda;währung", _currency),
    **named("¢;cent", lambda call: f"{call.get('1')}¢"),
    **named("1/2", constant("1⁄2")),
    **named("1/4", constant("1⁄4")),
    **named("3/4", constant("3⁄4")),
    **_currencies(),
}

BY_LANGUAGE: dict[str, dict[str, Renderer]] = {
    "de": {**named("eur;€", _amount("", " €")), **named("höhe", lambda call: f"{call.get('1')} m")},
    "fr": named("euro;eur;€", _amount("", " €")),
    "es": named("euro;eur;€", _amount("", " €")),
    "it": named("m", lambda call: _quantity(call.get("1"), call.get("u", "ul", "3", "2"))),
}
