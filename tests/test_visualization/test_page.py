import base64
import io
import json
import re

import numpy as np
from PIL import Image

from cranium.preparation.sheets import View
from cranium.slices import IGNORE_INDEX
from cranium.visualization.overlay import CSS, TRUTH, outline
from cranium.visualization.page import SIDE, patient_page, view_panels

GRAY = np.full((SIDE, SIDE), 100, np.uint8)
MASK = np.zeros((SIDE, SIDE), np.uint8)
MASK[100:200, 300:400] = 1
VIEWS = [
    View('049 / 1  no hemorrhage', GRAY, GRAY // 2, 0 * MASK),
    View('049 / 2  <Epidural>', GRAY, GRAY // 2, MASK),
    View('049 / 3  unlabelled', GRAY, None, np.full_like(MASK, IGNORE_INDEX)),
]


def read(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(',')[2])))


def test_a_page_holds_every_slice():
    page = patient_page(VIEWS, '049')
    slides = json.loads(re.search(r'const slices = (\[.*\]);', page)[1])
    assert [slide['caption'] for slide in slides] == [view.caption for view in VIEWS]
    assert [bool(slide['outline']) for slide in slides] == [False, True, False]
    assert [bool(slide['bone']) for slide in slides] == [True, True, False]
    assert [slide['unlabelled'] for slide in slides] == [False, False, True]
    assert np.array_equal(read(slides[0]['image']), GRAY)
    layer = np.asarray(read(slides[1]['outline']).convert('RGBA'))
    assert np.array_equal(layer[..., 3] == 255, outline(MASK == 1, 2))
    assert '<Epidural>' not in page and 'http' not in page
    assert '<title>Patient 049</title>' in page and 'the patient\u0027s right' not in page
    assert 'the patient&#39;s right is on the left' in page
    assert CSS in page and 'var(--truth)' in page


def test_panels_have_the_bone_window_beside_the_truth():
    panels = view_panels(VIEWS)
    assert [panel.caption for panel in panels] == [
        '049 / 1  no hemorrhage',
        'bone window',
        '049 / 2  <Epidural>',
        'bone window',
        '049 / 3  unlabelled',
    ]
    assert np.array_equal(panels[2].masks[TRUTH], MASK == 1) and not panels[4].masks[TRUTH].any()
    assert panels[3].masks == {} and (panels[3].image == 50).all()
