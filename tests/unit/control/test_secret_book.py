"""Who names what is there gets it; who names what is not there is told so; nobody else sees it."""

import pytest

from control.secret_book import SecretBook
from plat.errors import PlatError
from plat.feed import NO_SECRETS


@pytest.fixture
def book() -> SecretBook:
    book = SecretBook()
    book.put("A", "alpha")
    book.put("B", "beta")
    return book


def test_a_version_gets_what_it_names_and_no_more(book: SecretBook) -> None:
    assert book.values(["A", "C"]).by_name == {"A": "alpha"}
    assert book.values([]) is NO_SECRETS


def test_what_is_not_there_is_named(book: SecretBook) -> None:
    book.require(["A", "B"])
    book.drop("B")
    with pytest.raises(PlatError, match='no secret "B"') as caught:
        book.require(["A", "B"])
    assert caught.value.code == "unknown_secret"


def test_one_that_cannot_be_read_says_why_until_it_is_set_again(book: SecretBook) -> None:
    book.put_unreadable("C", "The key is gone.")
    with pytest.raises(PlatError, match="The key is gone"):
        book.require(["C"])
    book.put("C", "gamma")
    book.require(["C"])


def test_no_text_of_it_shows_values(book: SecretBook) -> None:
    assert "alpha" not in f"{book!r} {book.values(['A'])!r} {book.values(['A'])}"
