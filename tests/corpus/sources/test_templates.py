# ruff: noqa: E501
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.sources import templates
from openrealm.corpus.sources.namespaces import Wiki
from openrealm.corpus.sources.wikitext import plain_text

CONVERT = [
    ("{{convert|5|km|mi}}", "5 km"),
    ("{{Convert|1300|mi|km|0|abbr=on}}", "1,300 mi"),
    ("{{cvt|5|to|7|km|mi}}", "5 to 7 km"),
    ("{{convert|10|and|12|ft}}", "10 and 12 ft"),
    ("{{convert|5|–|10|km}}", "5–10 km"),
    ("{{convert|5|-|10|km}}", "5–10 km"),
    ("{{convert|6|ft|2|in|cm}}", "6 ft 2 in"),
    ("{{convert|6|ft|2|m}}", "6 ft"),
    ("{{convert|11|st|4|lb}}", "11 st 4 lb"),
    ("{{convert|25|by|15|in}}", "25 by 15 in"),
    ("{{convert|25|x|15|x|3|in}}", "25 by 15 by 3 in"),
    ("{{convert|25|x|15|in|abbr=on}}", "25 × 15 in"),
    ("{{convert|5|or|6|km}} {{convert|5|+/-|1|km}} {{convert|5|to(-)|6|km}}", "5 or 6 km 5 ± 1 km 5 to 6 km"),
    ("{{convert|2+1/2|in}} {{convert|1/2|in}} {{convert|3//4|in}}", "2 1⁄2 in 1⁄2 in 3⁄4 in"),
    ("{{convert|-5.5|C|F}}", "−5.5 °C"),
    ("{{convert|52419|sqmi|km2}} {{convert|3|km2}}", "52,419 sq mi 3 km²"),
    ("{{convert|1|acre}} {{convert|2|acre}}", "1 acre 2 acres"),
    ("{{convert|2|e6km}}", "2 million km"),
    ("{{convert|5|/sqmi|/km2}}", "5/sq mi"),
    ("{{convert|60|ft|m|adj=mid|-long}} {{convert|5|mi|adj=pre|nautical}}", "60 ft-long 5 nautical mi"),
]
MEASURES = [
    ("{{val|5.3|u=km}} {{val|6.241|e=18}} {{val|5.3|0.2|u=m}}", "5.3 km 6.241×10¹⁸ 5.3±0.2 m"),
    ("{{frac|1|2}} {{frac|3|1|2}} {{frac|3}} 1{{sfrac|1|4}}", "1⁄2 3 1⁄2 1⁄3 1 1⁄4"),
    ("{{US$|5 million}} {{GBP|1200}} {{€|5}} {{currency|7|JPY}}", "US$5 million £1,200 €5 ¥7"),
    ("{{height|ft=6|in=2}} {{height|m=1.85}}", "6 ft 2 in 1.85 m"),
    ("{{coord|57|18|N|4|27|W|display=inline,title}}.{{coord|1|N|2|E|display=title}}", "57°18′N 4°27′W."),
    ("{{coord|44.1|-87.9}}", "44.1°N 87.9°W"),
    ("{{formatnum:3003}} {{formatnum|1234567.8}}", "3,003 1,234,567.8"),
    ("5{{e|9}} {{10^|-3}} m{{sup|2}} H{{sub|2}}O 10<sup>6</sup> 1<sup>st</sup>", "5×10⁹ 10⁻³ m² H2O 10⁶ 1st"),
    ("{{val|1.5e6}} {{val|5|2|e=3|u=m}} {{gaps|12|345}} {{±|5}} {{±|2|1}}", "1.5×10⁶ (5±2)×10³ m 12345 ±5 +2−1"),
    ("{{ordinal|1}} {{ordinal|12}} {{ordinal|1,023}} {{CO2}}", "1st 12th 1023rd CO2"),
    ("{{RailGauge|1435mm}}", "1,435 mm"),
    ("{{chem|H|2|O}} {{chem2|CO2}} {{su|p=a|b=b}}", "H2O CO2 ab"),
]
DATES = [
    (
        "{{as of|2011}}, {{as of|2011|7|lc=y}}, {{As_of|2011|7|5|df=us}}",
        "As of 2011, as of July 2011, As of July 5, 2011",
    ),
    ("{{circa|1941}} {{c.|1900|1950}} {{fl.|1200}} {{reign|1|2}}", "c. 1941 c. 1900 – c. 1950 fl. 1200 r. 1 – 2"),
    (
        "{{birth date|1850|1|2}} {{start date|2000|01|02|df=yes}} {{dts|2000|3}}",
        "January 2, 1850 2 January 2000 March 2000",
    ),
    ("{{birth date and age|1990|5|6}} {{death date and age|1980|5|6|1900|5|7}}", "May 6, 1990 May 6, 1980 (aged 79)"),
    ("{{death year and age|2000|1950}}", "2000 (aged 49–50)"),
    ("{{age|1900|1|2|1980|5|6}} {{OldStyleDate|February 2|1905|January 20}}", "80 February 2 [O.S. January 20] 1905"),
]
WORDS = [
    ("{{key press|Ctrl|C}} {{section link|Mill|Fire}} {{format link|Mill#Fire}}", "Ctrl+C Mill § Fire Mill § Fire"),
    ("{{wikt-lang|en|mill}} {{lit|mill}} {{lang|haw|O{{okina}}ahu}}", "mill lit. 'mill' Oʻahu"),
    ("{{nihongo|Mill|水車|suisha|lit=water wheel}}", "Mill (水車, suisha, lit. 'water wheel')"),
    ("{{URL|example.org}} {{URL|example.org|Site}}", "example.org Site"),
    (
        "{{HMS|Hood|51|6}} {{USS|Enterprise|CVN-65}} {{SS|Ohio||2}} {{MV|Rena}}",
        "HMS Hood USS Enterprise (CVN-65) Ohio MV Rena",
    ),
    ("{{ship|German battleship|Bismarck||2}} {{sclass|Iowa|battleship}}", "Bismarck Iowa-class battleship"),
    (
        "{{lang|fr|belle}} {{lang-de|Hameln}} {{langx|ru|Али́са|Alisa}}",
        "belle German: Hameln Russian: Али́са, romanized: Alisa",
    ),
    ("{{transl|ar|DIN|ʿAbd}} {{transliteration|ja|dō}} {{lang-xyz|x}}", "ʿAbd dō x"),
    ("{{IPA|/a/}} {{IPA-es|ˈlima|lang}} {{IPAc-en|UK|ˈ|l|iː|m|ə}} {{IPA|es|ˈli}}", "/a/ [ˈlima] /ˈliːmə/ [ˈli]"),
    (
        "{{nihongo|hall|本部道場|dōjō}} {{nihongo2|本}} {{zh|c=中文|p=Zhōngwén}}",
        "hall (本部道場, dōjō) 本 Chinese: 中文; pinyin: Zhōngwén",
    ),
    ("{{ill|Mill|de|Mühle}} {{ill|de|Mill|Mühle}} {{ill|Mill|de|lt=the mill}}", "Mill Mill the mill"),
    ("''Eagle''{{'}}s and ''Eagle''{{'s}}", "Eagle's and Eagle's"),
    ("1778{{ndash}}83{{snd}}so{{mdash}}{{nbsp}}x {{abbr|Dr.|Doctor}}", "1778–83 – so— x Dr."),
    ("It {{sic|wsa}} {{not a typo|teh}} {{nowrap|long and}} {{small|low}}.", "It wsa [sic] teh long and low."),
    ("He said{{quote|the mill|Brandt}}and left.", "He said\nthe mill\n— Brandt\nand left."),
    ("{{harvtxt|Boolos|Jeffrey|1974|p=5}}, {{harvnb|A|B|C|1}}", "Boolos & Jeffrey (1974), A, B & C 1"),
    ("{{template:circa|1}} {{#if:x|a|b}}{{lc:ABC}} {{!}} {{#tag:ref|x}}", "c. 1 aabc |"),
]
OTHERS = [
    ("fr", "{{date|1|janvier|2000}} {{date|2|3|1900|en musique}}", "1er janvier 2000 2 mars 1900"),
    ("fr", "{{s|XIX|e}} {{s-|I}} {{s2|XIX|e|XX|e}} {{-s|V|e}} {{XXe siècle}} {{1er}}", "XIXe siècle Ier siècle XIXe et XXe siècles Ve siècle av. J.-C. XXe siècle 1er"),
    ("fr", "{{unité|5|km}} {{unité|5|km|2}} {{nombre|1234|hab.}}", "5 km 5 km² 1 234 hab."),
    ("fr", "{{citation|texte}} {{lien|lang=en|trad=Mill|fr=Moulin}} {{M.}}", "« texte » Moulin M."),
    ("en", "{{date|1|janvier|2000}} {{unité|5|km}} {{fecha|1|1|2000}}", "1er janvier 2000 5 km 1 de enero de 2000"),
    ("de", '{{EUR|5}} {{lang|fr|x}} {{"|Text}} {{enS|mill}} {{formatnum:1234}}', "5 € x „Text“ englisch mill 1.234"),
    ("es", "{{fecha|1|1|2000}} {{unidad|5|km}} {{siglo|XIX}} {{lang-en|mill}}", "1 de enero de 2000 5 km siglo XIX en inglés mill"),
    ("ru", "{{дата|1|1|2000}} {{lang-en|mill}} {{нп5|Mill|мельница}}", "1 января 2000 англ. mill мельница"),
    ("ja", "{{仮リンク|水車|en|Mill}} {{読み仮名|水車|すいしゃ}}", "水車 水車（すいしゃ）"),
]  # fmt: skip


