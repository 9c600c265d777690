"""The arithmetic behind the tables, with numbers whose result is known."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import contenders, report  # noqa: E402


def costs(*pairs):
    return [{"round": number, "cpu_micros_per_unit": cost} for number, cost in pairs]


class Report(unittest.TestCase):
    def test_ratios_are_taken_within_a_round(self):
        # Between the rounds the machine became twice as slow; within each, both were alike.
        own, base = costs((0, 10.0), (1, 20.0)), costs((0, 10.0), (1, 20.0))
        self.assertEqual(report.ratios(own, base), [1.0, 1.0])
        self.assertEqual(report.ratios(costs((1, 30.0)), base), [1.5])

    def test_a_round_without_its_base_gives_no_ratio(self):
        self.assertEqual(report.ratios(costs((2, 30.0)), costs((1, 20.0))), [])
        self.assertEqual(report.ratios(costs((1, None)), costs((1, 20.0))), [])

    def test_the_range_stands_behind_the_median(self):
        self.assertEqual(report.median_range([3.0, 1.0, 2.0], "{:.1f}"), "2.0 (1.0–3.0)")
        self.assertEqual(report.median_range([None], "{:.1f}"), "-")

    def test_other_work_is_seen(self):
        interval = {"foreign_cpu_seconds": 0.4, "window_seconds": 3.0}
        self.assertTrue(report.disturbed(interval, cpus=2))
        self.assertFalse(report.disturbed(interval, cpus=8))
        self.assertFalse(report.disturbed({"foreign_cpu_seconds": None, "window_seconds": 3.0}, cpus=2))
        self.assertTrue(report.disturbed({"foreign_cpu_seconds": 0.0, "window_seconds": 3.0, "late_streams": 1}, cpus=2))

    def test_memory_is_what_the_streams_added(self):
        interval = {"connections": 1000, "pss_bytes_before": 5 << 20, "pss_bytes": 25 << 20}
        self.assertEqual(report.kib_per_stream([interval], "pss"), [20.48])
        self.assertEqual(report.kib_per_stream([interval | {"pss_bytes_before": None}], "pss"), [])

    def test_different_agreements_are_shown(self):
        intervals = {"a": [{"tls": "X25519"}, {"tls": "X25519"}], "b": [{"tls": "X25519MLKEM768"}], "c": [{"tls": None}]}
        self.assertEqual(report.agreements(intervals), "\nAgreed on: a: X25519; b: X25519MLKEM768\n")
        self.assertEqual(report.agreements({"c": [{}]}), "")

    def test_nginx_names_the_library_it_runs_with(self):
        said = "nginx version: nginx/1.22.1\nbuilt by gcc\nbuilt with OpenSSL 3.0.8 7 Feb 2023 (running with OpenSSL 3.0.17 1 Jul 2025)\n"
        self.assertEqual(contenders.nginx_version(said), "nginx/1.22.1, OpenSSL 3.0.17")
        self.assertEqual(contenders.nginx_version("nginx version: nginx/1.22.1\n"), "nginx/1.22.1")


if __name__ == "__main__":
    unittest.main()
