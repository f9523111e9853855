"""Search as FHIR R4 has it (https://hl7.org/fhir/R4/search.html), as far as ``PARAMETERS`` goes."""

from referral_service.fhir.search.links import next_url, self_url
from referral_service.fhir.search.parameters import (
    INCLUDES,
    PARAMETERS,
    PRIVATE,
    REVINCLUDES,
    SORTABLE,
    Parameter,
    ParameterType,
)
from referral_service.fhir.search.query import (
    Criterion,
    Cursor,
    DateValue,
    Prefix,
    ReferenceValue,
    SearchQuery,
    SortKey,
    Summary,
    TextValue,
    TokenValue,
    Total,
)
from referral_service.fhir.search.reading import parse_search
from referral_service.fhir.search.subset import subset

__all__ = [
    "INCLUDES",
    "PARAMETERS",
    "PRIVATE",
    "REVINCLUDES",
    "SORTABLE",
    "Criterion",
    "Cursor",
    "DateValue",
    "Parameter",
    "ParameterType",
    "Prefix",
    "ReferenceValue",
    "SearchQuery",
    "SortKey",
    "Summary",
    "TextValue",
    "TokenValue",
    "Total",
    "next_url",
    "parse_search",
    "self_url",
    "subset",
]
