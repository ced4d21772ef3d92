"""What is drawn is a document that can be read, whatever the words in it are."""

from xml.etree import ElementTree

from plat.svg import stroke, svg, text


def test_the_document_is_xml_of_its_size() -> None:
    root = ElementTree.fromstring(svg(100, 50, [text(1, 2, "a < b & c"), stroke(0, 0, 10, 10)]))
    assert (root.get("width"), root.get("height")) == ("100", "50")
    namespace = "{http://www.w3.org/2000/svg}"
    assert [each.text for each in root.iter(f"{namespace}text")] == ["a < b & c"]
    assert len(list(root.iter(f"{namespace}line"))) == 1
