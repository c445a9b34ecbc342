"""Versions that answered are judged by what was taken afterwards, and only where their log can tell."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.metrics.offpolicy import Value
from motet.printed import money
from motet.returns.served import PRIOR, Served, _expected, served
from tests.shop import Item, Purchase

graph = mt.Graph(
    top=mt.retrieve(Item, k=3, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
)
START = 1_700_000_000.0


def logged(viewers: int = 600, share: float = 0.5, hits: tuple[float, float] = (0.1, 0.3), seed: int = 0):
    """What two versions answered, one ask a viewer a day for five days, and what was bought within the hour."""
    rng = np.random.default_rng(seed)
    answers: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    for viewer in range(viewers):
        version = int(rng.random() < share)
        for day in range(5):
            at = START + day * 86_400 + viewer
            items = rng.choice(12, 3, replace=False).tolist()
            took = items[0] if rng.random() < hits[version] else next(i for i in range(12) if i not in items)
            answers.append(
                {
                    "at": at,
                    "version": version + 1,
                    "propensity": share if version else 1 - share,
                    "ask": {"buyer": f"b{viewer}"},
                    "answer": {"top": [{"item_id": item, "score": 1.0} for item in items]},
                }
            )
            happened.append({"buyer": f"b{viewer}", "at": at + 60, "item": took})
    happened.append({"buyer": "last", "at": START + 10 * 86_400, "item": 0})
    return answers, happened


def ends(value: Value) -> tuple[float, float]:
    assert value.estimate.low is not None
    assert value.estimate.high is not None
    return value.estimate.low, value.estimate.high


def judged(folder: Path, answers: list[dict[str, Any]], happened: list[dict[str, Any]], **asked: Any) -> Served:
    file = folder / "answers.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in answers))
    return served(graph, file, happened, 0.02, within=3_600, **asked)


def test_each_version_is_worth_what_it_would_be_for_all(tmp_path: Path) -> None:
    found = judged(tmp_path, *logged())
    for version, rate in ((1, 0.1), (2, 0.3)):
        each = found.values[version]
        for value in (each.ips, each.snips, each.dr):
            low, high = ends(value)
            assert low < 1_000 * 0.02 * rate < high
            assert value.effective == pytest.approx(1_500, rel=0.1)
    gap = found.differences[{1: 2, 2: 1}[found.most or 0]].anytime
    assert gap.sure
    assert gap.value == pytest.approx((1 if found.most == 1 else -1) * 4.0, abs=1.0)
    assert "n=3,000" in str(found)
    header, row = str(found).splitlines()[:2]
    assert header.split() == ["version", "IPS", "SNIPS", "doubly", "robust", "worth"]
    assert row.startswith("1 ")
    assert row.endswith(" rows")
    assert set(found.to_dict()["values"][1]) == {"ips", "snips", "dr"}


def test_only_what_is_taken_in_time_by_who_asked_counts(tmp_path: Path) -> None:
    answers, happened = logged()
    first = {line["ask"]["buyer"] for line in answers if line["version"] == 1}
    late = [row | {"at": row["at"] + 7_200 * (row["buyer"] in first)} for row in happened]
    others = [row | {"buyer": "nobody" if row["buyer"] in first else row["buyer"]} for row in happened]
    for rows in (late, others):
        found = judged(tmp_path, answers, rows)
        assert found.values[1].snips.estimate.value == 0
        assert (
            found.values[2].snips.estimate.value == judged(tmp_path, answers, happened).values[2].snips.estimate.value
        )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row | {"item": f"item {row['item']}"}, "none of 51 events took what one of 50 answers held"),
        (lambda row: row | {"buyer": row["buyer"][1:]}, "to 'b0' with .*, an event is of '0' with"),
        (lambda row: row | {"item": None}, "none of 0 events"),
    ],
)
def test_events_that_join_no_answer_are_refused(tmp_path: Path, change: Any, says: str) -> None:
    answers, happened = logged(10, hits=(1.0, 1.0))
    with pytest.raises(mt.DataError, match=says):
        judged(tmp_path, answers, [change(row) for row in happened])
    with pytest.raises(mt.DataError, match="none of 0 events took what one of 50 answers held"):
        judged(tmp_path, answers, [])


def test_what_is_taken_counts_for_one_answer_the_latest_that_held_it(tmp_path: Path) -> None:
    answers, happened = logged()
    once = judged(tmp_path, answers, happened)
    often = judged(tmp_path, [line | {"at": line["at"] + k} for line in answers for k in range(10)], happened)
    assert (often.n, often.joined) == (10 * once.n, once.joined)
    assert once.events == 3_001
    assert f"{once.joined} of 3,001 events count for an answer" in str(once)
    for version in (1, 2):
        one, ten = (found.values[version].snips.estimate.value for found in (once, often))
        assert one is not None
        assert ten == pytest.approx(one / 10)


def test_answers_whose_time_is_not_over_are_left_out(tmp_path: Path) -> None:
    answers, happened = logged()
    found = judged(tmp_path, answers, happened[:-1])
    assert (found.n, found.early) == (2_400, 600), "the last day's, of which an hour has not passed"
    assert "600 answers left out" in str(found)
    assert judged(tmp_path, answers, happened).early == 0
    with pytest.raises(mt.DataError, match=r"the events end before 1e.06 s have passed since any of the 3,000 answers"):
        served(graph, tmp_path / "answers.jsonl", happened, 0.02, within=1e6)


def test_a_key_is_one_however_it_is_written(tmp_path: Path) -> None:
    answers, happened = logged()
    told = judged(tmp_path, answers, happened)
    for write in (str, float):
        assert judged(tmp_path, answers, [row | {"item": write(row["item"])} for row in happened]).values == told.values


def test_viewers_who_got_both_versions_are_no_comparison_of_viewers_and_the_rest_is_told(tmp_path: Path) -> None:
    answers, happened = logged()
    both = [line | {"ask": {"buyer": "b0"}, "version": 1 + i % 2} for i, line in enumerate(answers[:10])]
    found = judged(tmp_path, answers + both, happened)
    assert set(found.values) == {1, 2}
    assert found.differences == {}
    assert "versions cannot be compared by viewers" in str(found)


def test_times_may_be_written_as_iso_8601(tmp_path: Path) -> None:
    answers, happened = logged()
    told = judged(tmp_path, answers, happened)
    zones = [row | {"at": datetime.fromtimestamp(row["at"], UTC).isoformat()} for row in happened]
    plain = [row | {"at": row["at"].removesuffix("+00:00")} for row in zones]
    assert judged(tmp_path, answers, zones).values == judged(tmp_path, answers, plain).values == told.values


NAN = float("nan")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"propensity": value} for value in (0, NAN, None, 1.5)),
        *({"ask": value} for value in ([1], None, {"buyer": ["b1"]})),
        *({"at": value} for value in (NAN, None, "soon")),
    ],
)
def test_a_line_of_the_log_that_is_no_answer_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    answers, happened = logged(10)
    answers[3] |= wrong
    with pytest.raises(mt.DataError, match=r"line 4 of answers\.jsonl is no answer"):
        judged(tmp_path, answers, happened)


def text_judged(folder: Path, text: bytes, happened: list[dict[str, Any]]) -> Served:
    file = folder / "answers.jsonl"
    file.write_bytes(text)
    return served(graph, file, happened, 0.02, within=3_600)


def test_a_line_that_is_being_written_and_blank_ones_are_left_out(tmp_path: Path) -> None:
    answers, happened = logged()
    told = judged(tmp_path, answers, happened)
    text = (tmp_path / "answers.jsonl").read_bytes()
    assert text_judged(tmp_path, text.replace(b"\n", b"\n\n", 3) + text[:40], happened) == told
    assert text_judged(tmp_path, text.rstrip(), happened) == told, "a whole last line counts without its end"
    with pytest.raises(
        mt.DataError, match=r"line 2 of answers\.jsonl is no answer: it is no JSON\nhelp: leave the line"
    ):
        text_judged(tmp_path, text.replace(b"\n", b"\n" + text[:40] + b"\n", 1), happened)
    with pytest.raises(mt.DataError, match=r"line 1 of answers\.jsonl is no answer: it is no JSON"):
        text_judged(tmp_path, b"\xff\xfe\x00\n" + text, happened)


def test_a_line_that_is_in_the_log_already_counts_once(tmp_path: Path) -> None:
    answers, happened = logged()
    told = judged(tmp_path, answers, happened)
    twice = judged(tmp_path, [line for line in answers for _ in range(2)], happened)
    assert twice == replace(told, repeated=3_000)
    assert "3,000 lines left out: they are in the log already" in str(twice)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"answer": {"tops": [], "likes": 1}},
            "it answers tops, likes, and no 'top'\nhelp: give the log of this graph",
        ),
        ({"answer": {"top": 5}}, "top=5 is no list of items"),
        ({"answer": {"top": [5]}}, "5 is no JSON object"),
        ({"answer": {"top": [{"item": 5}]}}, "it has no 'item_id'"),
        ({"answer": None}, "answer=null is no JSON object"),
        ({"propensity": None}, "propensity=null is no number"),
        ({"version": "first"}, 'version="first" is no number'),
        ({"at": 10**400}, "is no time"),
        ({"at": "soon"}, '"soon" is no time'),
        ({"rival": 7, "ours": {"top": [True]}}, "it says of 1 items whose they are, and answers 3"),
        ({"rival": 7}, "it has no 'ours'"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_words_of_the_log(tmp_path: Path, wrong: Any, says: str) -> None:
    answers, happened = logged(10)
    answers[3] |= wrong
    with pytest.raises(mt.DataError) as refused:
        judged(tmp_path, answers, happened)
    assert says in str(refused.value)


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    answers, happened = logged(10)
    lines: list[Any] = [*answers[:2], 5]
    with pytest.raises(mt.DataError, match=r"line 3 of answers\.jsonl is no answer"):
        judged(tmp_path, lines, happened)


@pytest.mark.parametrize(
    "wrong", [5, {"buyer": "b1", "item": 3}, *({"buyer": "b1", "item": 3, "at": at} for at in (NAN, None, "soon"))]
)
def test_an_event_that_is_none_is_named(tmp_path: Path, wrong: Any) -> None:
    answers, happened = logged(10)
    with pytest.raises(mt.DataError, match="line 2 of what happened is no Purchase"):
        judged(tmp_path, answers, [happened[0], wrong])


def test_a_version_that_only_answered_before_another_cannot_be_judged(tmp_path: Path) -> None:
    answers, happened = logged()
    for line in answers:
        line["propensity"] = 1.0
    with pytest.raises(mt.DataError, match="what version 1 is worth cannot be told: the mean weight"):
        judged(tmp_path, answers, happened)


@pytest.mark.parametrize("gone", ["propensity", "version", "answer"])
def test_a_log_that_lacks_something_is_refused(tmp_path: Path, gone: str) -> None:
    answers, happened = logged(10)
    del answers[3][gone]
    with pytest.raises(mt.DataError, match=r"line 4 of answers\.jsonl"):
        judged(tmp_path, answers, happened)


def test_what_no_output_answers_cannot_be_taken(tmp_path: Path) -> None:
    with pytest.raises(mt.DataError, match="'tops' is no output that answers items, and nothing else can be taken"):
        judged(tmp_path, *logged(10), output="tops")
    with pytest.raises(mt.DataError, match="there is no file"):
        served(graph, tmp_path / "nothing.jsonl", [], 0.02)


def regulars(viewers: int = 1_000) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every fifth viewer has bought ten times before, and takes much more of what is answered than the others."""
    answers, happened = logged(viewers, hits=(0.5, 0.6))
    for line, row in zip(answers, happened, strict=False):
        if int(row["buyer"][1:]) % 5:
            row["item"] = next(i for i in range(12) if i not in {item["item_id"] for item in line["answer"]["top"]})
    earlier = [START - 86_400 * day for day in range(1, 11)]
    return answers, happened + [{"buyer": f"b{i}", "at": at, "item": 1} for i in range(0, viewers, 5) for at in earlier]


