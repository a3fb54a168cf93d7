"""The file of known faults."""

from cranium.preparation.errata import read_errata
from cranium.windows import BONE, BRAIN


def test_the_two_scans():
    errata = read_errata()
    assert list(errata) == ['050', '081']
    assert (errata['050'].brain.low, errata['050'].brain.high) == (-6.5, 65.7)
    assert (errata['050'].bone.low, errata['050'].bone.high) == (-498, 1494)
    assert errata['050'].bone_offset == 0
    assert errata['081'].bone_offset == 2
    assert (errata['081'].brain, errata['081'].bone) == (BRAIN, BONE)
