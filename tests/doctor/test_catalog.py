"""What the doctor expects of a database is what the files of db/ make."""

from dev.catalog import FILE, lines


async def test_expected_tables_functions_and_rights_are_those_of_db(owner_url: str):
    assert FILE.read_text() == await lines(owner_url), "make catalog"
