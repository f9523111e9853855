"""The XHTML of a narrative: what may stand in it, and that no input is costly or harmful to read."""

from __future__ import annotations

import pytest

from referral_service.fhir.conformance import check
from referral_service.fhir.conformance.narrative import faults_of
from tests.fhir.conformance.r4_samples import findings

XMLNS = 'xmlns="http://www.w3.org/1999/xhtml"'


def div(inner: str, more: str = "") -> str:
    return f"<div {XMLNS}{more}>{inner}</div>"


ALLOWED = [
    div("x"),
    div("\n x \n"),
    div("<p>x</p><br/><hr/>"),
    div("<h1>a</h1><h6>b</h6>"),
    div(
        "<table><caption>a</caption><thead><tr><th scope='col'>b</th></tr></thead>"
        "<tbody><tr><td colspan='2'>c</td></tr></tbody></table>"
    ),
    div("<ul><li>a</li></ul><ol start='2'><li>b</li></ol><dl><dt>c</dt><dd>d</dd></dl>"),
    div("<b>a</b><i>b</i><em>c</em><strong>d</strong><tt>e</tt><small>f</small><big>g</big>"),
    div("<a href='https://a.example/?a=1&amp;b=2'>x</a>"),
    div("<a name='there'>x</a><a href='#there'>y</a>"),
    div("<img src='#picture' alt='A neck'/>"),
    div("<img src='data:image/png;base64,QQ=='/>"),
    div("<span style='color: red' class='a' id='b' title='c' lang='de' xml:lang='de' dir='ltr'>x</span>"),
    div("a&nbsp;b &copy; &eacute; &lt; &#8364; &#x20AC;"),
    div("&nbsp;"),
    div("<span title='&eacute;&quot;'>x</span>"),
    div("<!-- a remark -->x"),
    div("<![CDATA[<script>]]>"),
    div("x", " lang='en'"),
    f"  {div('x')}\n",
    f'<h:div xmlns:h="{XMLNS[7:-1]}"><h:p>x</h:p></h:div>',
    div("\U0001f600"),
]

ACTIVE = 'The element "{}" is not among those that a narrative may have (txt-1).'
ELEMENT = "An element is not among those that a narrative may have (txt-1)."
ATTRIBUTE = "An attribute is not among those that a narrative may have (txt-1)."
EVENT = "An event attribute is not among those that a narrative may have (txt-1)."
SCRIPT = "An address must not be a script (txt-1)."
EMPTY = "It holds neither text nor an image (txt-2)."
ROOT = 'It must be one "div" in the namespace http://www.w3.org/1999/xhtml.'
BROKEN = "It is not well-formed XML."
DOCTYPE = "It must not have a DOCTYPE or declare entities."

