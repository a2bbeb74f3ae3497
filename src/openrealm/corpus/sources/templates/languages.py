"""Templates for words of other languages: language labels, transliterations, pronunciations, links to other wikis."""

from __future__ import annotations

import re

from openrealm.corpus.sources.templates.call import Call, Renderer, around, named, nothing, optional, parameter

_LANGUAGE_NAMES = """
ab Abkhazian|af Afrikaans|ain Ainu|akk Akkadian|aln Gheg Albanian|als Tosk Albanian|am Amharic|an Aragonese
ang Old English|ar Arabic|arc Aramaic|arz Egyptian Arabic|as Assamese|ast Asturian|av Avar|ay Aymara|az Azerbaijani
ba Bashkir|bar Bavarian|be Belarusian|ber Berber|bg Bulgarian|bho Bhojpuri|bm Bambara|bn Bengali|bo Tibetan|br Breton
bs Bosnian|ca Catalan|ce Chechen|ceb Cebuano|chr Cherokee|ckb Sorani Kurdish|co Corsican|cop Coptic|crh Crimean Tatar
cs Czech|cu Church Slavonic|cv Chuvash|cy Welsh|da Danish|de German|dv Maldivian|dz Dzongkha|ee Ewe|egy Egyptian
el Greek|grc Ancient Greek|grc-gre Greek|en English|enm Middle English|eo Esperanto|es Spanish|et Estonian|eu Basque
fa Persian|fi Finnish|fil Filipino|fj Fijian|fo Faroese|fr French|fro Old French|frm Middle French|fur Friulian
fy West Frisian|ga Irish|gd Scottish Gaelic|gl Galician|gmh Middle High German|gn Guarani|goh Old High German
got Gothic|gsw Alemannic German|gu Gujarati|gv Manx|ha Hausa|hak Hakka Chinese|haw Hawaiian|he Hebrew|hi Hindi
hr Croatian|hsb Upper Sorbian|dsb Lower Sorbian|ht Haitian Creole|hu Hungarian|hy Armenian|ia Interlingua|id Indonesian
ig Igbo|ilo Ilocano|is Icelandic|it Italian|iu Inuktitut|ja Japanese|jv Javanese|ka Georgian|kk Kazakh|kl Greenlandic
km Khmer|kn Kannada|ko Korean|ks Kashmiri|ku Kurdish|kw Cornish|ky Kyrgyz|la Latin|lad Ladino|lb Luxembourgish
lij Ligurian|li Limburgish|ln Lingala|lo Lao|lt Lithuanian|lv Latvian|mg Malagasy|mh Marshallese|mi Māori
mk Macedonian|ml Malayalam|mn Mongolian|mo Moldovan|mr Marathi|ms Malay|mt Maltese|my Burmese|na Nauruan|nah Nahuatl
nap Neapolitan|nb Norwegian|nds Low German|ne Nepali|nl Dutch|nn Norwegian|no Norwegian|non Old Norse|nrm Norman
nv Navajo|ny Chewa|oc Occitan|om Oromo|or Odia|os Ossetian|ota Ottoman Turkish|pa Punjabi|pal Middle Persian|pi Pali
pl Polish|pms Piedmontese|prs Dari|ps Pashto|pt Portuguese|qu Quechua|rm Romansh|rn Kirundi|ro Romanian|rom Romani
ru Russian|rus Russian|rue Rusyn|rw Kinyarwanda|sa Sanskrit|sc Sardinian|scn Sicilian|sco Scots|sd Sindhi
se Northern Sami|sga Old Irish|sh Serbo-Croatian|si Sinhala|sk Slovak|sl Slovene|sm Samoan|sn Shona|so Somali
sq Albanian|sr Serbian|sr-cyrl Serbian Cyrillic|sr-latn Serbian Latin|ss Swazi|st Sotho|su Sundanese|sux Sumerian
sv Swedish|sw Swahili|syr Syriac|ta Tamil|te Telugu|tet Tetum|tg Tajik|th Thai|ti Tigrinya|tk Turkmen|tl Tagalog
tn Tswana|to Tongan|tpi Tok Pisin|tr Turkish|ts Tsonga|tt Tatar|ty Tahitian|ug Uyghur|uk Ukrainian|ur Urdu|uz Uzbek
vec Venetian|vi Vietnamese|vls West Flemish|wa Walloon|wo Wolof|xh Xhosa|yi Yiddish|yo Yoruba|yue Cantonese|zh Chinese
zu Zulu|pt-br Brazilian Portuguese|en-us American English|nl-be Belgian Dutch
"""
_NAMES = dict(row.split(" ", 1) for row in re.split(r"[|\n]", _LANGUAGE_NAMES.strip()))
# Labels of lang-xx in other languages' wikis; elsewhere the text stands alone.
_RUSSIAN = "en англ.|de нем.|fr фр.|la лат.|it итал.|es исп.|uk укр.|be белор.|pl польск.|grc др.-греч.|el греч."
_SPANISH = "en inglés|de alemán|fr francés|la latín|it italiano|pt portugués|ca catalán|ru ruso|ja japonés|el griego"
_CHINESE = "en 英語|de 德語|fr 法語|la 拉丁語|it 意大利語|es 西班牙語|ru 俄語|ja 日語|ko 韓語"
_LABELS = {
    "ru": dict(row.split() for row in _RUSSIAN.split("|")),
    "es": {code: f"en {name}" for code, name in (row.split() for row in _SPANISH.split("|"))},
    "zh": {code: f"{name}：" for code, name in (row.split() for row in _CHINESE.split("|"))},
}
_CODE = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,8})*|simple")
_IPA_WORDS = {
    "lang", "local", "pron", "audio", "en", "uk", "us", "rp", "ga", "small", "yes", "no", "also", "au", "ipa", "all",
}  # fmt: skip
_IPA_SIGNS = {"'": "ˈ", ",": "ˌ", "_": " ", "-": "-"}