def test_what_viewers_did_before_makes_doubly_robust_narrower_and_nothing_that_they_did_since(tmp_path: Path) -> None:
    answers, happened = regulars()
    widths: dict[str, float] = {}
    for name, rows in {"told": happened, "untold": [row for row in happened if row["at"] >= START]}.items():
        value = judged(tmp_path, answers, rows).values[2]
        (low, high), (wide, wider) = ends(value.dr), ends(value.snips)
        assert low < 1_000 * 0.02 * 0.6 / 5 < high
        widths[name] = (high - low) / (wider - wide)
    since = [{"buyer": f"b{i}", "at": START + 86_400 * day, "item": 1} for i in range(300) for day in range(10, 20)]
    assert judged(tmp_path, answers, happened + since).values == judged(tmp_path, answers, happened).values
    assert widths["told"] < 0.9
    assert widths["untold"] > 0.98


def test_nothing_of_a_viewer_is_predicted_from_the_same_viewer() -> None:
    viewers = np.repeat(np.arange(50).astype(str), 4)
    segments, mine = np.tile([0, 1, 0, 1], 50), np.arange(200) % 8 < 4
    worth = np.random.default_rng(0).random(200)
    before = _expected(worth, mine, segments, viewers)
    changed = np.where(viewers == "8", 100.0, worth)
    after = _expected(changed, mine, segments, viewers)
    assert mine[viewers == "8"].all()
    assert (after[viewers == "8"] == before[viewers == "8"]).all()
    assert (after != before).mean() > 0.7


