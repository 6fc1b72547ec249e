"""What the documentation shows is what happens: each fenced block is run, or parsed.

Local commands, Python and SQL are run in a folder in which the quickstart has been, and in which
the pages' titled blocks lie as files. Commands to a cluster are parsed by the real command line,
job specs by the real validation. What else stands in a block is named here, with who runs it.
"""

import ast
import os
import re
import shutil
from collections import Counter

import duckdb
import pytest
import typer.main
import yaml

from fenced_blocks import PAGES, ROOT, blocks_of
from in_process import invoke
from jobs.cli import app
from pipeline import JobSpec
from spec_fields import PAGE, field_tables, page_with
from tiny_job import save_checkpoint

pytestmark = pytest.mark.usefixtures("without_ray")

IMAGES = 8
CLUSTER_COMMANDS = {"submit", "status", "logs", "stop"}
# They measure for long; `tests/jobs/commands` runs them.
LONG = {"models", "--calibrate"}
# Commands of others, which neither run nor are parsed here.
OTHERS = {
    "git": "gets the project; who reads this has it",
    "cd": "likewise",
    "python3": "`.ci/run` runs the README's two commands as they stand",
    ".venv/bin/pip": "likewise",
    ".venv/bin/refinenet-batch": "likewise",
    ".venv/bin/pytest": "likewise; the files that it names are looked for",
    ".venv/bin/mkdocs": "`.ci/run` builds the site",
    ".ci/run": "is what runs this",
    "kubectl": "there is no Kubernetes here; the files that it names are looked for",
    "ray": "parsed by Ray's own command line",
}


TOTAL = Counter()  # over all pages


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory, without_ray):  # noqa: ARG001 - the run needs it
    """A folder in which the quickstart has run, and what it printed."""
    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = invoke("quickstart", "--images", IMAGES)
    assert done.exit_code == 0, done.stderr
    save_checkpoint(folder / "published.pth", num_classes=11)
    return folder, done.stdout


@pytest.fixture
def folder(quickstart, tmp_path, monkeypatch):
    """A copy of that folder, with every titled block of every page as a file."""
    shutil.copytree(quickstart[0], tmp_path, dirs_exist_ok=True, copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        for block in blocks_of(page):
            if block.title:
                (tmp_path / block.title).write_text(block.text)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_block_of_a_page_is_run_or_parsed(page, folder, quickstart, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    blocks, counted = list(blocks_of(page)), Counter()

    for block in blocks:
        try:
            counted += KINDS[block.language](block, folder, quickstart[1])
        except Exception as error:
            error.add_note(f"in {block.page}, line {block.line}:\n{block.text}")
            raise

    assert counted.total() >= len(blocks)
    TOTAL.update(counted)


def test_most_of_what_is_shown_is_run():
    """Keep it behind the test of the pages, which counts."""
    if TOTAL["run"] + TOTAL["parsed"] == 0:
        pytest.skip("counts what the pages' tests have done")

    print(dict(TOTAL))  # noqa: T201 - the count
    assert TOTAL["run"] >= 30
    assert TOTAL["parsed"] >= 25


def shell(block, folder, printed):  # noqa: ARG001 - as the others
    return Counter(run_or_parse(words) for words in block.commands())


def run_or_parse(words):
    name, *arguments = words
    if name != "refinenet-batch":
        check_other(words)
        return "others'"
    if arguments[0] in CLUSTER_COMMANDS or {"--address", *LONG} & set(arguments):
        parse(arguments)
        return "parsed"
    done = invoke(*arguments)
    assert done.exit_code == 0, f"{words}: {done.stderr}{done.stdout}"
    return "run"


def parse(arguments):
    """Have the real command line take the arguments, and do nothing."""
    group = typer.main.get_command(app)
    with group.make_context("refinenet-batch", list(arguments), resilient_parsing=False) as context:
        name, found, rest = group.resolve_command(context, list(arguments))
        found.make_context(name, rest, parent=context)


def check_other(words):
    assert words[0] in OTHERS, f"{words[0]}: who runs it?"
    if words[0] == "ray":
        from ray.scripts.scripts import cli

        name, found, rest = cli.resolve_command(cli.make_context("ray", words[1:]), words[1:])
        found.make_context(name, rest)
    for word in words[1:]:
        if "/" in word and not word.startswith(("-", ".venv")):
            assert (ROOT / word).exists(), word


def yaml_spec(block, *_):
    JobSpec.from_mapping(yaml.safe_load(block.text), source=block.page)
    return Counter(["parsed"])


def python(block, *_):
    if "http://head" not in block.text:
        exec(compile(block.text, block.page, "exec"), {})  # noqa: S102 - our own lines
        return Counter(["run"])
    imports = [node for node in ast.parse(block.text).body if isinstance(node, ast.ImportFrom)]
    assert imports
    exec(compile(ast.Module(imports, []), block.page, "exec"), {})  # noqa: S102 - likewise
    return Counter(["parsed"])


def sql(block, *_):
    assert duckdb.sql(block.text).fetchall()
    return Counter(["run"])


def text(block, folder, printed):  # noqa: ARG001 - as the others
    """What is shown is what was printed, but for numbers and where columns begin."""
    if block.page in {"README.md", "docs/quickstart.md"}:
        assert in_general(block.text) == in_general(printed)
    else:
        assert block.page == "docs/scores.md"  # `test_scores` works the example
    return Counter(["run"])


def in_general(printed):
    """Return what is printed of any quickstart, wherever lines break."""
    for pattern, instead in (
        (r"\s+", " "),
        (r"Bottleneck: .* Masks:", "Bottleneck: Masks:"),
        (r"\S*/quickstart/", "quickstart/"),
        (r"\d[\d,]*(\.\d+)?", "0"),
        (r"─+", "─"),
    ):
        printed = re.sub(pattern, instead, printed)
    return printed.strip().split()


KINDS = {
    "sh": shell,
    "yaml": yaml_spec,
    "python": python,
    "sql": sql,
    "text": text,
}


def test_the_files_of_an_output_are_those_that_are_documented(quickstart):
    text = (ROOT / "docs/outputs.md").read_text(encoding="utf-8")
    table = text[: text.index("## Open the mask table")]
    shown = re.findall(r"`([^` ]+\.\w+)`", table.replace("](scores.md)", ""))
    results = quickstart[0] / "quickstart/results"

    found = {name: set(results.glob(re.sub(r"<\w+>", "*", name))) for name in shown}

    there = {path for path in results.rglob("*") if path.is_file()}
    assert all(found.values()), found
    assert set().union(*found.values()) == there


def test_the_field_tables_are_the_models():
    """Else: python tests/support/spec_fields.py."""
    assert PAGE.read_text(encoding="utf-8") == page_with(field_tables())


def test_the_front_door_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 160
    assert [line for line in lines if len(line) > 100 and not line.startswith(("|", "http"))] == []
