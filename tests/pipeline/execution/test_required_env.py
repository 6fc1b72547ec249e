"""Variables that a run needs on its nodes: names alone, and refused where they are not set."""

import pytest

from pipeline.errors import SpecError
from pipeline.execution.required_env import check_names, refuse_unset, unset


def test_names_of_variables_are_accepted():
    check_names(["AWS_SECRET_ACCESS_KEY", "_x1", "lower"])


@pytest.mark.parametrize("name", ["", "1ST", "WITH SPACE", "WITH-DASH", "LINE\n"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(SpecError, match="is no name of an environment variable"):
        check_names(["FINE", name])


def test_a_value_is_refused_and_not_repeated():
    with pytest.raises(SpecError, match="'PASSWORD' comes with a value") as caught:
        check_names(["PASSWORD=hidden"])

    assert "hidden" not in str(caught.value)


def test_variables_that_are_empty_count_as_not_set(monkeypatch):
    monkeypatch.setenv("IS_SET", "x")
    monkeypatch.setenv("IS_EMPTY", "")
    monkeypatch.delenv("IS_MISSING", raising=False)

    assert unset(["IS_SET", "IS_EMPTY", "IS_MISSING"]) == ["IS_EMPTY", "IS_MISSING"]


def test_each_variable_that_is_missing_is_named_with_its_node():
    refuse_unset([])

    with pytest.raises(SpecError) as caught:
        refuse_unset([("ONE", "on node 1"), ("TWO", "on node 2")])

    for words in ("ONE is not set on node 1", "TWO is not set on node 2"):
        assert words in str(caught.value)
