"""What a page holds for people, and at full precision for programs."""

import math

import pytest

from pipeline.report.render_page import figure, number, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "50.00%"),
        (0.0, "0.00%"),
        (0.00001, "&lt;0.01%"),
        (1.0, "100.00%"),
        (1 / 3, "33.33%"),
    ],
)
def test_a_fraction_is_shown_as_a_percentage_and_kept_whole(value, shown):
    assert percent(value) == f'<data value="{value}">{shown}</data>'


@pytest.mark.parametrize("value", [None, math.nan])
def test_an_undefined_fraction_is_a_dash(value):
    assert percent(value) == "-"


def test_whole_numbers_have_separators():
    assert number(1234567) == '<data value="1234567">1,234,567</data>'


@pytest.mark.parametrize(
    ("value", "shown"), [(12345.6, "12,346"), (1.23456, "1.23"), (0.000123456, "0.000123")]
)
def test_figures_have_three_digits_that_count(value, shown):
    assert figure(value) == f'<data value="{value}">{shown}</data>'
