"""The Mann-Whitney U test: whether one of two samples tends to be greater than the other. Ranks alone count, so that
a few calls which the machine delayed do not decide."""

import math


def mann_whitney(one, other):
    """U of the first sample, and the two-sided p by the normal approximation, corrected for ties and for continuity.
    For samples of 20 and more."""
    pooled = sorted([(value, True) for value in one] + [(value, False) for value in other])
    total, rank_sum, ties, begin = len(pooled), 0.0, 0, 0
    while begin < total:
        end = begin
        while end < total and pooled[end][0] == pooled[begin][0]:
            end += 1
        # Equal values share the mean of their ranks, which begin at 1.
        rank = (begin + 1 + end) / 2
        rank_sum += rank * sum(is_one for _, is_one in pooled[begin:end])
        ties += (end - begin) ** 3 - (end - begin)
        begin = end
    u = rank_sum - len(one) * (len(one) + 1) / 2
    mean = len(one) * len(other) / 2
    variance = len(one) * len(other) / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance == 0:
        return u, 1.0
    z = max(abs(u - mean) - 0.5, 0.0) / math.sqrt(variance)
    return u, math.erfc(z / math.sqrt(2))
