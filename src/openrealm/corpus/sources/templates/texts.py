"""Templates that show fixed text, one of their parameters, a ship's name, a quotation or a list."""

from __future__ import annotations

import re

from openrealm.corpus.sources.marks import APOSTROPHE
from openrealm.corpus.sources.templates.call import (
    Call,
    Renderer,
    around,
    before,
    constant,
    named,
    nothing,
    optional,
    parameter,
)

_PARAMETER_1 = """
nowrap;nobr;nobold;noitalic;nocaps;small;smaller;big;bigger;large;larger;huge;midsize;resize text;visible anchor;vanchor
sub;sc;smallcaps;small caps;sc1;sc2;scapsonly;abbr;abbrv;tooltip;hover title;define;abbreviation;abréviation;abr
not a typo;typo;nat;as written;sic2;proper name;delink;nolink;plain link;text;plain text;nowiki;unstrip;strikethrough
u;underline;overline;ul;em;strong;bold;italic;itálico;b;i;kbd;code;mono;var;mvar;math;tmath;char;button;samp
codes;tt;pre;left;right;center;centre;centered;normal;highlight;mark;color box;xt;mxt;!xt;tq;gloss;term;trans;literal
avoid wrap;nowraplinks;no wrap;nobreak;nbr;esd;wrap;lc;longitem;pad;align;transl2;unicode;cuneiform;hiero;music symbol
nobelprize;nom;flagcountry;flag;flagu;flagg;country;flag+link;flag link;flagcountry2;drapeau2;cref;vr;gr;la
anchor text;visible;zhi;cjkv;lang-name;inlinequote;dubious span;citation needed span;cn span;cns;csn;fact span
reference needed;clarify span;cita requerida;référence souhaitée;refsou;référence nécessaire;refnec;citazione necessaria
pas clair;passage évasif;quoi;要出典;要出典範囲;bigmath;chem2;ce;petit;grand;pt;bdi;rtl;ltr;font;nowrap begin;isbnt
"""
_SYMBOLS = {
    "'": APOSTROPHE, "'s": f"{APOSTROPHE}s", "' \"": f'{APOSTROPHE} "', "\" '": f'" {APOSTROPHE}',
    "\"'": f'"{APOSTROPHE}', "'\"": f'{APOSTROPHE}"', "-\"": '"', "s'": f"s{APOSTROPHE}", "`": "`",
    "ndash": "–", "en dash": "–", "–": "–", "mdash": "—", "emdash": "—", "endash": "–",
    "ensp": " ", "emsp": " ", "em dash": "—", "—": "—", "mdashb": "—", "nbndash": "–",
    "snd": " – ", "spnd": " – ", "spd": " – ", "sndash": " – ", "spaced ndash": " – ", "spaced en dash": " – ",
    "spndash": " – ", "spaced en dash space": " – ", "snds": " – ", "dash": " – ", "smd": " — ", "spaced mdash": " — ",
    "spaced em dash": " — ", "nbsp": " ", "space": " ", "sp": " ", "spaces": " ", "thinsp": " ", "thin space": " ",
    "thinspace": " ", "hair space": " ", "hairsp": " ", "indent": " ", "in5": " ", "pad": " ", "nnbsp": " ",
    "quad": " ", "figure space": " ", "shy": "", "zwsp": "", "zwj": "\u200d", "zwnj": "\u200c", "wbr": "",
    "dot": " · ", "dot separator": " · ", "·": " · ", "middot": " · ", "bullet": " • ", "•": " • ",
    "!": "|", "=": "=", "pipe": "|", "(": "{", ")": "}", "((": "{{", "))": "}}", "[": "[", "]": "]", "bracket": "[",
    "bang": "!", "colon": ":", "ampersand": "&", "&": "&", "*": "*", "asterisk": "*", "number sign": "#",
    "minus": "−", "times": "×", "degree": "°", "deg": "°", "prime": "′",
    "pprime": "″", "ell": "ℓ", "pi": "π", "tau": "τ", "sigma": "σ", "eqm": "⇌", "equilibrium": "⇌", "right arrow": "→",
    "rarr": "→", "left arrow": "←", "arrow": "→", "dagger": "†", "double-dagger": "‡", "sharp": "♯", "flat": "♭",
    "natural": "♮", "sic": "[sic]", "ad": "AD", "ce era": "CE", "ibid.": "ibid.",
    "usa": "United States", "uk": "United Kingdom", "eu": "European Union",
    "usdollar": "US$", "lbf": "lbf", "mvdash": "–", "tiret": "–", "spaced": " ", "wj": "", "clarif": "", "0": "",
    "co2": "CO2", "h2o": "H2O", "o2": "O2", "n2": "N2", "ch4": "CH4", "h2so4": "H2SO4", "nox": "NOx",
    "okina": "ʻ", "ʻ": "ʻ", "ayin": "ʿ", "hamza": "ʾ", "double dagger": "‡", "'-": APOSTROPHE, "\\": " / ",
    "nowrap end": "", "crlf": "\n", "pb": "\n", "increase": "", "decrease": "", "steady": "",
    "hydrogen": "H", "carbon": "C", "oxygen": "O", "nitrogen": "N",
}  # fmt: skip
_WORDS = {
    "no.": "No.", "n°": "no", "numéro": "no", "nº": "no", "mr.": "Mr.", "mme": "Mme", "mlle": "Mlle", "m.": "M.",
    "mgr": "Mgr", "st": "St", "ste": "Ste", "dr": "Dr", "cf.": "cf.", "mm.": "MM.", "mmes": "Mmes", "vve": "Vve",
}  # fmt: skip
_SHIP_PREFIXES = """
AHS;AS;ARA;BAP;BNS;BRP;CCGS;CS;CSS;DSV;ENS;FNS;FV;GTS;HDMS;HHMS;HMAS;HMBS;HMCS;HMCyS;HMHS;HMIS;HMM;HMNZS;HMPNGS;HMS;HMSAS
HMT;HMVS;HMY;HNLMS;HNoMS;HNMS;HSwMS;HTMS;INS;IRIS;JDS;JS;KD;KNM;KRI;LE;LÉ;MF;MS;MSC;MT;MTS;MV;MY;NCSM;NMS;NRP;ORP;PNS;PS
RFA;RHS;RIMS;RMS;ROKS;RSS;RV;SAS;SLNS;SM;SMS;SS;SSV;STS;SY;TCG;TS;TSMS;TSS;USAHS;USAT;USAV;USC&GS;USCGC;USCGS;USFC;USFS
USNS;USRC;USS;USSS;USTS;VSM;WSS
"""
_SHIP_FORMS = {
    "": "{prefix} {name} ({id})", "1": "{id}", "2": "{name}", "3": "{name} ({id})", "4": "{prefix} ({id})",
    "5": "{prefix} {id}", "6": "{prefix} {name}",
}  # fmt: skip


