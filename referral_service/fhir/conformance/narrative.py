"""The XHTML that a narrative may hold, https://hl7.org/fhir/R4/narrative.html#xhtml (txt-1 and txt-2).

Basic formatting as in chapters 7 to 11 (but 9.4) and 15 of HTML 4.0, links, images and style attributes; nothing that
runs, submits, embeds or loads a style. Read by expat, which neither recurses nor fetches; a DOCTYPE ends the reading,
so no entity can be declared.
"""

from __future__ import annotations

import re
from html.entities import name2codepoint
from typing import Any
from xml.parsers import expat

from referral_service.fhir.conformance.fields import Explain
from referral_service.fhir.conformance.scope import Scope

XHTML = "http://www.w3.org/1999/xhtml"
XML = "http://www.w3.org/XML/1998/namespace"
BLANKS = " \t\r\n"


def words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


ELEMENTS = words(
    """
    a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt
    em h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre q samp small span strong sub sup table tbody td
    tfoot th thead tr tt ul var
    """
)
ATTRIBUTES = words(
    """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char
    charoff charset cite class colspan compact coords dir frame headers height href hreflang hspace id
    idref lang longdesc name nohref nowrap rel rev rowspan rules scope shape span src start style
    summary tabindex title type usemap valign value vspace width
    """
)
"""Those of the constraint txt-1, and the few more that the elements above have in HTML 4.0."""
ACTIVE = words(
    """
    applet audio base body button canvas embed fieldset font form frame frameset head html iframe input
    link math meta noscript object option param script select source strike style svg template textarea
    title u video
    """
)
"""Element names that may be repeated in a message; any other unknown name could be a patient's."""

ADDRESSES = frozenset({"href", "src", "cite", "longdesc"})
RUNS = ("javascript:", "vbscript:")

_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_OF_XML = frozenset({"amp", "apos", "gt", "lt", "quot"})
_IGNORED = dict.fromkeys(range(0x21))


class _EndError(Exception):
    """Reading need not go on."""


class _Reading:
    """What is wrong, each fault once, in the order met; and whether there is anything to read or see."""

    __slots__ = ("depth", "faults", "filled", "space")

    def __init__(self) -> None:
        self.depth = 0
        self.faults: dict[str, None] = {}
        self.filled = False
        self.space = XHTML

    def read(self, div: str) -> list[str]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self.doctype
        parser.ProcessingInstructionHandler = self.instruction
        parser.XmlDeclHandler = self.declaration
        try:
            parser.Parse(without_named_entities(div), True)
        except _EndError:
            return list(self.faults)
        except (expat.ExpatError, UnicodeEncodeError):
            self.faults["It is not well-formed XML."] = None
            return list(self.faults)
        if not self.filled:
            self.faults["It holds neither text nor an image (txt-2)."] = None
        return list(self.faults)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        space, _, local = name.rpartition(" ")
        if self.depth == 1 and (space, local) != (XHTML, "div"):
            self.faults[f'It must be one "div" in the namespace {XHTML}.'] = None
            self.space = space
        elif space != self.space or local not in ELEMENTS:
            shown = f'The element "{local}"' if local.lower() in ACTIVE else "An element"
            self.faults[f"{shown} is not among those that a narrative may have (txt-1)."] = None
        if local == "img" and "src" in attributes:
            self.filled = True
        for attribute, value in attributes.items():
            self.attribute(attribute, value)

    def attribute(self, name: str, value: str) -> None:
        if name not in ATTRIBUTES and name != f"{XML} lang":
            shown = "An event attribute" if name[:2].lower() == "on" else "An attribute"
            self.faults[f"{shown} is not among those that a narrative may have (txt-1)."] = None
        elif name in ADDRESSES and value.translate(_IGNORED).lower().startswith(RUNS):
            self.faults["An address must not be a script (txt-1)."] = None

    def end(self, name: str) -> None:  # noqa: ARG002
        self.depth -= 1

    def text(self, text: str) -> None:
        if not self.filled and text.strip(BLANKS):
            self.filled = True

    def doctype(self, *declared: Any) -> None:  # noqa: ARG002
        self.faults["It must not have a DOCTYPE or declare entities."] = None
        raise _EndError

    def instruction(self, *given: Any) -> None:  # noqa: ARG002
        self.faults["It must not have processing instructions."] = None

    def declaration(self, *given: Any) -> None:  # noqa: ARG002
        self.faults["It must begin with the div, not with an XML declaration."] = None


def without_named_entities(div: str) -> str:
    """HTML's named characters, such as ``&nbsp;``, are allowed though XML does not know them."""
    return _ENTITY.sub(_character, div) if "&" in div else div


def _character(found: re.Match[str]) -> str:
    name = found[1]
    return found[0] if name in _OF_XML or name not in name2codepoint else chr(name2codepoint[name])


def faults_of(div: str) -> list[str]:
    """In plain words, each kind of fault once; empty for a narrative as R4 wants it."""
    return _Reading().read(div)


def is_sound(div: str) -> bool:
    return not faults_of(div)


def explainer(otherwise: Explain) -> Explain:
    """Says each fault of a div; ``otherwise`` speaks for what is no text or empty."""

    def explain(value: Any, path: str, scope: Scope) -> None:
        if value.__class__ is not str or not value:
            otherwise(value, path, scope)
            return
        for fault in faults_of(value):
            scope.fault("narrative", path, f"The narrative cannot be taken. {fault}")

    return explain
