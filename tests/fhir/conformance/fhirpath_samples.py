"""Resources of types that the service does not store, with the constraints of R4 that they keep or break."""

from __future__ import annotations

from typing import Any

from referral_service.fhir.parse import Number


def value_set(*includes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "status": "draft", "compose": {"include": list(includes)}, **more}


def questionnaire(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Questionnaire", "status": "draft", "item": list(items)}


def profile_of(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": "https://a.example/p",
        "name": "P",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": each["path"], **each} for each in elements]},
        **more,
    }


def listed(**more: Any) -> dict[str, Any]:
    return {"resourceType": "List", "status": "current", "mode": "snapshot", **more}


def capability(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CapabilityStatement",
        "status": "draft",
        "date": "2024",
        "kind": "requirements",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "description": "x",
        "rest": [{"mode": "server"}],
        **more,
    }


def risk(**prediction: Any) -> dict[str, Any]:
    return {
        "resourceType": "RiskAssessment",
        "status": "final",
        "subject": {"display": "x"},
        "prediction": [prediction],
    }


UCUM = "http://unitsofmeasure.org"
SYSTEM = "https://a.example/codes"

HOLD = [
    value_set({"system": SYSTEM}, name="Good"),
    value_set({"valueSet": ["https://a.example/vs"]}),
    questionnaire({"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string"}]}),
    questionnaire(
        {
            "linkId": "1",
            "type": "boolean",
            "enableWhen": [{"question": "2", "operator": "exists", "answerBoolean": True}],
        }
    ),
    profile_of({"path": "Patient"}, {"path": "Patient.name", "min": 1, "max": "*"}),
    listed(entry=[{"item": {"display": "x"}}]),
    capability(),
    risk(probabilityDecimal=Number("99.5")),
    risk(probabilityRange={"low": {"value": 1, "system": UCUM, "code": "%"}}),
    {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "medicationCodeableConcept": {"text": "x"},
        "whenPrepared": "2024-05-06",
        "whenHandedOver": "2024-05-06T10:00:00Z",
    },
    {
        "resourceType": "Consent",
        "status": "draft",
        "scope": {"text": "x"},
        "category": [{"text": "x"}],
        "policyRule": {"text": "x"},
    },
    {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": {"display": "x"}}]},
]

