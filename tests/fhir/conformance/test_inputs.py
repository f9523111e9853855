"""The inputs of our own by which parsing and checking are judged: how many there are of each class.

Every input stands in a table with the exact findings that it has to have; the tables are those of the tests named.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import pytest

from tests.fhir import test_parse as parsing
from tests.fhir.conformance import test_advice as advice
from tests.fhir.conformance import test_fhirpath as expressions
from tests.fhir.conformance import test_narrative as narratives
from tests.fhir.conformance import test_narrowing as narrowing
from tests.fhir.conformance import test_profiles as profiles
from tests.fhir.conformance import test_r4_references as references
from tests.fhir.conformance import test_r4_rules as rules
from tests.fhir.conformance import test_r4_structure as structure
from tests.fhir.conformance import test_r4_values as values

CLASSES: dict[str, list[Callable[..., Any]]] = {
    "bytes, encoding and syntax": [
        parsing.test_a_body_that_is_no_json_object_has_one_fatal_fault_and_no_value,
        parsing.test_a_syntax_fault_tells_its_place_and_never_the_content,
    ],
    "duplicates": [parsing.test_every_name_given_twice_is_told_with_its_expression],
    "several faults of the text": [parsing.test_all_faults_of_a_readable_text_are_told_at_once],
    "depth": [parsing.test_nesting_deeper_than_64_is_refused],
    "numbers": [
        parsing.test_numbers_keep_their_digits,
        values.test_number_types_take_json_numbers_only,
        values.test_a_boolean_is_true_or_false,
    ],
    "resource types": [
        structure.test_a_resource_names_a_concrete_type_of_r4,
        structure.test_nested_resources_are_judged_where_they_stand,
    ],
    "shape": [
        structure.test_elements_that_r4_does_not_have_are_refused,
        structure.test_json_types_are_not_bent,
        structure.test_a_choice_is_made_once_and_among_its_types,
    ],
    "primitive extensions": [
        structure.test_extensions_of_repeating_primitives_stand_in_line,
        structure.test_extensions_of_a_primitive_hang_on_the_element_itself,
    ],
    "required": [structure.test_what_must_be_there_is_missed],
    "primitives": [
        values.test_values_in_the_format_of_their_type_are_accepted,
        values.test_values_in_another_format_are_refused,
        values.test_text_types_take_json_strings_only,
        values.test_ids_and_times_of_every_resource_have_their_format,
        values.test_long_values_are_judged_whole,
    ],
    "codes": [
        values.test_codes_of_required_bindings_are_from_the_set,
        advice.test_a_code_that_strays_from_a_system_of_the_set_is_remarked_upon,
    ],
    "references": [references.test_a_reference_points_at_a_type_that_its_element_allows],
    "contained": [
        references.test_contained_resources_are_parts_of_their_container,
        references.test_a_contained_resource_is_referred_to_or_refers_to_its_container,
    ],
    "narrative": [
        values.test_a_narrative_is_an_xhtml_div,
        narratives.test_formatting_links_images_and_styles_are_allowed,
        narratives.test_what_runs_submits_embeds_or_is_no_xhtml_is_refused,
        narratives.test_long_and_deep_narratives_are_judged_whole,
    ],
    "Bundle": [
        rules.test_a_bundle_keeps_the_rules_of_its_type,
        rules.test_what_is_wrong_inside_an_entry_is_told_there,
    ],
    "invariants": [
        rules.test_a_period_ends_no_earlier_than_it_starts_as_far_as_can_be_told,
        rules.test_invariants_hold_and_are_named_by_their_key,
        expressions.test_constraints_of_other_types_hold_where_they_should,
        expressions.test_constraints_of_other_types_are_named_by_their_key,
    ],
    "profiles": [
        profiles.test_what_a_profile_allows_has_no_faults,
        profiles.test_what_breaks_a_profile_is_told_with_its_place,
        profiles.test_a_claimed_profile_is_judged_when_known_and_remarked_upon_when_not,
        narrowing.test_each_kind_of_narrowing_is_judged,
    ],
}


def inputs(test: Callable[..., Any]) -> int:
    """The rows of a test's table; tables on top of each other multiply."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return prod(len(list(mark.args[1])) for mark in marks)


def test_there_are_at_least_250_inputs_of_all_classes(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {name: sum(inputs(test) for test in tests) for name, tests in CLASSES.items()}
    with capsys.disabled():
        print(f"\ninputs of our own: {sum(counts.values())}, {', '.join(f'{n} {name}' for name, n in counts.items())}")
    assert min(counts.values()) >= 5
    assert sum(counts.values()) >= 250
