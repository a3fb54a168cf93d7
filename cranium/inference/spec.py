"""What a network expects of a slice and what its output means, said in one place."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from cranium.errors import CraniumError
from cranium.evaluation.platt import Calibration
from cranium.views import check_views


@dataclass(frozen=True)
class OperatingPoint:
    """What scores mean, learned from patients whom the network was not trained on.

    Args:
        threshold (float): Log-odds; hemorrhage is what reaches it.
        sensitivity (float, optional): There. Defaults to None: not measured.
        specificity (float, optional): There. Defaults to None: not measured.
        source (str): On whom it was chosen. Defaults to '': on nobody.
        calibration (Calibration, optional): What makes a probability of a score. Defaults to None:
            not known.
    """

    threshold: float = 0.0
    sensitivity: float | None = None
    specificity: float | None = None
    source: str = ''
    calibration: Calibration | None = None

    def probability(self, score: float) -> float | None:
        """The probability of hemorrhage that a score stands for; None where it is not known."""
        return None if self.calibration is None else float(self.calibration.probability(score))


@dataclass(frozen=True)
class NetworkSpec:
    """What stands between Hounsfield units and a network for slices in head space.

    Args:
        size (tuple): Height and width of the aligned image.
        pixel_mm (float): Side of its pixels.
        neighbors (int): Slices on each side that the network sees.
        shrink (int): Whole factor by which slices are shrunk first.
        views (tuple): Windows in the order of the channels, see :func:`cranium.views.check_views`.
        thresholds (tuple): Of the hysteresis, see ``AlignedEncoderDecoder``. Defaults to (0, 0).
        score_smoothing (float): Standard deviation, in slices of 5 mm, of the Gaussian by which
            scores are smoothed along a scan. Defaults to 0.
        slice_point (OperatingPoint): For the score of a slice. Defaults to a threshold of 0.
        scan_point (OperatingPoint): For that of a scan, the highest of its slices. Likewise.
        lone_point (OperatingPoint, optional): For that of a slice, or a layer of thin ones, whose
            scan has no other, which nothing smooths. Defaults to None: as that of any slice.
        classes (tuple): Names of the classes. Defaults to background and hemorrhage.
        name (str): Of the config. Defaults to ''.
        version (str): Of the package that trained it. Defaults to ''.
        training (dict): Where the weights come from: patients, data, iterations. Defaults to {}.

    Raises:
        CraniumError: A view is none.
    """

    size: tuple[int, int]
    pixel_mm: float
    neighbors: int
    shrink: int
    views: tuple[Mapping[str, Any], ...]
    thresholds: tuple[float, float] = (0.0, 0.0)
    score_smoothing: float = 0.0
    slice_point: OperatingPoint = OperatingPoint()
    scan_point: OperatingPoint = OperatingPoint()
    lone_point: OperatingPoint | None = None
    classes: tuple[str, ...] = ('background', 'hemorrhage')
    name: str = ''
    version: str = ''
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:  # noqa: D105
        check_views(self.views)

    @property
    def channels(self) -> int:
        """How many channels the network's input has."""
        planes = {'stack': 2 * self.neighbors + 1}
        return sum(planes.get(view.get('planes', 'stack'), 1) for view in self.views)

    def points(self, layers: int) -> tuple[OperatingPoint, OperatingPoint]:
        """What the scores of slices and of the scan mean where it has so many layers."""
        lone = self.lone_point or self.slice_point
        return (lone, lone) if layers == 1 else (self.slice_point, self.scan_point)

    def named(self, name: str) -> 'NetworkSpec':
        """Return the same by another name."""
        return replace(self, name=name)

    def to_json(self) -> str:
        """Write it as a line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: str) -> 'NetworkSpec':
        """Read it back.

        Args:
            text (str): By :meth:`to_json`.
            source (str): The file that it stands in, for messages.

        Raises:
            CraniumError: The text is another, or of a newer version.
        """
        try:
            found = json.loads(text)
            for key in ('size', 'views', 'thresholds', 'classes'):
                found[key] = tuple(found[key])
            for key in ('slice_point', 'scan_point', 'lone_point'):
                if point := found[key]:
                    fit = point['calibration'] and Calibration(**point['calibration'])
                    found[key] = OperatingPoint(**{**point, 'calibration': fit})
            known = {each.name for each in fields(cls)}
            return cls(**{key: value for key, value in found.items() if key in known})
        except (ValueError, TypeError, KeyError) as error:
            msg = f'{source}: what its network expects cannot be read ({error})'
            raise CraniumError(f'{msg}; write it again by `cranium export`') from error

    @classmethod
    def from_config(cls, config: Mapping[str, Any], meta: Mapping[str, Any]) -> 'NetworkSpec':
        """Take it from a config and the ``meta`` of a checkpoint.

        Args:
            config (Mapping): Of mmengine, with ``test_dataloader`` and ``model``.
            meta (Mapping): Of the checkpoint; {} if it has none.

        Raises:
            CraniumError: The network is none for slices in head space.
        """
        pipeline = config['test_dataloader']['dataset']['pipeline']
        steps = {step['type']: step for step in pipeline}
        if missing := [name for name in ('LoadScan', 'AlignHead', 'WindowCT') if name not in steps]:
            msg = f'the test pipeline has no {" and no ".join(missing)}, so it is none in HU'
            raise CraniumError(f"{msg}; use mmseg.apis.inference_model for this config's network")
        record = meta.get('cranium', {})
        points = record.get('operating_points', {})
        smoothing = config.get('test_evaluator', {}).get('score_smoothing', 0.0)
        low, high = config['model'].get('test_cfg', {}).get('thresholds', (0.0, 0.0))
        classes = meta.get('dataset_meta', {}).get('classes') or cls.classes
        return cls(
            size=tuple(steps['AlignHead']['size']),
            pixel_mm=steps['AlignHead']['pixel_mm'],
            neighbors=steps['LoadScan'].get('neighbors', 1),
            shrink=steps['LoadScan'].get('shrink', 2),
            views=tuple(dict(view) for view in steps['WindowCT']['views']),
            thresholds=(float(low), float(high)),
            score_smoothing=float(points.get('score_smoothing', smoothing)),
            slice_point=_operating_point(points, 'slice') or OperatingPoint(),
            scan_point=_operating_point(points, 'patient') or OperatingPoint(),
            lone_point=_operating_point(points, 'lone_slice'),
            classes=tuple(classes),
            version=record.get('version', ''),
            training={
                **{key: meta[key] for key in ('iter', 'seed', 'experiment_name') if key in meta},
                **{key: value for key, value in record.items() if key != 'operating_points'},
            },
        )


def _operating_point(points: Mapping[str, Any], level: str) -> OperatingPoint | None:
    """See ``cranium.evaluation.pooling.shipped_operating_points``."""
    if level not in points:
        return None
    found = points[level]
    fit = found.get('calibration')
    return OperatingPoint(
        threshold=float(found['threshold']),
        sensitivity=found.get('sensitivity'),
        specificity=found.get('specificity'),
        source=f'cross-validation of {points["patients"]} patients',
        calibration=fit and Calibration(float(fit['slope']), float(fit['offset'])),
    )