def _ship(prefix: str) -> Renderer:
    """{{HMS|Hood|51|6}} to "HMS Hood"."""

    def render(call: Call) -> str | None:
        name, number, form = call.first(3)
        if not name:
            return None
        if not number:
            form = {"": "6", "1": "6", "3": "2", "4": "6", "5": "6"}.get(form, form)
        return _SHIP_FORMS.get(form, _SHIP_FORMS["6"]).format(prefix=prefix, name=name, id=number)

    return render


def _ship_of_country(call: Call) -> str | None:
    """{{ship|German battleship|Bismarck||2}} to "Bismarck"."""
    prefix, *rest = call.unnamed() or [""]
    return _ship(prefix)(Call(call.name, {str(n): value for n, value in enumerate(rest, 1)}, call.language))


def _ship_class(call: Call) -> str | None:
    """{{sclass|Iowa|battleship}} to "Iowa-class battleship"."""
    name, kind, form = call.first(3)
    if not name:
        return None
    return f"{name} class" if form in ("4", "5") or not kind else f"{name}-class {kind}"


def _quotation(call: Call) -> str | None:
    """A quotation set apart, and its author."""
    text = call.get("text", "quote", "1", "texte", "texto", "testo", "цитата")
    origin = ", ".join(part for part in (call.get("author", "sign", "by", "2"), call.get("source", "3")) if part)
    return f"\n{text}\n" + (f"— {origin}\n" if origin else "") if text else None


def _list(call: Call) -> str | None:
    """Items one after another."""
    return ", ".join(part for part in call.unnamed() if part) or None


def _joined(call: Call) -> str | None:
    """{{chem|H|2|O}} to "H2O"."""
    return "".join(call.unnamed()) or None


def _deviation(call: Call) -> str:
    """{{±|5}} to "±5", {{±|2|1}} to "+2−1"."""
    above, below = call.first(2)
    return f"+{above}−{below}" if below else f"±{above}"


def _section(call: Call) -> str | None:
    """{{section link|Mill|History}} and {{format link|Mill#History}} to "Mill § History"."""
    page, *sections = [part for given in call.unnamed() for part in given.split("#", 1)] or [""]
    names = ", ".join(part for part in sections if part)
    return f"{page} § {names}".strip() if names else page or None


