"""Metrics: every name is documented and exported once, and nothing that peers send makes them grow."""

from __future__ import annotations

import re

import pytest

from gateway.metrics import MAX_LABEL_SETS, OTHER, Histogram, Labelled, LabelledHistogram, Metrics


def test_every_name_is_exported_once_with_kind_and_help() -> None:
    samples = list(Metrics().samples())
    names = [sample.name for sample in samples]
    assert len(names) == len(set(names)) > 40
    for sample in samples:
        # https://prometheus.io/docs/practices/naming/
        assert re.fullmatch(r"dockgate_[a-z]+(_[a-z]+)+", sample.name)
        assert sample.name.endswith("_total") == (sample.kind == "counter")
        assert sample.help.endswith(".")
        assert sample.kind == "histogram" or not sample.histograms


def test_values_go_out_as_they_came_in() -> None:
    metrics = Metrics()
    metrics.connections.open += 3
    metrics.connections.open -= 1
    metrics.logins.refused.add("busy")
    metrics.logins.refused.add("busy", n=2)
    metrics.requests.answered.add("config", "0")
    metrics.requests.seconds.observe("config", seconds=0.004)
    samples = {sample.name: sample for sample in metrics.samples()}
    assert samples["dockgate_connections_open"].values == {(): 2}
    assert samples["dockgate_logins_refused_total"].label_names == ("reason",)
    assert samples["dockgate_logins_refused_total"].values == {("busy",): 3}
    assert samples["dockgate_requests_answered_total"].values == {("config", "0"): 1}
    assert samples["dockgate_request_duration_seconds"].histograms[("config",)].count == 1
    assert samples["dockgate_login_wait_seconds"].histograms[()].count == 0


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.logins.refused.add("busy")
    first.requests.seconds.observe("config", seconds=1)
    assert second.logins.refused.total() == 0
    assert second.requests.seconds.count == 0


def test_labels_from_peers_are_bounded() -> None:
    counter = Labelled("method", "result")
    for number in range(MAX_LABEL_SETS + 100):
        counter.add(f"method-{number}", "0")
    assert len(counter.values) == MAX_LABEL_SETS + 1
    assert counter.get(OTHER, OTHER) == 100
    assert counter.total() == MAX_LABEL_SETS + 100
    counter.add("method-1", "0")
    assert counter.get("method-1", "0") == 2
    times = LabelledHistogram((1.0,), "method")
    for number in range(MAX_LABEL_SETS + 100):
        times.observe(f"method-{number}", seconds=0.5)
    assert len(times.values) == MAX_LABEL_SETS + 1
    assert times.values[(OTHER,)].count == 100
    assert times.count == MAX_LABEL_SETS + 100


def test_a_wrong_number_of_labels_is_a_slip() -> None:
    with pytest.raises(ValueError, match="labels"):
        Labelled("method", "result").add("config")
    with pytest.raises(ValueError, match="labels"):
        LabelledHistogram((1.0,), "method", "result").observe("config", seconds=1)


def test_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == (2, 3, 4)
    assert histogram.total_seconds == pytest.approx(7.65)
