"""Which prefixes of links mean something on a wiki: namespaces, interlanguage links and interwiki links.

The names come from the dump's header, and from tables of what the header leaves out: the aliases that MediaWiki
defines for each language, the languages that have a Wikipedia, and Wikimedia's other projects.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any


class LinkKind(Enum):
    """What a link target's prefix makes of it."""

    PAGE = "page"  # an article, here or in another Wikipedia that the reader is sent to
    OTHER = "other"  # a page that is no article: help, portals, dictionaries, special pages
    FILE = "file"
    CATEGORY = "category"
    LANGUAGE = "language"  # the same article in another language


# MessagesXx.php of MediaWiki: names and aliases of the namespaces 6 and 14.
_FILE_NAMES = """
af lêer beeld|ar ملف صورة|az şəkil fayl|be файл выява|bg файл картинка|bn চিত্র ছবি|br restr skeudenn|bs datoteka slika
ca fitxer imatge|ceb payl|cs soubor|cy delwedd|da fil billede|de datei bild|el αρχείο εικόνα|en file image
eo dosiero|es archivo imagen|et pilt fail|eu fitxategi irudi|fa پرونده تصویر|fi tiedosto kuva|fr fichier image
ga íomhá|gl ficheiro imaxe|he קובץ תמונה|hi चित्र फ़ाइल|hr datoteka slika|hu fájl kép|hy պատկեր ֆայլ|id berkas gambar
is mynd|it file immagine|ja ファイル 画像|jv gambar berkas|ka ფაილი სურათი|kk сурет файл|kn ಚಿತ್ರ|ko 파일 그림
la fasciculus imago|lt vaizdas|lv attēls|mk податотека слика|ml പ്രമാണം ചിത്രം|mr चित्र|ms fail imej|nl bestand afbeelding
nn fil bilde|no fil bilde|oc fichièr imatge|pl plik grafika|pt ficheiro arquivo imagem|ro fișier fişier imagine
ru файл изображение|sh datoteka slika|sk súbor obrázok|sl slika datoteka|sq skeda figura|sr датотека слика datoteka
sv fil bild|ta படிமம்|te దస్త్రం బొమ్మ|th ไฟล์ ภาพ|tl talaksan|tr dosya resim|tt файл рәсем|uk файл зображення
ur ملف تصویر|uz fayl tasvir|vi tập_tin hình|zh 文件 檔案 档案 图像 圖像 图片 圖片
"""
_CATEGORY_NAMES = """
af kategorie|ar تصنيف|az kateqoriya|be катэгорыя|bg категория|bn বিষয়শ্রেণী|br rummad|bs kategorija|ca categoria
ceb kategoriya|cs kategorie|cy categori|da kategori|de kategorie|el κατηγορία|en category|eo kategorio|es categoría
et kategooria|eu kategoria|fa رده|fi luokka|fr catégorie|ga catagóir|gl categoría|he קטגוריה|hi श्रेणी|hr kategorija
hu kategória|hy կատեգորիա|id kategori|is flokkur|it categoria|ja カテゴリ|jv kategori|ka კატეგორია|kk санат|kn ವರ್ಗ
ko 분류|la categoria|lt kategorija|lv kategorija|mk категорија|ml വർഗ്ഗം|mr वर्ग|ms kategori|nl categorie|nn kategori
no kategori|oc categoria|pl kategoria|pt categoria|ro categorie|ru категория|sh kategorija|sk kategória
sl kategorija|sq kategoria|sr категорија kategorija|sv kategori|ta பகுப்பு|te వర్గం|th หมวดหมู่|tl kategorya|tr kategori
tt төркем|uk категорія|ur زمرہ|uz turkum|vi thể_loại|zh 分类 分類
"""
# Codes of the Wikipedias, with the aliases that still work as prefixes.
_LANGUAGE_CODES = """
aa ab ace ady af ak als alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar bat-smg bbc
bcl bdr be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam cdo ce ceb ch cho chr chy
ckb co cr crh cs csb cu cv cy cz da dag de dga din diq dk dsb dtp dty dv dz ee el eml en eo epo es et eu ext fa fat ff
fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he
hi hif ho hr hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io is it iu ja jam jbo jp jv ka kaa kab kbd kbp kcg
kg kge ki kj kk kl km kn knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt
ltg lv lzh mad mai map-bms mdf mg mh mhr mi min minnan mk ml mn mni mnw mo mos mr mrj ms mt mus mwl my myv mzn na nah
nan nap nb nds nds-nl ne new ng nia nl nn no nov nqo nr nrm nso nup nv ny oc olo om or os pa pag pam pap pcd pcm pdc
pdt pfl pi pih pl pms pnb pnt ps pt pwn qu rki rm rmy rn ro roa-rup roa-tara rsk ru rue rup rw sa sah sat sc scn sco sd
se sg sgs sh shi shn shy si simple sk skr sl sm smn sn so sq sr srn ss st stq su sv sw syl szl szy ta tay tcy tdd te
tet tg th ti tig tk tl tly tn to tpi tr trv ts tt tum tw ty tyv udm ug uk ur uz ve vec vep vi vls vo vro wa war wo wuu
xal xh xmf yi yo yue za zea zgh zh zh-cfr zh-classical zh-min-nan zh-yue zu
"""
_WIKIPEDIA_PREFIXES = frozenset({"w", "wikipedia", "wp"})
_PROJECT_NAMES = """
wikt wiktionary b wikibooks q wikiquote s wikisource n wikinews v wikiversity voy wikivoyage species wikispecies c
commons d wikidata m meta metawikipedia mw mediawikiwiki f wikifunctions wmf foundation incubator outreach bugzilla
phabricator phab toollabs toolforge ticket otrs gerrit mail mailarchive doi oeis hdl imdbname imdbtitle wikia google
wikicities arxiv rfc pmid
"""
_PROJECT_PREFIXES = frozenset(_PROJECT_NAMES.split())
_OTHER_NAMES = "media special talk user template mediawiki help portal project draft module book timedtext topic"
_CANONICAL = {
    **dict.fromkeys(("file", "image"), LinkKind.FILE),
    "category": LinkKind.CATEGORY,
    **dict.fromkeys(_OTHER_NAMES.split(), LinkKind.OTHER),
}
_MEDIA_FILE = re.compile(
    r"\.(?:apng|avif|djvu|flac|gif|jpe?g|mid|mp[34]|mpe?g|og[agv]|opus|pdf|png|stl|svg|tiff?|wav|web[mp]|xcf)$", re.I
)
_LANGUAGE_ATTRIBUTE = re.compile(r'<mediawiki\b[^>]*\bxml:lang="([^"]*)"')
_DBNAME = re.compile(r"<dbname>([a-z_]+?)wik[^<]*</dbname>")


