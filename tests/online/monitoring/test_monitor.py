"""From searches to an alert that says what moved and which queries show it."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import zero2ir
from zero2ir.cli import main
from zero2ir.errors import DataWarning, InputError
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.monitoring.monitor import Monitor, MonitorSettings
from zero2ir.online.monitoring.report import add_check, check_folder, read_checks, write_monitoring_report
from zero2ir.online.monitoring.searches import SearchEvent, read_searches

FOREIGN = [f"quarterly revenue of company {name} in euro" for name in "abcdefghijklmnopqrstuvwxyz"]


@pytest.fixture(scope="module")
def program(string_methods, string_judgments):
    return zero2ir.train(string_methods, string_judgments, model="sparse", strategy="zero_shot")


@pytest.fixture(scope="module")
def usual(string_methods) -> list[SearchEvent]:
    """Searches that the documents speak of: some words of theirs."""
    texts = [row["text"].split() for row in string_methods]
    rng = np.random.default_rng(0)
    return [
        SearchEvent(" ".join(words[start : start + size]), timestamp=float(number), seconds=float(rng.gamma(2, 0.01)))
        for number, (words, start, size) in enumerate(
            (texts[place], int(rng.integers(1, 6)), int(rng.integers(3, 8)))
            for place in rng.integers(len(texts), size=400)
        )
    ]


@pytest.fixture(scope="module")
def monitor(program, usual) -> Monitor:
    return Monitor(program, usual[:250])


def names(look):
    return {signal.name for signal in look.alerts}


def test_the_same_searches_raise_no_alert(monitor, usual):
    look = monitor.check_window(usual[250:])
    assert not look.alerts
    assert look.text == "No drift: 150 searches, 7 signals."
    assert (look.first, look.last) == (250.0, 399.0)
    known = {"query length", "unknown terms", "score", "confidence", "seconds", "nearness", "queries"}
    assert {signal.name for signal in look.signals} <= known


def test_other_searches_raise_alerts_with_examples(monitor, usual):
    look = monitor.check_window([*usual[250:270], *(SearchEvent(query, seconds=0.01) for query in FOREIGN)])
    assert {"unknown terms", "score", "queries"} <= names(look)
    shown = [
        query for signal in look.alerts if signal.name in ("unknown terms", "queries") for query in signal.examples
    ]
    assert set(shown) <= set(FOREIGN)
    assert all(f"{signal.name} drifted" in look.text or signal.name == "queries" for signal in look.alerts)
    assert look.text.count("ALERT") == len(look.alerts)


def test_slow_answers_and_fallbacks_change_only_their_own_signal(program, usual):
    reference = [one._replace(fallback=False) for one in usual[:250]]
    window = [one._replace(seconds=one.seconds + 1, fallback=number % 3 == 0) for number, one in enumerate(usual[250:])]
    look = Monitor(program, reference).check_window(window)
    assert names(look) == {"seconds", "fallback"}


def test_more_planned_checks_need_more_evidence(program, usual):
    window = [one._replace(seconds=one.seconds * 1.6) for one in usual[250:]]
    p_values = [
        next(
            one.p_value
            for one in Monitor(program, usual[:250], settings).check_window(window).signals
            if one.name == "seconds"
        )
        for settings in (MonitorSettings(planned_checks=1), MonitorSettings(planned_checks=10))
    ]
    assert p_values[1] == pytest.approx(10 * p_values[0])


def test_a_change_in_a_stream_is_detected(monitor, usual):
    watch = monitor.change_detector()
    assert [found for one in usual[250:400] for found in watch.update(one)] == []
    found = [one for query in [*FOREIGN, *FOREIGN] for one in watch.update(SearchEvent(query))]
    assert found
    assert found[0].search < 150 + 52
    assert found[0].query in FOREIGN


def test_too_few_searches_are_refused(program, monitor, usual):
    with pytest.raises(InputError, match="reference: 19 searches"):
        Monitor(program, usual[:19])
    with pytest.raises(InputError, match="window: 3 searches"):
        monitor.check_window(usual[:3])


# where searches are read from


def test_searches_are_read_from_text_json_and_feedback(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one\n\n two \n")
    assert read_searches(tmp_path / "a.txt") == [SearchEvent("one"), SearchEvent("two")]
    (tmp_path / "a.jsonl").write_text(
        '{"query": "one", "timestamp": 3, "seconds": 0.5, "fallback": true}\n{"query": "two"}\n'
    )
    assert read_searches(tmp_path / "a.jsonl") == [SearchEvent("one", 3.0, 0.5, True), SearchEvent("two")]
    with FeedbackStore(tmp_path / "a.db") as store:
        for number, (kind, query, position) in enumerate(
            [("impression", "one", 1), ("impression", "one", 2), ("click", "one", 2), ("impression", "two", 1)]
        ):
            store.record(FeedbackEvent(str(number), kind, query, f"d{position}", position, None, 7.0, "ada"))
        store.record(FeedbackEvent("none", "nothing", "three", "", None, None, 8.0, "ada"))
    searches = [SearchEvent("one", 7.0), SearchEvent("two", 7.0), SearchEvent("three", 8.0)]
    assert read_searches(tmp_path / "a.db") == searches


def test_searches_are_read_from_a_database(postgresql, tmp_path: Path):
    url = postgresql.url()
    with FeedbackStore(url) as store:
        with pytest.raises(InputError, match="the database: contains no search"):
            read_searches(url)
        store.record(FeedbackEvent("a", "impression", "one", "d", 1, None, 7.0, "ada"))
    assert read_searches(url) == [SearchEvent("one", 7.0)]


def test_searches_are_read_from_tables(tmp_path: Path):
    (tmp_path / "a.tsv").write_text("101\twhy is it\n102\tthat\n")
    assert [one.query for one in read_searches(tmp_path / "a.tsv")] == ["why is it", "that"]
    (tmp_path / "a.csv").write_text("time,query,fallback,seconds\n3,one,true,0.5\n4,two,,\n")
    assert read_searches(tmp_path / "a.csv") == [SearchEvent("one", 3.0, 0.5, True), SearchEvent("two", 4.0)]


def test_a_query_may_contain_a_line_separator(monitor, usual, tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"query": "a\u2028b\x85c"}, ensure_ascii=False), encoding="utf-8")
    assert read_searches(tmp_path / "a.jsonl") == [SearchEvent("a\u2028b\x85c")]
    strange = [one._replace(query=f"\u2028 quokka {one.query}") for one in usual]
    for number in (1, 2):
        check = monitor.check_window(strange)
        assert write_monitoring_report(tmp_path, check, monitor.reference) == number
        add_check(tmp_path, check)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", '{"query": "one", "second": 1}\n{"query": "two"}\n'), ("a.csv", "query,second\none,1\ntwo,2\n")],
)
def test_unknown_keys_of_searches_are_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.warns(DataWarning, match=rf"{name}:1: 'second' not used; a query log may have .*, seconds, fallback"):
        assert [one.query for one in read_searches(tmp_path / name)] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.jsonl", '{"query": "one"}\n{"query": 3}\n', "a.jsonl:2"),
        ("a.jsonl", '{"query": "one", "timestamp": "noon"}\n', "a.jsonl:1"),
        ("a.jsonl", "[]\n", "a.jsonl:1"),
        ("a.jsonl", '{"query": "one", "fallback": "no"}\n', "a.jsonl:1"),
        ("a.tsv", "query\ttimestamp\none\tnoon\n", "a.tsv:2: timestamp and seconds must be numbers"),
        ("a.txt", "1\tone\n", "a.txt:1: a tab in a text file"),
        ("a.db", "no database", "a.db: unknown form of a table"),
        ("a.txt", "\n\n", "contains no search"),
        ("b.txt", None, "no such file"),
    ],
)
def test_invalid_searches_are_refused(tmp_path, name, text, told):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told):
        read_searches(tmp_path / name)


# what is shown


def test_the_command_writes_page_metrics_and_runs(program, usual, tmp_path, monkeypatch, capsys):
    import mlflow

    monkeypatch.chdir(tmp_path)
    program.save("program")
    Path("then.jsonl").write_text("\n".join(json.dumps(one._asdict()) for one in usual[:250]))
    Path("now.txt").write_text("\n".join([*FOREIGN, "<script>alert(1)</script> \x1b[31m quarterly figures"]))
    common = ["monitor", "program", "--reference", "then.jsonl"]
    main([*common, "--current", "then.jsonl", "--window", "100"])
    assert "No drift: 100 searches" in capsys.readouterr().out
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name("program/monitor").experiment_id
    killed = client.create_run(experiment, run_name="program/monitor/check 2").info.run_id  # while it was recorded
    main([*common, "--current", "now.txt"])
    told = capsys.readouterr().out
    assert "ALERT: unknown terms drifted from" in told
    assert "check 2 of 30" in told
    assert "\x1b" not in told

    assert [look["searches"] for look in read_checks(Path("monitor"))] == [100, 27]
    page = Path("monitor/index.html").read_text()
    assert "Drift detected" in page
    assert "<script>" not in page
    assert page.count("data:image/svg+xml") == 2
    metrics = {
        (sample.name, sample.labels.get("signal")): sample.value
        for family in text_string_to_metric_families(Path("monitor/metrics.prom").read_text())
        for sample in family.samples
    }
    assert metrics["zero2ir_drift_alert", "unknown terms"] == 1
    assert metrics["zero2ir_drift_checks", None] == 2
    assert "quarterly" not in Path("monitor/metrics.prom").read_text()
    assert client.get_run(killed).info.status == "KILLED"
    runs = client.search_runs([experiment], "attributes.status = 'FINISHED'")
    assert [run.data.metrics["unknown terms/drifted"] for run in runs] == [1.0, 0.0]
    assert "unknown terms" in runs[0].data.tags["drifted"]

    main([*common, "--current", "now.txt", "--planned-checks", "3"])
    with pytest.raises(SystemExit):
        main([*common, "--current", "now.txt", "--planned-checks", "3"])
    refused = capsys.readouterr()
    assert "ALERT" in refused.out.partition("check 3 of 3")[0]
    assert "ALERT" not in refused.out.partition("check 3 of 3")[2]
    assert "checks.jsonl: all 3 planned checks are done; start again with a new reference" in refused.err

    Path("monitor/checks.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit):
        main([*common, "--current", "now.txt"])
    assert "checks.jsonl:1: not a drift check" in capsys.readouterr().err


def test_a_check_counts_only_once_the_server_has_it(program, usual, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program.save("program")
    Path("then.jsonl").write_text("\n".join(json.dumps(one._asdict()) for one in usual[:250]))
    arguments = ["monitor", "program", "--reference", "then.jsonl", "--current", "then.jsonl", "--tracking"]
    start = time.monotonic()
    with pytest.raises(SystemExit):
        main([*arguments, "http://me:secret@127.0.0.1:9"])
    assert time.monotonic() - start < 10
    refused = capsys.readouterr()
    assert refused.out == ""
    assert refused.err.startswith("error: http://127.0.0.1:9: the tracking server does not answer (ConnectionError)")
    assert not Path("monitor").exists()

    monkeypatch.setattr("zero2ir.online.monitoring.report.log_check", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(SystemExit):  # the server ends between the first question and the record
        main([*arguments, "sqlite:///mlflow.db"])
    shown = capsys.readouterr()
    assert shown.out.startswith("No drift: 200 searches")
    assert "gone" in shown.err
    assert read_checks(Path("monitor")) == []
    assert check_folder(Path("monitor"), 30) == 1


def test_a_check_that_did_not_fit_leaves_those_before(monitor, usual, tmp_path, no_room):
    check = monitor.check_window(usual[250:])
    add_check(tmp_path, check)
    with no_room((tmp_path / "checks.jsonl").stat().st_size + 20), pytest.raises(OSError, match="too large"):
        add_check(tmp_path, check)
    assert len(read_checks(tmp_path)) == 1
    add_check(tmp_path, check)
    assert len(read_checks(tmp_path)) == 2


@pytest.mark.parametrize("name", ["index.html", "metrics.prom"])
def test_a_page_of_the_user_is_not_replaced(program, usual, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    program.save("program")
    Path("site").mkdir()
    Path("site", name).write_text("my home page")
    Path("then.jsonl").write_text("\n".join(json.dumps(one._asdict()) for one in usual[:250]))
    with pytest.raises(SystemExit):
        main(["monitor", "program", "--reference", "then.jsonl", "--current", "then.jsonl", "--output", "site"])
    assert f"site/{name}: not written by zero2ir" in capsys.readouterr().err
    assert Path("site", name).read_text() == "my home page"