def test_a_segment_is_predicted_by_its_mean_as_far_as_that_is_known() -> None:
    viewers, segments = np.arange(10_000).astype(str), np.arange(10_000) % 2
    expected = _expected(segments.astype(np.float64), viewers != "0", segments, viewers)
    seen = 4_000  # four of five parts of its 5,000 rows
    assert expected[segments == 1] == pytest.approx((seen + PRIOR / 2) / (seen + PRIOR), abs=0.01)
    assert expected[segments == 0] == pytest.approx(PRIOR / 2 / (seen + PRIOR), abs=0.01)
    nothing = _expected(np.ones(4), np.zeros(4, bool), np.zeros(4, np.int64), np.array(list("abcd")))
    assert nothing.tolist() == [0, 0, 0, 0]


def interleaved(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same answers, the first and the last item of which were version 7's."""
    return [line | {"version": 1, "rival": 7, "ours": {"top": [False, True, False]}} for line in lines]


def test_what_is_taken_of_an_interleaved_answer_speaks_for_the_version_that_put_it_there(tmp_path: Path) -> None:
    answers, happened = logged()
    found = judged(tmp_path, interleaved(answers), happened)
    assert (found.values, found.differences, found.most) == ({}, {}, None), "no version gave those alone"
    (preference,) = found.preferences
    assert (preference.version, preference.rival) == (1, 7)
    assert preference.lead.anytime.value == pytest.approx(-found.joined / found.n), "each took the first item, or none"
    assert preference.lead.anytime.sure
    assert "version 1 preferred to version 7, in one list: -0.2" in str(found)


def test_where_the_rest_was_interleaved_that_is_why_lone_answers_do_not_tell(tmp_path: Path) -> None:
    answers, happened = logged()
    half = len(answers) // 2
    alone = [line | {"version": 1, "propensity": 0.5} for line in answers[:half]]
    found = judged(tmp_path, alone + interleaved(answers[half:]), happened)
    assert found.values == {}
    assert "cannot be told: 1,500 of 3,000 answers were interleaved, and are left out of that" in found.refused
    assert "mean weight" not in str(found)
    assert len(found.preferences) == 1


def test_differences_are_money_to_three_digits(tmp_path: Path) -> None:
    judged(tmp_path, *logged())
    small = served(graph, tmp_path / "answers.jsonl", logged()[1], 2e-8, within=3_600)
    (gap,) = small.differences.values()
    assert f"{money(gap.once)} at one look, {money(gap.anytime)} at any, n=3,000" in str(small)
    assert "0.0000" not in str(small)


def test_interleaved_answers_change_nothing_of_what_versions_are_worth_alone(tmp_path: Path) -> None:
    answers, happened = logged()
    others = [line | {"ask": {"buyer": f"x{line['ask']['buyer']}"}} for line in interleaved(answers)]
    told = judged(tmp_path, answers, happened)
    both = judged(tmp_path, answers + others, happened)
    assert (both.values, both.differences) == (told.values, told.differences)
    assert both.preferences[0].lead.anytime.value == 0, "nobody of those took anything"


def test_who_is_not_named_is_nobody_s_viewer(tmp_path: Path) -> None:
    answers, happened = logged()
    nameless = [line | {"ask": {}} for line in answers[:50]]
    taken = [row | {"buyer": None} for row in happened[:50]]
    told, found = judged(tmp_path, answers, happened), judged(tmp_path, answers + nameless, happened + taken)
    assert found.nobody == 50
    assert found.values == told.values
    assert "50 answers left out: they name nobody" in str(found)


class Search(mt.Event):
    at: mt.Time
    words: mt.Text
    item: Item = mt.outcome()


def test_events_that_refer_to_nobody_cannot_be_joined(tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=3, by=[mt.BM25()(Item.name, Search.words)])
    with pytest.raises(mt.DataError, match="Search refers to nobody"):
        served(mt.Graph(top=found), tmp_path / "answers.jsonl", [], 0.02)


@pytest.mark.parametrize("hit", ["x", None, float("nan"), True, -1.0, 0.0, 1e308])
def test_what_something_taken_is_worth_is_an_amount(tmp_path: Path, hit: Any) -> None:
    with pytest.raises(mt.DataError, match="is no amount"):
        served(graph, tmp_path / "answers.jsonl", [], hit)


def test_what_viewers_did_before_makes_the_difference_narrower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, happened = regulars()
    told = judged(tmp_path, answers, happened)
    monkeypatch.setattr("motet.returns.joins.before", lambda lines, taken: [0] * len(lines))
    blind = judged(tmp_path, answers, happened)
    (one,), (other,) = told.differences.values(), blind.differences.values()
    narrow, wide = ((each.once.high or 0) - (each.once.low or 0) for each in (one, other))
    assert narrow < 0.95 * wide
