"""Words written with a full stop that does not end a sentence, for European languages, Hindi and Arabic.

Spelling matters: "Gen." is a title, "gen." is not. Several short words in a row are one: "z. B." is "z.B".
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A sentence never ends here: titles, and words that announce something.
NEVER_LAST = _words("""
    Mr Mrs Ms Mx Messrs Dr Drs Prof Profs Rev Revd Hon Gen Brig Col Maj Capt Cpt Cmdr Cdr Lt Sgt Cpl Pvt Pte Adm Gov Sen
    Ens Sens Rep Reps Pres Amb Supt Insp Msgr Ven Rt Mt Mts Mme Mmes Mlle Mlles MM Mgr Sra Srta Sras Sres Dra Dña Hl Frl
    Hr Hrn Fr Dipl Ing Sig Dott Avv Srs Dhr dr prof ing med
    vs viz approx cf ca cca circa fl resp bd incl excl e.g E.g i.e I.e
    bzw bspw ggf evtl sog geb gest gegr vgl Vgl inkl exkl zzgl z.B Z.B d.h D.h z.T u.U o.g m.E v.l i.d.R
    rd mind Kfm Päd Psych em phil habil jur theol rer nat mult h.c Oblt Hptm Uffz
    EE av apr env p.ex P.ex c.-à-d éd coll dir p.ej P.ej pág págs Excmo Excma Exmo Exma Ilmo Ilma Ntra Ntro gral aprox
    dott geom rag avv mons Mons cfr eng Eng profa Profa bijv d.w.z mevr mw dhr drs jhr np tzw tzn tj ks Ks św Św płk kpt
    т.е т.к напр см ср им ул пр пер св ген акад проф доц инж архиеп митр кн нем англ фр франц лат греч итал исп польск
    укр тур араб
    डॉ प्रो श्री
    """)
# A sentence ends here only before a word that often begins one, such as "The"; so too after initials and "U.S.".
RARELY_LAST = _words("""
    St Sts Ste Sta Sto Ft Jr Sr Inc Ltd Co Corp Bros Mfg Assn Assoc Dept Univ Inst Ave Blvd Hwy Dist al ed eds trans
    repr Calif Mass Conn Fla Penn Pa Tenn Tex Va Wash Wis Ariz Ark Colo Kan Ky Md Mich Minn Neb Nev Okla Ore Ont Que
    Proc Natl Acad Sci Phys Lett Soc Intl sp spp subsp var
    Mio Mrd Mill ul Ul UU Ud Uds Vd Vds Av Avda Cía Hno Hnos Gral Tte Cnel Hrsg Bd Abt Fa Ges Nr
    """)
# A full stop before a number belongs to these; before another word it ends the sentence.
BEFORE_NUMBERS = _words("""
    no nos No Nos nr Nr núm Núm num Vol Vols vol vols p pp P Pp pg S f pag Pág Fig Figs fig figs Abb Tab Eq Eqs eq eqs
    Ref Refs ref refs Ex Exs App Apps max min avg tel Tel ft lb lbs tabs secs refs
    Art Arts art arts Abs Ch ch Chap chap cap Cap Kap Sec Sect sec sect Op op Rs b d r lit ver Ver v Str str est
    Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mär Okt Dez
    jan feb mar jun jul aug sep sept oct nov dec ene abr ago dic janv févr avr juil déc
    янв фев февр мар апр авг сен сент окт ноя нояб дек рис табл илл стр гл разд вып руб коп
    """)
# These look like initials, but end a sentence before any other word; hours do so after a number.
ERAS = _words("A.D B.C B.C.E C.E J.-C a.C d.C v.Chr n.Chr т.д т.п")
HOURS = _words("a.m p.m A.M P.M")
# After an hour these belong to it: "5 p.m. Eastern".
AFTER_HOURS = (
    "[ECMP][SD]?T|GMT|UTC|BST|CES?T|IST|JST|AE[SD]T|Eastern|Central|Pacific|Mountain|local"
    "|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
)
# The letter after these is a label, not an initial: "vitamin C".
BEFORE_LABELS = _words("""
    war vitamin vitamins hepatitis influenza appendix annex type class group grade part section plan point phase table
    figure level league division series category schedule exhibit volume book chapter act stage zone block building
    option model version step page room gate exit terminal
    """)
# German ordinals: "am 3. Oktober", "die 1. Bundesliga".
BEFORE_ORDINALS = _words("der die das dem den des am im zum zur vom beim ein eine einen einem einer eines seit ab bis")
AFTER_ORDINALS = (
    "Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
    "|Jahrhunderts?|Jahrtausends?|Jh|Jhd|Jht|Lebensjahr|Auflage|Aufl|Etage|Spieltag|Runde|Platz|Liga|Bundesliga|FC|Weltkrieg|Klasse|Stock"
)
# Words that often begin a sentence. Those of the second group count only before a lower-case word or a number, since
# they also begin names ("M. Le Pen") or are initials ("J. A. Smith").
SENTENCE_STARTERS = _words("""
    The An It Its He She They This That These Those In On At As After Before During When While Although Though However
    His Her Their There We You If For From By With Since Some Many Most But And So Then Thus To Both Each Every Not Here
    Nobody Everybody Everyone Someone Nothing Everything None Neither Two Three Four Five Ten Thousands Millions
    What Who Where How Why Because Other Others Another Until Following According Today Later Also Several Such Early
    Only Our My Your Once Despite Unlike Between Among Instead Yet Or Even Over Through Within Without Additionally
    Next Now Nor Finally Meanwhile Eventually Around Approximately Originally Currently Recently Subsequently Together
    Das Dem Ein Eine Einer Er Sie Es Wir Ich Im Am Auf Aus Bei Mit Nach Seit Zu Zur Zum Für Doch Aber Und Als Wenn Da
    Dann Danach Dabei Dort Diese Dieser Dieses Hier Auch Später Während Nachdem Zudem Heute Sein Seine Ihr Ihre Man Weil
    Durch Über Vor Trotz Dadurch Damit Deshalb Allerdings Jedoch
    Une Elle Elles Ils Cette Ces Dans Aux Pour Avec Mais Après Avant Depuis Selon Nous Vous Quand Lorsque Ainsi Puis
    Cela En Se Su Sus Por Para Con Sin Desde Durante Después Antes Cuando Como Este Esta Estos Estas Fue Entre Pero
    También Según Hay Allí Nel Nella Dopo
    """)
STARTERS_BEFORE_LOWER_CASE = _words("""
    A I All One No Up Der Die Den Des In An Le La Les Il Un On Ce Au Du Et Son Sa Ses Par Sur Je El Los Las Al Es Y Lo È
    Как Но По До Для Из При Не На Он Она Они Это После В С И К У О
    """)