def _by_language(table: str) -> dict[str, tuple[str, ...]]:
    rows = (row.split() for row in re.split(r"[|\n]", table.strip()))
    return {language: tuple(_folded(name) for name in names) for language, *names in rows}


def _folded(prefix: str) -> str:
    return prefix.replace("_", " ").strip().casefold()


_FILES, _CATEGORIES = _by_language(_FILE_NAMES), _by_language(_CATEGORY_NAMES)
_ALL_FILES = frozenset(name for names in _FILES.values() for name in names)
_ALL_CATEGORIES = frozenset(name for names in _CATEGORIES.values() for name in names)
_LANGUAGES = frozenset(_LANGUAGE_CODES.split())


@dataclass(frozen=True)
class Wiki:
    """What a dump's header says of its wiki: the language's code, empty if unknown, and names of namespaces by number.

    >>> Wiki("de", {"Datei": 6}).kind_of("Bild:Markt.jpg", is_labelled=True)
    <LinkKind.FILE: 'file'>
    >>> Wiki("en").kind_of("CSI: Miami", is_labelled=False)
    <LinkKind.PAGE: 'page'>
    """

    language: str = ""
    namespaces: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of_header(header: bytes) -> Wiki:
        """The wiki of a dump that begins with `header`; what cannot be parsed is left out."""
        text = header.decode("utf-8", "replace")
        found = _LANGUAGE_ATTRIBUTE.search(text) or _DBNAME.search(text)
        start, end = text.find("<namespaces"), text.find("</namespaces>")
        try:
            spaces = ET.fromstring(text[start:end] + "</namespaces>") if 0 <= start < end else ()
        except ET.ParseError:
            spaces = ()
        numbers = {space.text: space.get("key", "") for space in spaces if space.text}
        named = {name: int(key) for name, key in numbers.items() if re.fullmatch(r"-?\d{1,6}", key)}
        return Wiki(found[1].split("-")[0].lower() if found else "", named)

    def settings(self) -> dict[str, Any]:
        """The parameters as JSON values: `Wiki(**wiki.settings())` equals `wiki`."""
        return {"language": self.language, "namespaces": dict(self.namespaces)}

    def kind_of(self, target: str, *, is_labelled: bool) -> LinkKind:
        """What a link is by its target, without the colon that it may start with.

        A name of files or categories in another language than the wiki's counts only where it cannot be a title: with
        the name of a media file, or without a label.
        """
        prefix, colon, rest = target.partition(":")
        prefix = _folded(prefix)
        if not colon:
            return LinkKind.PAGE
        if prefix in self._known:
            return self._known[prefix]
        if prefix in _ALL_FILES and _MEDIA_FILE.search(rest.strip()):
            return LinkKind.FILE
        if prefix in _ALL_CATEGORIES and not is_labelled:
            return LinkKind.CATEGORY
        return LinkKind.PAGE

    @cached_property
    def _known(self) -> dict[str, LinkKind]:
        kinds = {6: LinkKind.FILE, 14: LinkKind.CATEGORY}
        return {
            **dict.fromkeys(_LANGUAGES - {self.language}, LinkKind.LANGUAGE),
            **dict.fromkeys(_PROJECT_PREFIXES, LinkKind.OTHER),
            **dict.fromkeys(_WIKIPEDIA_PREFIXES, LinkKind.PAGE),
            **_CANONICAL,
            **dict.fromkeys(_FILES.get(self.language, ()), LinkKind.FILE),
            **dict.fromkeys(_CATEGORIES.get(self.language, ()), LinkKind.CATEGORY),
            **{_folded(name): kinds.get(number, LinkKind.OTHER) for name, number in self.namespaces.items() if number},
        }


UNKNOWN = Wiki()
