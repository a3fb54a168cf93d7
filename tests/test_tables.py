"""Tables as text."""

from cranium.tables import markdown_table


def test_literal():
    assert markdown_table(['run', 'Dice'], [['base', '0.50'], ['a|b\nc', 7]]).splitlines() == [
        '| run    |   Dice |',
        '|:-------|-------:|',
        '| base   |   0.50 |',
        r'| a\|b c |      7 |',
    ]


def test_no_rows():
    assert markdown_table(['run', 'Dice'], []).splitlines()[0] == '| run   | Dice   |'