REFUSED = [
    (div(""), [EMPTY]),
    (div(" \t\r\n "), [EMPTY]),
    (div("<p> <b/> </p>"), [EMPTY]),
    (div("<!-- x -->"), [EMPTY]),
    (div("<img alt='x'/>"), [EMPTY]),
    ("<div>x</div>", [ROOT]),
    ("<div><p>x</p></div>", [ROOT]),
    ("<div><script>x</script></div>", [ROOT, ACTIVE.format("script")]),
    (f"<p {XMLNS}>x</p>", [ROOT]),
    (f"<DIV {XMLNS}>x</DIV>", [ROOT]),
    ('<div xmlns="http://www.w3.org/2000/svg">x</div>', [ROOT]),
    *((div(f"<{name}>x</{name}>"), [ACTIVE.format(name)]) for name in ("script", "form", "iframe", "object", "style")),
    *((div(f"x<{name}/>"), [ACTIVE.format(name)]) for name in ("base", "link", "meta", "input", "frame", "embed")),
    (div("<head><title>x</title></head>"), [ACTIVE.format("head"), ACTIVE.format("title")]),
    (div("<body>x</body>"), [ACTIVE.format("body")]),
    (div("<font>x</font><u>y</u>"), [ACTIVE.format("font"), ACTIVE.format("u")]),
    (div("<SCRIPT>x</SCRIPT>"), [ACTIVE.format("SCRIPT")]),
    (div("<ins>x</ins>"), [ELEMENT]),
    (div("<muster>x</muster>"), [ELEMENT]),
    (div('<svg xmlns="http://www.w3.org/2000/svg"/>x'), [ACTIVE.format("svg")]),
    (div('<p xmlns="">x</p>'), [ELEMENT]),
    (div("x", ' onclick="y"'), [EVENT]),
    (div("<img src='x' onerror='y'/>"), [EVENT]),
    (div("<b onmouseover='y' ONCLICK='z'>x</b>"), [EVENT]),
    (div("<b muster='y'>x</b>"), [ATTRIBUTE]),
    (div("<b contenteditable='true'>x</b>"), [ATTRIBUTE]),
    (div("<a xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='x'>x</a>"), [ATTRIBUTE]),
    (div("<b xml:base='http://a'>x</b>"), [ATTRIBUTE]),
    (div("<a href='javascript:x()'>x</a>"), [SCRIPT]),
    (div("<a href=' JAVA&#9;script:x()'>x</a>"), [SCRIPT]),
    (div("<img src='vbscript:x'/>"), [SCRIPT]),
    ("x", [BROKEN]),
    ("<div", [BROKEN]),
    (div("<p>x"), [BROKEN]),
    (div("<b><i>x</b></i>"), [BROKEN]),
    (div("x") + div("y"), [BROKEN]),
    (div("x") + "y", [BROKEN]),
    (div("a & b"), [BROKEN]),
    (div("a < b"), [BROKEN]),
    (div("&muster;"), [BROKEN]),
    (div("&NBSP;"), [BROKEN]),
    (div("<b class=x>y</b>"), [BROKEN]),
    (div("<b class='x' class='y'>y</b>"), [BROKEN]),
    (div("<br>"), [BROKEN]),
    (div("<h:p>x</h:p>"), [BROKEN]),
    (div("\x00"), [BROKEN]),
    (div("&#0;"), [BROKEN]),
    (div("\ud800"), [BROKEN]),
    (f"<!DOCTYPE div>{div('x')}", [DOCTYPE]),
    (f'<!DOCTYPE div [<!ENTITY a "b">]>{div("&a;")}', [DOCTYPE]),
    (f'<!DOCTYPE div SYSTEM "file:///etc/passwd">{div("x")}', [DOCTYPE]),
    (f'<?xml version="1.0"?>{div("x")}', ["It must begin with the div, not with an XML declaration."]),
    (div("<?php x ?>y"), ["It must not have processing instructions."]),
    (
        div("<script>x</script><script>y</script><b onclick='x' muster='y'/>"),
        [ACTIVE.format("script"), EVENT, ATTRIBUTE],
    ),
]


@pytest.mark.parametrize("text", ALLOWED)
def test_formatting_links_images_and_styles_are_allowed(text: str) -> None:
    assert findings({"resourceType": "Patient", "text": {"status": "generated", "div": text}}) == []


@pytest.mark.parametrize(("text", "faults"), REFUSED)
def test_what_runs_submits_embeds_or_is_no_xhtml_is_refused(text: str, faults: list[str]) -> None:
    issues = check({"resourceType": "Patient", "text": {"status": "generated", "div": text}})
    assert [(issue.rule, issue.code, issue.expression) for issue in issues] == [
        ("narrative", "invalid", "Patient.text.div") for _ in faults
    ]
    assert [issue.diagnostics for issue in issues] == [f"The narrative cannot be taken. {fault}" for fault in faults]


def test_a_section_of_a_composition_is_judged_as_well() -> None:
    payload = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "x"},
        "date": "2024",
        "author": [{"display": "x"}],
        "title": "x",
        "section": [{"text": {"status": "generated", "div": div("<script/>")}}],
    }
    assert findings(payload) == [("Composition.section[0].text.div", "narrative")] * 2


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (div("<b>" * 200_000 + "x" + "</b>" * 200_000), []),
        (div("<b/>" * 200_000 + "x"), []),
        (div("&nbsp;" * 150_000), []),
        (div("&" * 900_000), [BROKEN]),
        (div(f"<b title='{'&lt;' * 200_000}'>x</b>"), []),
        (div("<b " + " ".join(f"a{each}='1'" for each in range(50_000)) + ">x</b>"), [ATTRIBUTE]),
        (div("<!--" + "-" * 900_000), [BROKEN]),
    ],
    ids=["deep", "wide", "named", "ampersands", "attribute", "attributes", "comment"],
)
def test_long_and_deep_narratives_are_judged_whole(text: str, faults: list[str]) -> None:
    assert faults_of(text) == faults
