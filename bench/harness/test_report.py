"""The arithmetic behind the tables, with numbers whose result is known."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import report  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
