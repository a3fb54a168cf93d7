import json
from dataclasses import replace

import pytest
from mmengine.config import Config

from cranium.errors import CraniumError
from cranium.evaluation.platt import Calibration
from cranium.inference.network import FILES, PRETRAINED
from cranium.inference.spec import NetworkSpec, OperatingPoint
from tests.conftest import ROOT

SPEC = NetworkSpec((192, 160), 1.044, 1, 2, (dict(level=40, width=120),))


@pytest.fixture(scope='module')
def config():
    return Config.fromfile(FILES / f'configs/{PRETRAINED}.py', import_custom_modules=False)


def test_of_the_recommended_config(config):
    spec = NetworkSpec.from_config(config, {})
    assert (spec.size, spec.pixel_mm, spec.neighbors, spec.shrink) == ((192, 160), 1.044, 1, 2)
    assert spec.views == (
        dict(level=40, width=120),
        dict(level=50, width=70),
        dict(level=700, width=3200, planes='range'),
    )
    assert (spec.thresholds, spec.score_smoothing, spec.channels) == ((-2, 4), 1, 7)
    assert spec.slice_point == spec.scan_point == OperatingPoint()
    assert spec.lone_point is None
    assert spec.classes == ('background', 'hemorrhage')


def test_what_the_checkpoint_tells(config):
    point = dict(threshold=1.5, sensitivity=0.9, specificity=0.8)
    of_scans = dict(point, threshold=2.5, calibration=dict(slope=0.8, offset=-3.5))
    points = dict(slice=point, patient=of_scans, lone_slice=point, score_smoothing=0.5, patients=66)
    record = dict(version='0.2.0', training_patients=['049'], operating_points=points)
    meta = dict(iter=8000, dataset_meta=dict(classes=['no', 'yes']), cranium=record)
    spec = NetworkSpec.from_config(config, meta)
    origin = 'cross-validation of 66 patients'
    # Without a calibration, as checkpoints before there was one.
    assert spec.slice_point == spec.lone_point == OperatingPoint(1.5, 0.9, 0.8, origin)
    assert spec.scan_point == OperatingPoint(2.5, 0.9, 0.8, origin, Calibration(0.8, -3.5))
    assert spec.score_smoothing == 0.5  # of the scores that the thresholds are for
    assert (spec.classes, spec.version) == (('no', 'yes'), '0.2.0')
    expected = dict(iter=8000, version='0.2.0', training_patients=['049'])
    assert spec.training == expected


def test_json_round_trip():
    spec = replace(
        SPEC,
        slice_point=OperatingPoint(1.5, 0.9, None, 'others'),
        lone_point=OperatingPoint(2.5, calibration=Calibration(1.1, -4.0)),
        name='unet',
    )
    assert NetworkSpec.from_json(spec.to_json(), 'a.onnx') == spec


def test_what_scores_mean_in_a_scan_and_alone():
    of_slices, of_scans, alone = (OperatingPoint(value) for value in (1.0, 2.0, 3.0))
    spec = replace(SPEC, slice_point=of_slices, scan_point=of_scans)
    assert spec.points(2) == (of_slices, of_scans)
    assert spec.points(1) == (of_slices, of_slices)  # never that of the highest of many
    assert replace(spec, lone_point=alone).points(1) == (alone, alone)
    assert replace(spec, lone_point=alone).points(2) == (of_slices, of_scans)


def test_a_newer_version_may_say_more():
    text = json.dumps(json.loads(SPEC.to_json()) | dict(more=1))
    assert NetworkSpec.from_json(text, 'a.onnx') == SPEC


def test_a_file_of_an_older_version_is_to_be_written_again():
    older = json.loads(SPEC.to_json())
    older['slice_threshold'] = older.pop('slice_point')
    with pytest.raises(CraniumError, match=r"'slice_point'\); write it again by `cranium export`"):
        NetworkSpec.from_json(json.dumps(older), 'a.onnx')


@pytest.mark.parametrize('text', ['', '{}', '[]', '3', '{"size": 3}'])
def test_other_text_is_refused_by_file(text):
    with pytest.raises(CraniumError, match=r'a\.onnx: what its network expects .*cranium export'):
        NetworkSpec.from_json(text, 'a.onnx')


def test_an_8_bit_network_belongs_to_mmseg():
    name = 'fcn-unet-s4-d8-c16_unet_1xb8-2k_cranium-96x96.py'
    config = Config.fromfile(ROOT / f'configs/{name}', import_custom_modules=False)
    with pytest.raises(CraniumError, match=r'no LoadScan and no .*mmseg\.apis\.inference_model'):
        NetworkSpec.from_config(config, {})


def test_views_are_checked():
    with pytest.raises(CraniumError, match='cannot show'):
        replace(SPEC, views=(dict(level=40),))