def _ordinal(call: Call) -> str | None:
    """{{ordinal|22}} to "22nd"."""
    number = call.get("1").replace(",", "")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        return None
    is_teen = number[-2:-1] == "1"
    return number + ("th" if is_teen else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th"))


def _stacked(call: Call) -> str | None:
    return "".join([call.get("p", "1"), call.get("b", "2")]) or None


def _sic(call: Call) -> str:
    """{{sic|wrod}} to "wrod [sic]"; hidden on request."""
    words = "".join(call.unnamed())
    is_hidden = call.get("hide", "hidden", "nolink").casefold() in ("y", "yes")
    return words if is_hidden and words else f"{words} [sic]".strip()


def _authors(form: str) -> Renderer:
    """{{harvtxt|Boolos|Jeffrey|1974|p=5}} to "Boolos & Jeffrey (1974)"."""

    def render(call: Call) -> str | None:
        *names, year = [part for part in call.unnamed() if part] or [""]
        if not names:
            return None
        authors = (
            f"{names[0]} et al." if len(names) > 3 else " & ".join([", ".join(names[:-1]), names[-1]][-len(names) :])
        )
        return form.format(authors=authors, year=year)

    return render


def _music(call: Call) -> str:
    signs = {"flat": "♭", "b": "♭", "sharp": "♯", "#": "♯", "natural": "♮", "n": "♮"}
    return "".join(signs.get(part.casefold(), part) for part in call.unnamed())


_QUOTATIONS = (
    "quote;blockquote;bquote;cquote;quotation;quote box;rquote;pull quote;zitat;bloc citation;citation bloc;cita"
)
RENDERERS: dict[str, Renderer] = {
    **named(_PARAMETER_1, parameter("1", "text", "texte")),
    **{name: constant(text) for name, text in _SYMBOLS.items()},
    **{name: before(text) for name, text in _WORDS.items()},
    **named("yes", lambda call: call.get("1", default="Yes")),
    **named("no", lambda call: call.get("1", default="No")),
    **{prefix.casefold(): _ship(prefix) for prefix in re.split(r"[;\n]", _SHIP_PREFIXES.strip())},
    **named("ship;navire", _ship_of_country),
    **named("sclass;sclass-;sclass2;sclass2-;jclass;jclass2;ship class", _ship_class),
    **named("color;font color;fontcolor;colour;farbe;resize;sort;hs;nhidden", parameter("2", "1")),
    **named(f"{_QUOTATIONS};цитата", _quotation),
    **named("hlist;ubl;ublist;unbulleted list;plainlist;flatlist;ubt;unbullet;cslist;blist", _list),
    **named("chem;su-chem;nuclide2;chemf;simplenuclide;gaps", _joined),
    **named("plusminus;+-;±", _deviation),
    **named("key press;keypress;key;keys", lambda call: "+".join(part for part in call.unnamed() if part) or None),
    **named("section link;slink;sectionlink;seclink;format link", _section),
    **named("url;official url;native phrase;native name;lang-nat", parameter("2", "1")),
    **named("ordinal;ord", _ordinal),
    **named("lit;lit.;literally;literal translation", around("lit. '", "'")),
    **named("translation;trans.;transl.", around("transl. '", "'")),
    **named("stn;noflag;noflagcountry;mlby;nfly", parameter("1")),
    **named("rws", around("", " railway station")),
    **named("su", _stacked),
    **named("sic", _sic),
    **named("harvtxt;harvcoltxt;harvard citation text;harvs", _authors("{authors} ({year})")),
    **named("harv;harvcol;harvp;harvard citation;harvard citations", _authors("({authors} {year})")),
    **named("harvnb;harvcolnb;harvard citation no brackets", _authors("{authors} {year}")),
    **named("music", _music),
    **named('inlinequote;";q;quote inline;qq', around('"', '"')),
    **named("ruby;ruby-ja", lambda call: f"{call.get('1')} ({call.get('2')})"),
    **named("née;nee", around("née ")),
    **named("né", around("né ")),
    **named("p.;p", around("p. ")),
    **named("pp.", around("pp. ")),
    **named("vol.", around("vol. ")),
    **named("noitalics;ubx;math;bigmath;radic;sqrt", parameter("1")),
    **named("radic;sqrt", around("√")),
    **named("pgn;page;inpage", around("p. ")),
    **named("bibleverse;bibleref;bibleref2", lambda call: " ".join(call.unnamed()[:2])),
    **named("player;sortname;sort name", lambda call: " ".join(call.unnamed()[:2])),
    **named("lrl;isbn;issn;oclc", lambda call: f"{call.name.strip().upper()} {call.get('1')}"),
}
BY_LANGUAGE: dict[str, dict[str, Renderer]] = {
    "fr": {
        **{name: constant(name) for name in ("e", "er", "re")},
        **named("drapeau;ancre;fanion", nothing),
        **named('citation;cita;";guillemets;«', around("« ", " »")),
        **named("ind;indice;noir;blanc;abréviation discrète;page h';unité/2", parameter("1")),
        **named("p.;p", around("p. ")),
        **named("citation bloc;début citation bloc;vers", _quotation),
    },
    "de": {
        **named('";zitat-de', around("„", "“")),
        **named("fn;anker;lesenswert;exzellent", nothing),
        **named("§", lambda call: " ".join(["§", *call.unnamed()[:2]])),
        **named("zitat", lambda call: f"„{call.get('1', 'Text')}“"),
    },
    "es": named('cita;cita textual;"', around("«", "»")),
    "it": {**named("citazione;quote", _quotation), **named("senza fonte", optional("1"))},
    "ru": {
        **named("s;nobr;num;стиль;подсказка;comment;флагификация", parameter("1")),
        **named("ударение", around("", "\u0301")),
        **named("акут", constant("\u0301")),
        **named("до н. э.;до н.э.", constant("до н. э.")),
        **named("уточнить;когда;кто;где;какой;примечания;флаг", nothing),
        **named("s2;s3", constant(" ")),
        **named("s'", constant(f"s{APOSTROPHE}")),
    },
    "pt": {**named("citação;quote", _quotation), **named("carece de fontes", optional("1"))},
}
