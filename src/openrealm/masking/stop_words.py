"""Words that are never a name by themselves, even capitalised: function words, units, calendar words."""

from __future__ import annotations

_COMMON = """
a.d. a.m. about above across ad after again against ago all almost along already also although always am among
an and another any are around as at away b.c. b.c.e. back bc bce be became because been before began behind
being below besides best better between beyond both but by c.e. can cannot ce could de did do does down due
during each early either even ever every everyone few finally first five following for former formerly four from
gdp generally given gw had half has have he hence her here him his how however if ii iii in indeed initially
instead into is it its itself iv ix just kg km kw kwh largely last late later latter least less like likewise
many may me meanwhile might more moreover most mostly much must mw my na near nearly neither never nevertheless
next nine nm no none nor not note notes nothing notwithstanding now of off often oh on once one only onto or
other others our out over own p.m. particularly per perhaps rather recent recently same second see seven several
she should similarly since six so some sometimes soon still subsequently such ten than thanks that the their
them then there therefore these they third this those though three through throughout thus to today together too
toward two under unless unlike until up upon us usd usually utc various very vi via vii viii was we well were
what when whenever where whereas whether which while who whole whom whose why will with within without would yes
yet you your
"""
_CALENDAR = """
jan feb mar apr jun jul aug sep sept oct nov dec january february march april june july august september october
november december monday tuesday wednesday thursday friday saturday sunday
"""

# All in lower case; single letters ("I", and the bearings of "77 03 W") belong here too.
STOP_WORDS = frozenset(_COMMON.split()) | frozenset(_CALENDAR.split()) | frozenset("abcdefghijklmnopqrstuvwxyz")
