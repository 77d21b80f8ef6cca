"""Into which parts a batch can be cut."""

from wse_sim.spec.divisors import divisors, largest_parts


def test_parts_are_those_of_every_cut_tried() -> None:
    for n in range(1, 700):
        assert largest_parts(n) == tuple(sorted({-(-n // parts) for parts in range(1, n + 1)}))
        assert divisors(n, n) == tuple(m for m in range(1, n + 1) if n % m == 0)


def test_parts_of_a_huge_batch_are_few() -> None:
    assert len(largest_parts(10**10)) == 199_999
