import pytest

from cranium.datasets.sample import SliceFiles, neighbors

SCAN = {number: SliceFiles(f'{number}.png', None) for number in (1, 2, 9, 10, 12)}


@pytest.mark.parametrize(
    'number, reach, expected',
    [
        (9, 0, [9]),
        (10, 1, [9, 10, 10]),  # 11 is missing
        (10, 2, [9, 9, 10, 10, 12]),  # 8 is missing as well
        (2, 1, [1, 2, 2]),  # the next slice in the list, 9, is far away
        (1, 2, [1, 1, 1, 2, 2]),
        (12, 3, [9, 10, 12, 12, 12, 12, 12]),
    ],
)
def test_neighbours_by_number(number, reach, expected):
    found = neighbors(SCAN, number, reach)
    assert [files.image for files in found] == [f'{n}.png' for n in expected]