@pytest.mark.parametrize(("markup", "text"), CONVERT + MEASURES + DATES + WORDS)
def test_english_templates_show_what_mediawiki_shows(markup: str, text: str) -> None:
    assert plain_text(f"{markup}", Wiki("en")) == (text, (), ())


@pytest.mark.parametrize(("language", "markup", "text"), OTHERS)
def test_templates_of_other_languages(language: str, markup: str, text: str) -> None:
    assert plain_text(markup, Wiki(language)) == (text, (), ())


@pytest.mark.parametrize(
    ("language", "markup", "text"),
    [
        (
            "fr",
            "La {{2e|division}} et {{Mme|Curie}}, {{n°|5}}, le {{1er|mai}}.",
            "La 2e division et Mme Curie, no 5, le 1er mai.",
        ),
        (
            "fr",
            "Le XIX{{e}} siècle, {{unité|12345|habitants}}, {{drapeau|Pérou}} Pérou.",
            "Le XIXe siècle, 12 345 habitants, Pérou.",
        ),
        ("ru", "5{{s2}}км, {{до н. э.}}, {{ударение|а}}, {{уточнить}}да.", "5 км, до н. э., а\u0301, да."),
        ("ru", "{{OldStyleDate|3 октября|1900|20 сентября}}", "20 сентября (3 октября) 1900"),
        ("de", "Nach {{§|5|BGB}}.{{FN|1}}", "Nach § 5 BGB."),
        ("pt", "É grande{{carece de fontes|data=maio de 2020}}.", "É grande."),
    ],
)
def test_words_given_to_a_template_stay(language: str, markup: str, text: str) -> None:
    assert plain_text(markup, Wiki(language)) == (text, (), ())