def of_name(name: str) -> Renderer | None:
    """The renderer of a template whose name contains a language's code, such as lang-de or IPA-es."""
    if match := re.fullmatch(r"lang-([a-z]{2,3}(?:-[a-z-]+)?)", name):
        code = match[1]
        return lambda call: _labelled(call, code, "1", "2", "3")
    if re.fullmatch(r"ipac-[a-z-]+", name):
        return _ipa_signs
    if re.fullmatch(r"(?:ipa|api|afi|ipa link)-[a-z]{2,3}.*", name):
        return _ipa
    if name.startswith("script/"):
        return parameter("1")
    return nothing if re.fullmatch(r"[a-z]{2,3}(?:-[a-z]+)? icon", name) else None


def _labelled(call: Call, code: str, text: str, romanized: str, literal: str) -> str | None:
    """{{lang-ru|Али́са|Alisa}} to "Russian: Али́са, romanized: Alisa"."""
    shown = call.get(text, "text")
    if not shown:
        return None
    if call.get("label", "links") != "none" and call.language not in _LABELS and call.language in ("", "en", "simple"):
        label = call.get("label") or _NAMES.get(code) or _NAMES.get(code.split("-")[0], "")
        shown = f"{label}: {shown}" if label else shown
    elif label := _LABELS.get(call.language, {}).get(code, ""):
        shown = f"{label}{'' if label.endswith('：') else ' '}{shown}"
    more = (call.get(romanized, "translit", "r"), call.get("p"), call.get(literal, "lit"))
    added = (f"romanized: {more[0]}", f"IPA: [{more[1]}]", f"lit. '{more[2]}'")
    return ", ".join([shown, *(words for given, words in zip(more, added, strict=True) if given)])


def _langx(call: Call) -> str | None:
    """{{langx|de|Hameln}}."""
    return _labelled(call, call.get("1").casefold(), "2", "3", "4")


def _ipa(call: Call) -> str | None:
    """{{IPA|/a/}}, {{IPA-es|ˈlima|lang}}, {{IPA|es|ˈlima}}: the transcription, in the brackets that it has there."""
    given = [part for part in call.unnamed() if part]
    has_code = len(given) > 1 and _CODE.fullmatch(given[0])
    given = given[1:] if has_code else given
    if not given:
        return None
    is_bare = (has_code or "-" in call.name) and given[0][:1] not in "[/("
    return f"[{given[0]}]" if is_bare else given[0]


def _ipa_signs(call: Call) -> str | None:
    """{{IPAc-en|UK|ˈ|l|iː|m|ə}} to "/ˈliːmə/"."""
    signs = [part for part in call.unnamed() if part.casefold() not in _IPA_WORDS and "." not in part]
    joined = "".join(_IPA_SIGNS.get(sign, sign.replace("_", " ")) for sign in signs if sign)
    return f"/{joined}/" if joined else None


def _nihongo(call: Call) -> str | None:
    """{{nihongo|headquarters|本部道場|honbu dōjō}}."""
    english, *more = call.first(3)
    notes = ", ".join([part for part in more if part] + [call.get(key) for key in ("4", "extra") if call.get(key)])
    if literal := call.get("lit"):
        notes += f"{', ' if notes else ''}lit. '{literal}'"
    return f"{english} ({notes})".strip() if english and notes else english or notes or None


def _nihongo3(call: Call) -> str | None:
    english, kanji, romaji = call.first(3)
    notes = ", ".join(part for part in (kanji, english) if part)
    return f"{romaji} ({notes})" if romaji and notes else romaji or notes or None


