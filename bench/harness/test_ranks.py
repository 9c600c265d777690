"""The Mann-Whitney test, with numbers whose result is known."""

import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness.ranks import mann_whitney  # noqa: E402


class MannWhitney(unittest.TestCase):
    def test_counts_the_pairs_in_which_the_first_is_greater(self):
        self.assertEqual(mann_whitney([4, 5, 6], [1, 2, 3])[0], 9)
        self.assertEqual(mann_whitney([1, 2, 3], [4, 5, 6])[0], 0)
        # A tie is half a pair.
        self.assertEqual(mann_whitney([1, 2], [2, 3])[0], 0.5)

    def test_p_by_hand(self):
        one, other = list(range(20)), [number + 5.5 for number in range(20)]
        u, p = mann_whitney(one, other)
        # 0 beats none, 6 beats one, …, 19 beats fourteen.
        self.assertEqual(u, sum(range(15)))
        # Mean 200, variance 20 * 20 * 41 / 12: z = 94.5 / 36.97 = 2.556.
        self.assertAlmostEqual(p, 0.0106, places=4)
        self.assertEqual(mann_whitney([1] * 30, [1] * 30), (450, 1.0))

    def test_equal_samples_are_seldom_told_apart_and_others_always(self):
        source = random.Random(7)
        draw = lambda shift: [round(source.gauss(100, 10) + shift, 1) for _ in range(500)]
        told = sum(mann_whitney(draw(0), draw(0))[1] < 0.05 for _ in range(200))
        self.assertTrue(2 <= told <= 20, told)
        self.assertLess(mann_whitney(draw(0), draw(3))[1], 0.001)


if __name__ == "__main__":
    unittest.main()