@pytest.mark.parametrize(
    ("language", "markup"), [("es", "{{ESP}}"), ("en", "{{code|x=1}}"), ("en", "{{fb|ESP}}"), ("sv", "{{s2|x}}")]
)
def test_a_template_of_another_meaning_loses_the_sentence(language: str, markup: str) -> None:
    assert plain_text(f"It is {markup} here.", Wiki(language)).text == ""


@pytest.mark.parametrize(
    "name",
    ["sfn", "Cite book", "citation needed", "cn", "efn", "Page needed", "whom?", "Use dmy dates", "infobox river",
     "Main", "coord missing", "reflist", "flagicon", "fr icon", "pp-move", "Authority control"],
)  # fmt: skip
def test_templates_that_show_no_words(name: str) -> None:
    assert templates.find(name, "en") is templates.nothing


@pytest.mark.parametrize(
    "markup",
    ["{{convert}}", "{{age|1900|1|2}}", "{{CURRENTYEAR}}", "{{lang-de}}", "{{val}}", "{{cvt|5|mi|km|disp=number}}"],
)
def test_what_cannot_be_known_is_no_empty_text(markup: str) -> None:
    assert len(plain_text(f"It is {markup} here.").lost) == 1


names = st.sampled_from(
    ["convert", "val", "frac", "coord", "as of", "death date and age", "s", "date", "HMS", "ship", "ill", "IPAc-en",
     "nihongo", "zh", "chem", "formatnum:", "#if:", "lang-ru", "langx", "age", "unité", "sclass", "OldStyleDate"]
)  # fmt: skip
values = st.text("0123456789/+-.eE,|=km ftIXV\n'·½²", max_size=30)


@given(names, values, st.sampled_from(["", "en", "fr", "de", "ru"]))
def test_any_parameters_give_text_or_a_lost_sentence(name: str, value: str, language: str) -> None:
    prose = plain_text(f"A {{{{{name}|{value}}}}} b.", Wiki(language))
    assert prose.text or prose.lost