FAIL = [
    (value_set({"concept": [{"code": "a"}]}), [(".compose.include[0]", "vsd-1"), (".compose.include[0]", "vsd-2")]),
    (
        value_set(
            {"system": SYSTEM, "concept": [{"code": "a"}], "filter": [{"property": "p", "op": "=", "value": "v"}]}
        ),
        [(".compose.include[0]", "vsd-3")],
    ),
    (
        value_set(
            {"system": SYSTEM},
            expansion={
                "timestamp": "2024",
                "contains": [{"id": "a", "extension": [{"url": "http://a", "valueCode": "x"}]}],
            },
        ),
        [(".expansion.contains[0]", "vsd-6"), (".expansion.contains[0]", "vsd-9")],
    ),
    (
        value_set(
            {"system": SYSTEM},
            expansion={"timestamp": "2024", "contains": [{"code": "a", "contains": [{"code": "b"}]}]},
        ),
        [(".expansion.contains[0].contains[0]", "vsd-10"), (".expansion.contains[0]", "vsd-10")],
    ),
    (value_set({"system": SYSTEM}, name="bad-name"), [("", "vsd-0")]),
    (questionnaire({"linkId": "1", "type": "group"}), [(".item[0]", "que-1")]),
    (questionnaire({"linkId": "1", "type": "string"}, {"linkId": "1", "type": "string"}), [("", "que-2")]),
    (questionnaire({"linkId": "1", "type": "group", "item": [{"linkId": "1", "type": "string"}]}), [("", "que-2")]),
    (
        questionnaire({"linkId": "1", "type": "display", "required": True, "code": [{"code": "x"}]}),
        [(".item[0]", "que-3"), (".item[0]", "que-6")],
    ),
    (
        questionnaire(
            {
                "linkId": "1",
                "type": "choice",
                "answerOption": [{"valueString": "x"}],
                "answerValueSet": "https://a.example/vs",
            }
        ),
        [(".item[0]", "que-4")],
    ),
    (
        questionnaire({"linkId": "1", "type": "boolean", "answerOption": [{"valueString": "x"}]}),
        [(".item[0]", "que-5")],
    ),
    (
        questionnaire(
            {
                "linkId": "1",
                "type": "boolean",
                "enableWhen": [{"question": "2", "operator": "exists", "answerString": "x"}],
            }
        ),
        [(".item[0].enableWhen[0]", "que-7")],
    ),
    (questionnaire({"linkId": "1", "type": "date", "maxLength": 5}), [(".item[0]", "que-10")]),
    (
        questionnaire({"linkId": "1", "type": "string", "initial": [{"valueString": "a"}, {"valueString": "b"}]}),
        [(".item[0]", "que-13")],
    ),
    (
        profile_of({"path": "Patient"}, {"path": "Patient.name", "max": "1.5"}),
        [(".differential.element[1].max", "eld-3")],
    ),
    (
        profile_of({"path": "Patient"}, {"path": "Patient.name", "max": "-1"}),
        [(".differential.element[1].max", "eld-3")],
    ),
    (
        profile_of({"path": "Patient"}, {"path": "Patient.name", "min": 2, "max": "1"}),
        [(".differential.element[1]", "eld-2")],
    ),
    (
        profile_of({"path": "Patient"}, {"path": "Patient.name", "slicing": {"rules": "open"}}),
        [(".differential.element[1].slicing", "eld-1")],
    ),
    (profile_of({"path": "Patient"}, {"path": "Observation.code"}), [(".differential", "sdf-8a")]),
    (profile_of({"path": "Patient", "type": [{"code": "Patient"}]}), [("", "sdf-15a")]),
    (profile_of({"path": "Patient"}, {"path": "Patient.name", "id": "Patient"}), [("", "sdf-17")]),
    (profile_of({"path": "Patient"}, type="Extension"), [(".differential", "sdf-8a"), ("", "sdf-5")]),
    (listed(emptyReason={"text": "x"}, entry=[{"item": {"display": "x"}}]), [("", "lst-1")]),
    (listed(entry=[{"item": {"display": "x"}, "deleted": True, "date": "2024"}]), [("", "lst-2"), ("", "lst-3")]),
    (capability(rest=..., description=...), [("", "cpb-1"), ("", "cpb-2")]),
    (capability(software={"name": "x"}), [("", "cpb-16")]),
    (
        capability(rest=[{"mode": "server", "resource": [{"type": "Patient"}, {"type": "Patient"}]}]),
        [(".rest[0]", "cpb-9")],
    ),
    (risk(probabilityDecimal=Number("100.5")), [(".prediction[0]", "ras-2")]),
    (
        risk(probabilityRange={"low": {"value": 1, "system": UCUM, "code": "g"}}),
        [(".prediction[0].probabilityRange", "ras-1")],
    ),
    (
        {
            "resourceType": "MedicationDispense",
            "status": "completed",
            "medicationCodeableConcept": {"text": "x"},
            "whenPrepared": "2024-05-07",
            "whenHandedOver": "2024-05-06",
        },
        [("", "mdd-1")],
    ),
    (
        {"resourceType": "Consent", "status": "draft", "scope": {"text": "x"}, "category": [{"text": "x"}]},
        [("", "ppc-1")],
    ),
    (
        {"resourceType": "Group", "type": "person", "actual": False, "member": [{"entity": {"display": "x"}}]},
        [("", "grp-1")],
    ),
    ({"resourceType": "Linkage", "item": [{"type": "source", "resource": {"display": "x"}}]}, [("", "lnk-1")]),
    (
        {"resourceType": "AppointmentResponse", "appointment": {"display": "x"}, "participantStatus": "accepted"},
        [("", "apr-1")],
    ),
    ({"resourceType": "InsurancePlan"}, [("", "ipn-1")]),
    (
        {
            "resourceType": "CodeSystem",
            "status": "draft",
            "content": "complete",
            "concept": [{"code": "a"}, {"code": "b", "concept": [{"code": "a"}]}],
        },
        [("", "csd-1")],
    ),
    (
        {
            "resourceType": "ConceptMap",
            "status": "draft",
            "group": [
                {
                    "element": [{"code": "a", "target": [{"code": "b", "equivalence": "inexact"}]}],
                    "unmapped": {"mode": "fixed"},
                }
            ],
        },
        [(".group[0].element[0].target[0]", "cmd-1"), (".group[0].unmapped", "cmd-2")],
    ),
    (
        {
            "resourceType": "OperationDefinition",
            "name": "X",
            "status": "draft",
            "kind": "operation",
            "code": "x",
            "system": True,
            "type": False,
            "instance": False,
            "parameter": [{"name": "a", "use": "in", "min": 0, "max": "1"}],
        },
        [(".parameter[0]", "opd-1")],
    ),
    (
        {
            "resourceType": "SearchParameter",
            "url": "https://a.example/s",
            "name": "S",
            "status": "draft",
            "description": "x",
            "code": "s",
            "base": ["Task"],
            "type": "date",
            "chain": ["x"],
            "xpath": "x",
        },
        [("", "spd-1"), ("", "spd-2")],
    ),
    (
        {
            "resourceType": "Goal",
            "lifecycleStatus": "active",
            "description": {"text": "x"},
            "subject": {"display": "x"},
            "target": [{"detailString": "x"}],
        },
        [(".target[0]", "gol-1")],
    ),
    ({"resourceType": "MolecularSequence", "coordinateSystem": 2}, [("", "msq-3")]),
    (
        {
            "resourceType": "Immunization",
            "status": "completed",
            "vaccineCode": {"text": "x"},
            "patient": {"display": "x"},
            "occurrenceString": "x",
            "education": [{"publicationDate": "2024"}],
        },
        [(".education[0]", "imm-1")],
    ),
    (
        {
            "resourceType": "NamingSystem",
            "name": "N",
            "status": "draft",
            "kind": "root",
            "date": "2024",
            "uniqueId": [{"type": "uuid", "value": "x"}],
        },
        [("", "nsd-1")],
    ),
    (
        {
            "resourceType": "MeasureReport",
            "status": "complete",
            "type": "data-collection",
            "measure": "https://a.example/m",
            "period": {"start": "2024"},
            "group": [{"measureScore": {"value": 1}}],
        },
        [("", "mrp-1")],
    ),
]
