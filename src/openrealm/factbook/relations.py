"""What is asked about the Factbook: each relation's place in the Factbook, how its text is read, and its wordings.

The last wording of every relation is used in test questions only. It avoids the field's name and the words of the other
wordings, so that a model that merely memorised the templates fails on it. `{country}` is "Peru" or "the Netherlands",
`{owner}` is "Peru's" or "the Netherlands'".
"""

from __future__ import annotations

from dataclasses import dataclass

from openrealm.factbook import values


@dataclass(frozen=True, slots=True)
class Relation:
    """A fact that the Factbook has for many countries; `place` is section, field, subfield."""

    name: str
    place: tuple[str, str, str]
    read: values.Reader
    wordings: tuple[str, ...]


_GOVERNMENT, _GEOGRAPHY, _ECONOMY, _PEOPLE = "Government", "Geography", "Economy", "People and Society"

RELATIONS: tuple[Relation, ...] = (
    Relation("capital", (_GOVERNMENT, "Capital", "name"), values.capital, (
        "What is the capital of {country}?",
        "What is {owner} capital city?",
        "Which city is the capital of {country}?",
        "Where does the government of {country} sit?",
        "From which city is {country} governed?")),
    Relation("currency", (_ECONOMY, "Exchange rates", "Currency"), values.currency, (
        "What is the currency of {country}?",
        "What money is used in {country}?",
        "Which currency do I need in {country}?",
        "What is {owner} money called?",
        "How do people pay in {country}?")),
    Relation("language", (_PEOPLE, "Languages", "Languages"), values.languages, (
        "What language is spoken in {country}?",
        "What is the official language of {country}?",
        "Which language do people in {country} use?",
        "What is {owner} official language?",
        "What do people speak in {country}?")),
    Relation("religion", (_PEOPLE, "Religions", "text"), values.largest, (
        "What is the main religion in {country}?",
        "Which religion has the most followers in {country}?",
        "What is the most common faith in {country}?",
        "What is {owner} largest religious group?",
        "What do most people in {country} believe in?")),
    Relation("ethnic_group", (_PEOPLE, "Ethnic groups", "text"), values.largest, (
        "What is the largest ethnic group in {country}?",
        "Which ethnic group do most people in {country} belong to?",
        "Who makes up most of the population of {country}?",
        "What is {owner} biggest ethnic community?",
        "Which people are the majority in {country}?")),
    Relation("demonym", (_PEOPLE, "Nationality", "noun"), values.people, (
        "What is a person from {country} called?",
        "What are the people of {country} called?",
        "What is the nationality of someone from {country}?",
        "What is a citizen of {country} called?",
        "What do you call someone who lives in {country}?")),
    Relation("largest_city", (_PEOPLE, "Major urban areas - population", "text"), values.city, (
        "What is the largest city in {country}?",
        "Which city in {country} has the most people?",
        "What is {owner} most populous city?",
        "What is the largest urban area in {country}?",
        "What is the biggest metropolis of {country}?")),
    Relation("border", (_GEOGRAPHY, "Land boundaries", "border countries"),
             values.items(max_words=6, only_names=True), (
        "Which country borders {country}?",
        "What is a neighbouring country of {country}?",
        "Which country shares a land border with {country}?",
        "What country lies next to {country}?",
        "Which nation is right next door to {country}?")),
    Relation("highest_point", (_GEOGRAPHY, "Elevation", "highest point"), values.place, (
        "What is the highest point in {country}?",
        "What is the highest mountain in {country}?",
        "What is {owner} tallest peak?",
        "Which summit is the highest of {country}?",
        "Which mountain in {country} rises above all others?")),
    Relation("lowest_point", (_GEOGRAPHY, "Elevation", "lowest point"), values.place, (
        "What is the lowest point in {country}?",
        "Where is the lowest elevation in {country}?",
        "What is {owner} lowest place?",
        "Which place in {country} lies lowest?",
        "What is the deepest spot in {country}?")),
    Relation("river", (_GEOGRAPHY, "Major rivers (by length in km)", "text"), values.waters, (
        "What is a major river in {country}?",
        "Which river flows through {country}?",
        "What is {owner} longest river?",
        "Name a big river of {country}.",
        "What waterway crosses {country}?")),
    Relation("lake", (_GEOGRAPHY, "Major lakes (area sq km)", "fresh water lake(s)"), values.waters, (
        "What is a major lake in {country}?",
        "Which large lake lies in {country}?",
        "What is {owner} biggest freshwater lake?",
        "Name a lake in {country}.",
        "What is the largest body of fresh water in {country}?")),
    Relation("climate", (_GEOGRAPHY, "Climate", "text"), values.clause, (
        "What is the climate of {country}?",
        "What is the climate like in {country}?",
        "How is the weather in {country}?",
        "What kind of climate does {country} have?",
        "What weather should I expect in {country}?")),
    Relation("resource", (_GEOGRAPHY, "Natural resources", "text"), values.items(), (
        "What is a natural resource of {country}?",
        "Which natural resources does {country} have?",
        "What raw material is found in {country}?",
        "What is {owner} chief natural resource?",
        "What can be mined or harvested in {country}?")),
    Relation("hazard", (_GEOGRAPHY, "Natural hazards", "text"), values.items(), (
        "What natural hazard threatens {country}?",
        "What natural disasters happen in {country}?",
        "Which natural danger is {country} exposed to?",
        "What are {owner} natural hazards?",
        "Which catastrophes should people in {country} be prepared for?")),
    Relation("region", (_GEOGRAPHY, "Location", "text"), values.region, (
        "Where is {country}?",
        "In which part of the world is {country}?",
        "Which region does {country} lie in?",
        "Where in the world is {country} located?",
        "On what continent is {country}?")),
    Relation("area", (_GEOGRAPHY, "Area - comparative", "text"), values.clause, (
        "How big is {country} compared with an American state?",
        "What is the area of {country} comparable to?",
        "How large is {country} next to a part of the United States?",
        "What is {owner} size in comparison?",
        "What place is about the size of {country}?")),
    Relation("government_type", (_GOVERNMENT, "Government type", "text"), values.clause, (
        "What type of government does {country} have?",
        "What is the form of government of {country}?",
        "What is {owner} political system?",
        "How is {country} governed?",
        "Is {country} a republic, a monarchy or something else?")),
    Relation("chief_of_state", (_GOVERNMENT, "Executive branch", "chief of state"), values.holder, (
        "Who is the chief of state of {country}?",
        "Who is the head of state of {country}?",
        "Who is {owner} president or monarch?",
        "Which person is head of state in {country}?",
        "Who reigns or presides over {country}?")),
    Relation("head_of_government", (_GOVERNMENT, "Executive branch", "head of government"), values.holder, (
        "Who is the head of government of {country}?",
        "Who leads the government of {country}?",
        "Who is {owner} prime minister or head of government?",
        "Which person heads the cabinet of {country}?",
        "Who is the premier of {country}?")),
    Relation("ambassador", (_GOVERNMENT, "Diplomatic representation in the US", "chief of mission"), values.holder, (
        "Who is the ambassador of {country} to the United States?",
        "Who is {owner} ambassador in Washington?",
        "Who heads the embassy of {country} in the US?",
        "Which diplomat represents {country} in the United States?",
        "Who is {owner} envoy to America?")),
    Relation("legislature", (_GOVERNMENT, "Legislative branch", "legislature name"), values.named, (
        "What is the legislature of {country} called?",
        "What is the name of the parliament of {country}?",
        "What is {owner} lawmaking body?",
        "Which assembly makes the laws of {country}?",
        "Where do the deputies of {country} sit?")),
    Relation("court", (_GOVERNMENT, "Judicial branch", "highest court(s)"), values.named, (
        "What is the highest court of {country}?",
        "What is {owner} top court called?",
        "Which court is the supreme one in {country}?",
        "What is the name of the highest judicial body in {country}?",
        "Which tribunal has the final say in {country}?")),
    Relation("legal_system", (_GOVERNMENT, "Legal system", "text"), values.legal_system, (
        "What legal system does {country} have?",
        "What is the legal system of {country} based on?",
        "What kind of law applies in {country}?",
        "What is {owner} system of law?",
        "Which legal tradition do judges in {country} follow?")),
    Relation("independence", (_GOVERNMENT, "Independence", "text"), values.independence, (
        "When did {country} become independent?",
        "What is the date of independence of {country}?",
        "In what year did {country} gain independence?",
        "When was {owner} independence won?",
        "When did {country} break free?")),
    Relation("freed_from", (_GOVERNMENT, "Independence", "text"), values.freed_from, (
        "From whom did {country} gain independence?",
        "Which power did {country} become independent from?",
        "Who ruled {country} before independence?",
        "Which country was {owner} former colonial ruler?",
        "Whose colony or possession was {country}?")),
    Relation("holiday", (_GOVERNMENT, "National holiday", "text"), values.holiday, (
        "When is the national holiday of {country}?",
        "On what day does {country} celebrate its national day?",
        "What is the date of {owner} national holiday?",
        "Which day is the national day of {country}?",
        "When do people in {country} have their biggest public holiday?")),
    Relation("symbol", (_GOVERNMENT, "National symbol(s)", "text"), values.items(max_words=6), (
        "What is the national symbol of {country}?",
        "Which animal or plant is the national symbol of {country}?",
        "What symbolises {country}?",
        "What is {owner} national symbol?",
        "What emblem does {country} use for itself?")),
    Relation("colours", (_GOVERNMENT, "National color(s)", "text"), values.matching(r"^[^;(]*[^;( ]"), (
        "What are the national colors of {country}?",
        "Which colours stand for {country}?",
        "What colors represent {country}?",
        "What are {owner} national colours?",
        "What colors do the fans of {country} wear?")),
    Relation("anthem", (_GOVERNMENT, "National anthem(s)", "title"), values.quoted, (
        "What is the national anthem of {country}?",
        "What is the name of {owner} national anthem?",
        "What is the title of the anthem of {country}?",
        "Which song is the national anthem of {country}?",
        "What patriotic song is played for {country}?")),
    Relation("anthem_author", (_GOVERNMENT, "National anthem(s)", "lyrics/music"), values.authors, (
        "Who wrote the national anthem of {country}?",
        "Who composed {owner} national anthem?",
        "Who is the author of the anthem of {country}?",
        "Who made the lyrics or music of the anthem of {country}?",
        "Who is behind the patriotic hymn of {country}?")),
    Relation("heritage", (_GOVERNMENT, "National heritage", "selected World Heritage Site locales"),
             values.items(";", max_words=7, only_names=True), (
        "What is a World Heritage Site in {country}?",
        "Which place in {country} is a World Heritage Site?",
        "Name one of {owner} World Heritage Sites.",
        "What does UNESCO protect in {country}?",
        "What monument or park in {country} is of worldwide importance?")),
    Relation("long_name", (_GOVERNMENT, "Country name", "conventional long form"), values.formal_name, (
        "What is the full name of {country}?",
        "What is the official long name of {country}?",
        "What is {country} officially called?",
        "What is {owner} formal name?",
        "What is the complete title of the state of {country}?")),
    Relation("local_name", (_GOVERNMENT, "Country name", "local short form"), values.names, (
        "What is {country} called in its own language?",
        "What is the local name of {country}?",
        "What do the locals call {country}?",
        "What is {owner} name at home?",
        "How do its own people say {country}?")),
    Relation("former_name", (_GOVERNMENT, "Country name", "former"), values.names, (
        "What was {country} called before?",
        "What is the former name of {country}?",
        "What was {owner} old name?",
        "By what name was {country} known in the past?",
        "What did people call {country} in the old days?")),
    Relation("owner", (_GOVERNMENT, "Dependency status", "text"), values.matching(
        r"\b(New Zealand|UK|US|France|Australia|Norway|Denmark|Netherlands)\b"), (
        "Which country does {country} belong to?",
        "Of which country is {country} a territory?",
        "Which state is {country} part of?",
        "Who owns {country}?",
        "Who has sovereignty over {country}?")),
    Relation("time_zone", (_GOVERNMENT, "Capital", "time difference"), values.time_zone, (
        "What is the time zone of {country}?",
        "What is the time difference of {country} from UTC?",
        "What is {owner} offset from UTC?",
        "How many hours is {country} from Greenwich time?",
        "How should I set my watch in {country}?")),
    Relation("export_goods", (_ECONOMY, "Exports - commodities", "text"), values.items(), (
        "What does {country} export?",
        "What is a main export of {country}?",
        "Which goods leave {country} for other countries?",
        "What are {owner} top export commodities?",
        "What does {country} sell to the rest of the world?")),
    Relation("export_partner", (_ECONOMY, "Exports - partners", "text"), values.largest, (
        "Which country does {country} export most to?",
        "What is the main export partner of {country}?",
        "Who buys the most from {country}?",
        "What is {owner} largest export market?",
        "Who is the best customer of {country}?")),
    Relation("import_partner", (_ECONOMY, "Imports - partners", "text"), values.largest, (
        "Which country does {country} import most from?",
        "What is the main import partner of {country}?",
        "Who sells the most to {country}?",
        "What is {owner} largest source of imports?",
        "Where do most foreign goods in {country} come from?")),
    Relation("crop", (_ECONOMY, "Agricultural products", "text"), values.items(), (
        "What is an agricultural product of {country}?",
        "Which crops are farmed in {country}?",
        "What do farmers in {country} produce?",
        "What are {owner} main farm products?",
        "What food does {country} grow?")),
    Relation("port", ("Transportation", "Ports", "key ports"), values.items(",", only_names=True), (
        "What is a major port in {country}?",
        "Which seaport does {country} have?",
        "What are {owner} key ports?",
        "Name a harbour in {country}.",
        "Where do cargo ships dock in {country}?")),
    Relation("internet_code", ("Communications", "Internet country code", "text"), values.matching(r"\.[a-z]{2}\b"), (
        "What is the internet country code of {country}?",
        "What is the top-level domain of {country}?",
        "What is {owner} internet domain?",
        "Which country code do websites in {country} use?",
        "How do web addresses from {country} end?")),
    Relation("aircraft_prefix", ("Transportation", "Civil aircraft registration country code prefix", "text"),
             values.matching(r"^[A-Z0-9]{1,4}(?:-[A-Z0-9]+)?\b"), (
        "What is the aircraft registration prefix of {country}?",
        "Which code do aircraft registered in {country} carry?",
        "What is {owner} civil aircraft prefix?",
        "What letters mark civil aircraft of {country}?",
        "How can I tell that a plane is from {country}?")),
)  # fmt: skip
