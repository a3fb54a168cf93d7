"""Tiny downloads in the raw layout, to break in every way that real ones are broken."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cranium.windows import BONE, BRAIN

HEADER = (
    'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,'
    'Epidural,Subdural,No_Hemorrhage,Fracture_Yes_No\n'
)
DEMOGRAPHICS = (
    '"Patient Number","Age\n(years)","Gender","Note"\n49,35,"Male",\n50,0.5,"Female",\n51,,,\n'
)


def jpeg(pixels: np.ndarray, **options) -> bytes:
    """Encode a JPEG, by default almost without loss."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG', **{'quality': 100, **options})
    return file.getvalue()


class RawTree:
    """A raw download of 16 x 16 pixel slices: three patients with hemorrhage and two without."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[tuple[int, int], str] = {}
        for patient in (49, 50, 51, 52, 53):
            for number in (1, 2, 4):  # slice numbers skip
                self.add(patient, number, bleeds=patient < 52 and number == 2)
        self.write_csv()
        (root / 'patient_demographics.csv').write_text(DEMOGRAPHICS)

    def add(self, patient: int, number: int, bleeds: bool) -> None:
        """Write one slice, its mask a white square of 4 x 4 where it bleeds."""
        random = np.random.RandomState(patient * 100 + number)
        hu = random.randint(-20, 101, (16, 16), np.int16)
        for window in ('brain', 'bone'):
            name = f'Patients_CT/{patient:03d}/{window}/{number}.jpg'
            self.write(name, jpeg(BONE.to_gray(hu) if window == 'bone' else BRAIN.to_gray(hu)))
        if bleeds:
            mask = np.zeros((16, 16), np.uint8)
            mask[4:8, 4:8] = 255
            self.write(f'Patients_CT/{patient:03d}/brain/{number}_HGE_Seg.jpg', jpeg(mask))
        self.rows[patient, number] = '0,1,0,0,1,0,0' if bleeds else '0,0,0,0,0,1,0'

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def write_csv(self) -> None:
        lines = [f'{patient},{number},{row}\n' for (patient, number), row in self.rows.items()]
        text = '\ufeff' + HEADER + ''.join(lines)
        self.write('hemorrhage_diagnosis.csv', text.encode())


@pytest.fixture
def raw_tree(tmp_path: Path) -> RawTree:
    return RawTree(tmp_path / 'raw')


@pytest.fixture
def encode_jpeg():
    return jpeg
