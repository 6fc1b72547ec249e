"""Shares: every so many-th shard, so that all of them together are the whole."""

import pytest

from pipeline.errors import SpecError
from pipeline.spec.share import Share


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_shares_together_take_each_shard_once_and_are_alike_in_size(of):
    shards = list(range(20))

    taken = [Share.parse(f"{number}/{of}").take(shards) for number in range(1, of + 1)]

    assert sorted(shard for share in taken for shard in share) == shards
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def test_a_share_is_written_as_it_is_read():
    share = Share.parse("2/3")

    assert (share.number, share.of, str(share)) == (2, 3, "2/3")
    assert share.take("abcdef") == "be"


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2", "1/2 ", "", "\u0661/2"])
def test_what_is_no_share_is_refused_with_an_example(text):
    with pytest.raises(SpecError, match=r"is none; write K/N, .* for example 1/4 to 4/4"):
        Share.parse(text)
