"""The doorway of the configs of mmseg's ``projects/medical/2d_image/ct/cranium``.

They import ``datasets.cranium_dataset``, with the checkout in PYTHONPATH.
"""
