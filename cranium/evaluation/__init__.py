"""From predictions to figures; no torch but in ``hemorrhage_metric``.

One slice is measured (``measures``) and becomes a row of the table of slices (``records``); the
rows of a run become arrays (``cohort``) and, drawing patients (``statistics``), figures with
intervals (``summary``, each an ``estimate``), which ``results`` writes and reads. The slices come
from mmseg (``hemorrhage_metric``), from folders of masks (``masks``) or from the folds of a
cross-validation (``pooling``), which also makes probabilities of scores (``platt``,
``calibration``). ``comparison`` and ``results_table`` set runs side by side.
"""
