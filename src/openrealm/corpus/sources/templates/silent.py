"""Templates that show no words within a sentence: citations, maintenance notes, boxes, hatnotes."""

from __future__ import annotations

import re

_PATTERNS = r"""
cite\b.*|citation.*|vcite.*|cit[ae]r? .*|cit-.*|cytuj.*|literatur|internetquelle
cita (?:web|libro|news|testo|pubblicazione)
(?:ouvrage|article|lien web|chapitre|lien brisé|périodique|harvsp|note|référence.*|réf\b.*|refinsuff|sfnm?).{0,9}
sfn.*|source.*
harv.*|snf.*|efn.*|refn.*|ref|refs|ref-.*|reflist.*|references|notelist.*|note label.*|note|notetag|rp|rpp?|r
rref|#tag:ref.*|cn|cb|fact|facts|.* needed|.* needed (?:inline|section)|.* span end|needs.*|.*[?？]|.*\bverification.*
clarify.*|clarification.*|clarifyme|explain|huh|what|who|whom|by whom|by who|when|when\?|where|which|why|how|vague.*
whose|dubious.*|disputed.*|doubt|discuss.*|weasel.*|peacock.*|pov.*|npov.*|or|or-inline|original research.*|synth.*
speculation.*|verify.*|failed.*|unreliable.*|better source.*|self-published.*|primary.*|third[- ]party.*|nonspecific
non-primary.*|dead ?link.*|dead|webarchive|wayback|link rot|cbignore|full|full citation.*|pn|page number.*|update.*
out ?of ?date.*|specify|undue.*|lopsided|ambiguous|according to.*|attribut.*
(?:relevance|importance|notability|irrelevant).*|qualify.*|quantify.*|examples?|like whom|contradict.*|inconsistent.*
expand.*|copy ?edit.*|clean ?up.*|merge.*|split.*|jargon.*|technical.*|context.*|definition|undefined|too many.*
refimprove.*|unreferenced.*|more citations.*|one source.*|inflation-?fn|inflation/fn|anchor.*|shortcut|clear|clr|-|br
toc.*|(?:compact )?toc|flag ?icon.*|flagdeco|cricon|icon.*|default ?sort.*|display ?title.*|lowercase.*
italic ?title.*|use .*|short description|pp|pp-.*|good article|featured.*|.* icon|authority control|portal.*|sister.*
commons.*|wikt.*|wikisource.*|wikiquote.*|wikibooks.*|wikivoyage.*|subject bar.*|main|main article.*|see also.*
seealso|further.*|details.*|hatnote.*|about.*|for|for[- ].*|other ?uses.*|other ?people.*|redirect.*|distinguish.*
not to be confused.*|confus.*|otheruses.*|dablink|rellink|selfref|this|two other uses|voir.*|infobox.*|.* infobox
taxobox.*|automatic taxobox|speciesbox|.*box|.*box \w+|navbox.*|.* sidebar|sidebar.*|.* topics|.*-stub|stub|siehe auch
hauptartikel|weiterleitungshinweis.*|begriffsklärungshinweis|coordinate|lückenhaft|belege.*|überarbeiten.*
article détaillé|ébauche.*|à sourcer|admissibilité|portail.*|bases|autres projets.*|infobox .*|palette.*|véase.*|ap|at
otros usos.*|referencias.*|desambiguación.*|traducido.*|vedi.*|nota disambigua|interprogetto|portale.*|s?cn?f
не путать|см\. также.*|см\. ?ниже|подст.*|нет аи|карточка.*|значения|навигационная.*|rq|otheruseslist|出典.*|脚注.*
参考.*
multiple image|image.*|gallery.*|wide image|double image|superimpose|css image crop|annotated image.*|photomontage
familytree.*|columns?-list|col-.*|colbegin|colend|div col.*|end div col|refbegin|refend|col begin|col end|end|start
s-[a-z]{3,5}\d?|section link.*|bots|nobots|coord missing|cleanup-.*|vandalism|sprotected.*|protected.*|dmy|mdy
engvar.*|cs1 .*|nlist|nfcc.*|uncategorized|ipa help|ipa notice|contains .*|special characters|chembox.*|drugbox.*
elementbox.*|starbox.*|geobox.*|graph:.*|maplink|osm.*|audio file|listen|sound|multi-listen.*|spoken.*|video.*
bandera|bandeira|bandiera|flagge|vlag|external media|location map.*|campaignbox.*|succession box.*|election.*
"""
_SILENT = re.compile("|".join(_PATTERNS.strip().splitlines()))


def is_silent(name: str) -> bool:
    """Whether a template of this name, in lower case, shows no words in the running text."""
    return _SILENT.fullmatch(name) is not None