def _by_parameter(table: str) -> Renderer:
    """A renderer that lists labelled parameters: "Chinese: 中文; pinyin: Zhōngwén"."""
    labels = [entry.split(" ", 1) for entry in table.split("|")]

    def render(call: Call) -> str | None:
        shown = [f"{label}: {call.get(key)}" for key, label in labels if call.get(key)]
        return "; ".join(shown) or call.get("1") or None

    return render


def _interlanguage(call: Call) -> str | None:
    """{{ill|Mill|de|Mühle}}, and the older {{ill|de|Mill|Mühle}}."""
    given = call.unnamed()
    if shown := call.get("lt", "display", "texte", "text"):
        return shown
    if len(given) > 1 and _CODE.fullmatch(given[0]) and not _CODE.fullmatch(given[1]):
        return given[3] if len(given) > 3 and given[3] else given[1]
    return call.get("1", "fr", "trad") or None


_GERMAN = """
en englisch|fr französisch|la lateinisch|el griechisch|it italienisch|es spanisch|ru russisch|pl polnisch
cs tschechisch|ar arabisch|he hebräisch|ja japanisch|tr türkisch|nl niederländisch|pt portugiesisch|hu ungarisch
sv schwedisch|da dänisch|uk ukrainisch|zh chinesisch|fa persisch
"""
_GERMAN_LABELS = {
    f"{code}s": around(f"{name} ") for code, name in (row.split() for row in re.split(r"[|\n]", _GERMAN.strip()))
}
_ZH = "c Chinese|s simplified Chinese|t traditional Chinese|p pinyin|w Wade–Giles|j Jyutping|cy Cantonese Yale|l lit."
_KO = "hangul Korean|hanja Hanja|rr RR|mr MR"
_INTERLANGUAGE_NAMES = "ill;interlanguage link;interlanguage link multi;illm;link-interwiki;interlanguage link forced"
RENDERERS: dict[str, Renderer] = {
    **named("lang;rtl-lang;rtl lang;lang-x;langue;lang2;nq;bo-textonly", parameter("2", "text", "texte", "1")),
    **named("langx", _langx),
    **named("transl;transliteration;translit;xlit", lambda call: call.get("3", "2", "1")),
    **named("script;scripts;unicode font;polytonic;polytonisch;hebrew;hebr;arab;spell-nv", parameter("2", "1")),
    **named("ipa;api;afi;ipa2;mfa;ipaslink;ipalink;ipablink;ipa link;ipa blink;prononciation;audio-ipa", _ipa),
    **named("respell", lambda call: "-".join(part.strip("'") for part in call.unnamed() if part.strip("'"))),
    **named("nihongo;nihongo-s;japanese;nihongo krt;nihongo foot", _nihongo),
    **named("nihongo2;nihongo core;kanji", parameter("1")),
    **named("nihongo3", _nihongo3),
    **named("zh;lang-zh;zh-full;zh-cp;chinese", _by_parameter(_ZH)),
    **named("korean;lang-ko2;ko-hhrm", _by_parameter(_KO)),
    **named(_INTERLANGUAGE_NAMES, _interlanguage),
    **named("audio;audio-nohelp;listen inline;pronunciation", optional("2")),
    **named("wikt-lang;wt;wiktla;wdl", parameter("3", "2", "1")),
    **named("linktext;link text", lambda call: "".join(call.unnamed())),
    **named("angbr;angbr ipa;angle bracket;grapheme", around("⟨", "⟩")),
}
BY_LANGUAGE: dict[str, dict[str, Renderer]] = {
    "de": _GERMAN_LABELS,
    "fr": {
        **named("lien;lien interlangue", parameter("texte", "fr", "trad", "1")),
        **named("japonais;nihongo", _nihongo),
        **named("chinois;coréen", parameter("1")),
    },
    "ru": {
        **named("нп;нп1;нп2;нп3;нп4;нп5;не переведено;не переведено 5", parameter("2", "есть", "надо", "1")),
        **named("lang;langi", parameter("2")),
    },
    "ja": {
        **named("仮リンク;ill2", parameter("label", "1")),
        **named("読み仮名;ruby;ルビ", lambda call: f"{call.get('1')}（{call.get('2')}）"),
        **named("補助漢字フォント;jis2004フォント;cjk;拡張漢字;要出典範囲", parameter("1")),
    },
    "zh": {
        **named("link-en;le;link-ja;link-de;link-fr;lke;僻字", parameter("3", "1")),
        **named("tsl;translink", parameter("4", "3", "2")),
        **named("bd", lambda call: "".join(call.unnamed()[:2]) + "－" + "".join(call.unnamed()[2:4])),
    },
}
