"""The scope in which configs are built that inherit from ``cranium::``: mmseg's, by another name.

mmengine looks for this module; Cranium's classes are in mmseg's own registries.
"""

from mmengine.registry import Registry
from mmseg import registry as mmseg

REGISTRIES = [
    Registry(parent.name, parent=parent, scope='cranium')
    for parent in map(vars(mmseg).__getitem__, mmseg.__all__)
]
