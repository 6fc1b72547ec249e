"""Problems of a spec: where each is, what is wrong, what would be right."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.spec.problems import describe_problems


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: Annotated[int, Field(gt=0)]
    colour: str = "red"


class Root(BaseModel):
    model_config = ConfigDict(extra="forbid")
    first: Item | None = None
    items: Annotated[tuple[Item, ...], Field(min_length=1)]


def problems(**content):
    with pytest.raises(ValidationError) as caught:
        Root.model_validate(content)
    return describe_problems(caught.value, Root)


def test_a_wrong_value_is_told_with_its_path_and_itself():
    [problem] = problems(items=[{"size": 1}, {"size": -2}])

    assert problem.startswith("items[1].size: ")
    assert problem.endswith("greater than 0 (found -2)")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("colours", "did you mean 'colour'?"), ("weight", "known are: size, colour")],
)
def test_an_unknown_field_is_told_with_the_close_ones_of_its_own_section(name, hint):
    section = {"size": 1, name: 2}

    assert problems(items=[section]) == (f"items[0].{name}: unknown field; {hint}",)
    assert problems(first=section, items=[{"size": 1}]) == (f"first.{name}: unknown field; {hint}",)


def test_every_problem_has_a_line_and_a_list_is_not_called_short_for_its_wrong_items():
    assert problems(items=[{"colour": "blue"}], sum=3) == (
        "items[0].size: missing; this field is required",
        "sum: unknown field; known are: first, items",
    )
    [problem] = problems(items=[])
    assert "at least 1 item" in problem
